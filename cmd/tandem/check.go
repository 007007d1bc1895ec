// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/configs"
)

func newCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE…",
		Short: "Check configuration files and list every mistake",
		Long: `Check configuration files without running anything. Each mistake is a line on standard error with
file, line, key, what is wrong and, where one is near, the valid key. Warnings do not fail the check.`,
		Example: `  tandem check /etc/tandem/tandem.toml
  tandem check lb1.toml lb2.toml && rsync …`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			var failed []error
			for _, file := range files {
				cfg, err := configs.Load(file)
				if err != nil {
					failed = append(failed, err)
					continue
				}
				for _, w := range cfg.Warnings {
					fmt.Fprintf(cmd.ErrOrStderr(), "warning: %v\n", w)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: ok, %d virtual routers, %d services\n", file, len(cfg.Routers), len(cfg.Services))
			}
			return errors.Join(failed...)
		},
	}
}
