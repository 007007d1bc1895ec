// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

// serverFlags are the flags of a command about one real server.
type serverFlags struct {
	socketFlags
	asJSON bool
}

func (f *serverFlags) register(cmd *cobra.Command) {
	f.socketFlags.register(cmd)
	registerJSON(cmd, &f.asJSON, "the state of the server")
	cmd.ValidArgsFunction = f.complete(0, serverNames)
}

// serverCommand completes a command that changes the state of one real server. On success it prints done.
func serverCommand(cmd *cobra.Command, action control.Action, done string) *cobra.Command {
	var s serverFlags
	var local bool
	s.register(cmd)
	registerLocal(cmd, &local)
	cmd.Args = arguments(1, 1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return commandServer(cmd, s, control.ServerCommand{Server: args[0], Action: action, Local: local}, done)
	}
	return cmd
}

// registerLocal registers the flag of a command that would go to both directors.
func registerLocal(cmd *cobra.Command, local *bool) {
	cmd.Flags().BoolVar(local, "local", false, "only on this director, even if [peer] connects it to the other one")
}

// where says on which directors a command is in force; "" if there is one only.
func where(p *control.PeerReply) string {
	switch {
	case p == nil:
		return ""
	case p.InForce:
		return "in force here and on " + p.Name
	}
	return fmt.Sprintf("in force here; %s did not get it: %s", p.Name, p.Problem)
}

// writeWhere prints where a command is in force.
func writeWhere(w io.Writer, p *control.PeerReply) error {
	if p == nil {
		return nil
	}
	_, err := fmt.Fprintln(w, where(p))
	return err
}

// commandServer sends a command about a real server, and prints what was done and the state of the server.
func commandServer(cmd *cobra.Command, s serverFlags, c control.ServerCommand, done string) error {
	client, err := s.client(cmd)
	if err != nil {
		return err
	}
	state, err := client.CommandServer(cmd.Context(), c)
	if err != nil {
		return err
	}
	warnNotRemembered(cmd, state.NotRemembered)
	if s.asJSON {
		return writeJSON(cmd.OutOrStdout(), state)
	}
	line := fmt.Sprintf("%s: %s, weight now %d", state.Name, done, state.EffectiveWeight)
	if state.Note != "" {
		line += " (" + state.Note + ")"
	}
	if _, err = fmt.Fprintln(cmd.OutOrStdout(), line); err != nil {
		return err
	}
	return writeWhere(cmd.OutOrStdout(), state.Peer)
}

// warnNotRemembered tells the operator that a command works now, but that a restart of the director would forget it.
func warnNotRemembered(cmd *cobra.Command, cause string) {
	if cause != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: in force; not yet remembered: %s. The command works now, but it could not be saved. "+
			"A restart would forget it.\n", cause)
	}
}
