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
	var s serverFlags
	var reset, local bool
	cmd := &cobra.Command{
		Use:   "weight SERVICE/SERVER N | --reset",
		Short: "Give a real server another weight than the configured one",
		Long: `Give a real server the weight N, from 0 to 65535, instead of the configured weight. The server has this
weight only while it is healthy. The command stays in force until tandem weight --reset, also over reloads
and restarts. SERVICE/SERVER is written as for tandem drain.`,
		Example: `  tandem weight www/192.0.2.11 5
  tandem weight www/192.0.2.11 --reset`,
		Args: arguments(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reset {
				if len(args) == 2 {
					return errors.New("--reset goes back to the configured weight: leave out the number")
				}
				return commandServer(cmd, s, control.ServerCommand{Server: args[0], Action: control.Reset, Local: local}, "as configured")
			}
			if len(args) < 2 {
				return errors.New("the weight is missing: write tandem weight SERVICE/SERVER N, or --reset instead of N")
			}
			n, err := strconv.ParseUint(args[1], 10, 16)
			if err != nil {
				return fmt.Errorf("%q is not a weight: write a number from 0 to %d", args[1], lvs.MaxWeight)
			}
			return commandServer(cmd, s, control.ServerCommand{Server: args[0], Action: control.SetWeight, Weight: int(n), Local: local}, "set")
		},
	}
	s.register(cmd)
	registerLocal(cmd, &local)
	cmd.Flags().BoolVar(&reset, "reset", false, "go back to the configured weight")
	return cmd
}
