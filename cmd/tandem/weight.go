// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/lvs"
)

func newWeight() *cobra.Command {
	var s socketFlags
	var reset bool
	cmd := &cobra.Command{
		Use:   "weight SERVICE/SERVER N",
		Short: "Give a real server another weight than the configured one",
		Long: `Give a real server a weight, 0 to 65535, that takes the place of the configured one while the server is
healthy. It lasts, over reloads and restarts, until tandem weight --reset.`,
		Example: `  tandem weight www/192.0.2.11 5
  tandem weight www/192.0.2.11 --reset`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reset {
				if len(args) == 2 {
					return errors.New("--reset goes back to the configured weight: leave the number away")
				}
				return orderServer(cmd, s, control.ServerCommand{Server: args[0], Action: control.Reset}, "as configured")
			}
			if len(args) < 2 {
				return errors.New("the weight is missing: write tandem weight SERVICE/SERVER N, or --reset")
			}
			n, err := strconv.ParseUint(args[1], 10, 16)
			if err != nil {
				return fmt.Errorf("%q is not a weight: want 0 to %d", args[1], lvs.MaxWeight)
			}
			return orderServer(cmd, s, control.ServerCommand{Server: args[0], Action: control.SetWeight, Weight: int(n)}, "set")
		},
	}
	s.register(cmd)
	cmd.Flags().BoolVar(&reset, "reset", false, "go back to the configured weight")
	return cmd
}

func newDisable() *cobra.Command {
	return onServer(&cobra.Command{
		Use:   "disable SERVICE/SERVER",
		Short: "Take a real server out of the table, with its connections",
		Long: `Take a real server out of the kernel's table at once. Its connections end; tandem drain is the gentle way.
That lasts, over reloads and restarts, until tandem enable.`,
		Example: `  tandem disable www/192.0.2.11`,
	}, control.Disable, "disabled")
}

func newEnable() *cobra.Command {
	return onServer(&cobra.Command{
		Use:     "enable SERVICE/SERVER",
		Short:   "Put a disabled real server back into the table",
		Example: `  tandem enable www/192.0.2.11`,
	}, control.Enable, "enabled")
}
