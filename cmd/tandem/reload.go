// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newReload() *cobra.Command {
	var s socketFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make the running director read its configuration again",
		Long: `Make the running director read its configuration file again, as SIGHUP does. If the file has mistakes,
the director lists them and keeps the old configuration as a whole, and the exit code is 1.

tandem plan shows what a reload would change.`,
		Example: `  tandem reload
  tandem check /etc/tandem/tandem.toml && tandem reload`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			loaded, err := client.Reload(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), loaded)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "ok: the director has loaded its file")
			return nil
		},
	}
	s.register(cmd)
	registerJSON(cmd, &asJSON, "which configuration is in force")
	return cmd
}
