// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

func newDisable() *cobra.Command {
	return serverCommand(&cobra.Command{
		Use:   "disable SERVICE/SERVER",
		Short: "Take a real server out of the IPVS table, which ends its connections",
		Long: `Remove a real server from the kernel's IPVS table at once. This ends its connections; tandem drain keeps
them. The server stays disabled until tandem enable, also over reloads and restarts. SERVICE/SERVER is
written as for tandem drain.`,
		Example: `  tandem disable www/192.0.2.11`,
	}, control.Disable, "disabled")
}

func newEnable() *cobra.Command {
	return serverCommand(&cobra.Command{
		Use:   "enable SERVICE/SERVER",
		Short: "Put a disabled real server back into the IPVS table",
		Long: `Undo tandem disable. The server returns to the kernel's IPVS table, and has its weight while it is healthy.
SERVICE/SERVER is written as for tandem drain.`,
		Example: `  tandem enable www/192.0.2.11`,
	}, control.Enable, "enabled")
}
