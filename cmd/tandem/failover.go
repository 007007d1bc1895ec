// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

func newFailover() *cobra.Command {
	return routerCommand(&cobra.Command{
		Use:   "failover [ROUTER…]",
		Short: "Hand over to the peer, and stay in standby until tandem release",
		Long: `Hand the named virtual routers over to the peer. Without names, hand over all virtual routers whose master
is this director. The director forwards until it hears its successor, so clients notice nothing. After
that the virtual routers are in standby until tandem release, also over reloads and restarts. In standby
they run at priority 1, and take over only if the peer dies.

If the peer does not take over within about four advertisement intervals, this director stays master and
the exit code is 1. A peer with preempt = "synced" that still waits for connections takes over at once: the
connections that it does not have end, and a warning says so. The members of a sync group are handed over together. ROUTER is the name of a virtual
router.`,
		Example: `  tandem failover
  tandem failover web
  tandem release`,
	}, (*control.Client).Failover, "handed over")
}

func newRelease() *cobra.Command {
	return routerCommand(&cobra.Command{
		Use:   "release [ROUTER…]",
		Short: "Take part in the election again after tandem failover",
		Long: `End the standby of the named virtual routers. Without names, end the standby of all. They take part in the
election with their configured priority again. A virtual router with the highest priority becomes master:
with preempt = true at once, with preempt = "synced" when this director has the connections of the peer, or
after preempt_sync_limit. tandem status shows how it waits. To take over without waiting, run tandem failover
on the peer.`,
		Example: `  tandem release
  tandem release web`,
	}, (*control.Client).Release, "takes part again")
}

// routerCommand completes a command about virtual routers. It prints done for each router that succeeded.
func routerCommand(cmd *cobra.Command, do func(*control.Client, context.Context, []string) (control.RoutersDone, error), done string) *cobra.Command {
	var s socketFlags
	var asJSON bool
	s.register(cmd)
	registerJSON(cmd, &asJSON, "the virtual routers for which it was done")
	cmd.ValidArgsFunction = s.complete(-1, routerNames)
	cmd.RunE = func(cmd *cobra.Command, routers []string) error {
		client, err := s.client(cmd)
		if err != nil {
			return err
		}
		result, err := do(client, cmd.Context(), routers)
		if asJSON {
			return errors.Join(err, writeJSON(cmd.OutOrStdout(), result))
		}
		for _, name := range result.Routers {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", name, done)
		}
		warn(cmd, result.Notes)
		warnNotRemembered(cmd, result.NotRemembered)
		if err == nil && len(result.Routers) == 0 {
			fmt.Fprintln(cmd.OutOrStdout(), "nothing to do: no virtual router is in standby")
		}
		return err
	}
	return cmd
}
