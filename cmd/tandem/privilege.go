// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
)

// sayingRoot has a command say that it needs root if another user runs it and the kernel refuses something. why completes the sentence
// "it needs root, because it …". So a user who only looks can run what the kernel lets this user do.
func sayingRoot(cmd *cobra.Command, why string) *cobra.Command {
	run := cmd.RunE
	cmd.RunE = func(c *cobra.Command, args []string) error {
		err := run(c, args)
		if os.Geteuid() != 0 && errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("%s needs root, because it %s: %w", c.CommandPath(), why, err)
		}
		return err
	}
	return cmd
}
