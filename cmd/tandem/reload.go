// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/cobra"
)

func newReload() *cobra.Command {
	var s socketFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make the running director read its configuration again",
		Long: `Make the running director read its configuration file again, as SIGHUP does, and print what has changed. If
the file has mistakes, the director lists them and keeps the old configuration as a whole, and the exit
code is 1.

If the file has not changed since tandem apply or tandem rollback put another configuration into force, that
configuration stays: see tandem apply --help. While a configuration waits for confirmation, a file that
differs from it is refused.

tandem plan shows what a reload would change. tandem apply --confirm rolls back by itself.`,
		Example: `  tandem reload
  tandem check /etc/tandem/tandem.toml && tandem reload`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			done, err := client.Reload(cmd.Context())
			if err != nil {
				return err
			}
			return printApplied(cmd, "the director has loaded its configuration", done, true, asJSON)
		},
	}
	s.register(cmd)
	registerJSON(cmd, &asJSON, "which configuration is in force")
	return cmd
}
