// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/logsink"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/summary"
	"github.com/tandem-lvs/tandem/configs"
)

func newCleanup() *cobra.Command {
	var s socketFlags
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "cleanup",
		Short: "Remove from the kernel what a stopped director has left there",
		Long: `Remove from the kernel what a stopped director has left there: its services in the IPVS table, its
connection sync and its sysctls. With on_stop = "keep", which is the default, the services stay when a
director stops, so that a restart interrupts no client. Use this command if the director is not to start
again. Removing the package runs it.

The state directory says what the director has added and changed. Services of other programs stay. While a
director runs, the command changes nothing and fails. Virtual addresses are not left by a director that has
stopped.`,
		Example: `  systemctl disable --now tandem && tandem cleanup`,
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				var err error
				if dir, err = s.stateDir(cmd.Flags().Changed("config")); err != nil {
					return err
				}
			}
			n, err := director.CleanUp(cmd.Context(), dir, logsink.Direct("info", configs.LogAuto))
			if err != nil {
				return fmt.Errorf("failed to clean up: %w", err)
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), map[string]int{"services": n})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "nothing of a director is left in this kernel; removed: %s\n", summary.Counted(n, "service"))
			return nil
		},
	}
	cmd.Flags().StringVarP(&s.config, "config", "c", defaultConfig, "configuration `FILE` that names the state directory")
	s.name.register(cmd.Flags())
	cmd.Flags().StringVar(&dir, "state-dir", "", "state `DIRECTORY` of the director (default: the one in the configuration)")
	registerJSON(cmd, &asJSON, "how many services were removed")
	return sayingRoot(cmd, "removes services, connection sync and sysctls from the kernel")
}
