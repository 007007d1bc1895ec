// SPDX-License-Identifier: Apache-2.0

package main

import "io/fs"

// maintainerScript returns a script for the package manager: the functions that all scripts have, and then its own commands.
func maintainerScript(checkout fs.FS, name string) ([]byte, error) {
	common, err := fs.ReadFile(checkout, "configs/package/scripts/common")
	if err != nil {
		return nil, err
	}
	own, err := fs.ReadFile(checkout, "configs/package/scripts/"+name)
	return append(common, own...), err
}
