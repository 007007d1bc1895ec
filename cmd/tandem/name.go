// SPDX-License-Identifier: Apache-2.0

package main

import "os"

// A directorName is the name that chooses one of the directors of a file. The order is: --name, TANDEM_NAME. Without both, it is
// the name in the file, or the host name.
type directorName string

func (n *directorName) register(flags interface {
	StringVar(p *string, name, value, usage string)
}) {
	flags.StringVar((*string)(n), "name", "",
		"`NAME` of the director, for a file that has [director.NAME] (default: $TANDEM_NAME; if it is not set, the name in the file, or the host name)")
}

// is returns the name; "" if neither the flag nor the environment gives one.
func (n directorName) is() string {
	if n != "" {
		return string(n)
	}
	return os.Getenv("TANDEM_NAME")
}
