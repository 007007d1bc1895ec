// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// Install installs a Debian package with apt-get, unless its program is installed. The advice is the error for a user whom apt-get
// cannot help. Programs that need nothing but themselves are better taken with [Program], which leaves the machine as it is.
func Install(ctx context.Context, program, pkg, advice string) error {
	if _, err := exec.LookPath(program); err == nil {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return errors.New(advice)
	}
	fmt.Fprintf(os.Stderr, "lab: installing %s\n", pkg)
	for _, args := range [][]string{
		{"update", "-q"},
		{"install", "-q", "--yes", "--no-install-recommends", pkg},
	} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
		if text, err := cmd.CombinedOutput(); err != nil && args[0] == "install" {
			return fmt.Errorf("%s\napt-get could not: %w\n%s", advice, err, text)
		}
	}
	return nil
}
