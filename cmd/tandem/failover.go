// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

func newFailover() *cobra.Command {
	return onRouters(&cobra.Command{
		Use:   "failover [ROUTER…]",
		Short: "Hand over to the peer, and stand back",
		Long: `Hand the named virtual routers over to the peer, or all that this director is master of. It goes on
forwarding until it hears its successor, so that clients notice nothing. After that it stands back at
priority 1, over reloads and restarts, and takes over only if the peer dies, until tandem release.
Where nobody takes over within three advertisement intervals it stays master, and the exit code is 1.
The members of a sync group are handed over together.`,
		Example: `  tandem failover
  tandem failover web
  tandem release`,
	}, (*control.Client).Failover, "handed over")
}

func newRelease() *cobra.Command {
	return onRouters(&cobra.Command{
		Use:   "release [ROUTER…]",
		Short: "Take part in the election again after a failover",
		Long: `Let the named virtual routers, or all that stand back after tandem failover, take part in the election
again with their configured priority. Where that is the highest and preempt is on, they become master.`,
		Example: `  tandem release
  tandem release web`,
	}, (*control.Client).Release, "takes part again")
}

// warnNotRemembered tells the operator that a command is in force but would not outlive a restart of the director.
func warnNotRemembered(cmd *cobra.Command, cause string) {
	if cause != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: in force; not yet remembered: %s\n", cause)
	}
}

// onRouters completes a command that names virtual routers and says what was done to each.
func onRouters(cmd *cobra.Command, do func(*control.Client, context.Context, []string) (control.RoutersDone, error), done string) *cobra.Command {
	var s socketFlags
	s.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, routers []string) error {
		client, err := s.client(cmd)
		if err != nil {
			return err
		}
		result, err := do(client, cmd.Context(), routers)
		for _, name := range result.Routers {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", name, done)
		}
		warnNotRemembered(cmd, result.NotRemembered)
		if err == nil && len(result.Routers) == 0 {
			fmt.Fprintln(cmd.OutOrStdout(), "nothing to do: no virtual router stands back")
		}
		return err
	}
	return cmd
}
