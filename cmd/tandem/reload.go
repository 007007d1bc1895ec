// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/cobra"
)

func newReload() *cobra.Command {
	var s socketFlags
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make the running director read its configuration again",
		Long: `Reload the configuration of the running director, as SIGHUP does, and tell what came of it. A file
with mistakes is refused whole: they are listed, the old configuration stays, and the exit code is 1.`,
		Example: `  tandem reload`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			return client.Reload(cmd.Context())
		},
	}
	s.register(cmd)
	return cmd
}
