// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/summary"
)

// drainFlags are the flags of tandem drain.
type drainFlags struct {
	serverFlags
	wait, local bool
	timeout     time.Duration
}

func newDrain() *cobra.Command {
	var f drainFlags
	cmd := &cobra.Command{
		Use:   "drain SERVICE/SERVER",
		Short: "Send a real server no new connections; with --wait, wait until its connections have ended",
		Long: `Set the weight of a real server to 0. The server gets no new connections, and keeps its present
connections. It stays drained until tandem undrain, also over reloads and restarts. SERVICE is the name
of a service. SERVER is the address of the server. If the service has several servers with this address,
write ADDRESS:PORT.

With [peer] in the configuration, the server is drained on both directors, and the answer says so. If the
other director does not get the order, it gets it when the channel works again: of two orders about a
server, the later one counts on both. With --local, the server is drained on this director only.

With --wait, the command shows the number of connections, and returns when no connection is left. If
--timeout passes first, the exit code is 1 and the server stays drained. TCP connections that have
waited for their client's ACK for 3 s, as in a SYN flood, do not count: no client has them. The next
connection of a persistent client goes to another server. If the configuration sets
expire_quiescent_template = 0, that connection goes to the drained server, and --wait waits for such
clients too.`,
		Example: `  tandem drain www/192.0.2.11
  tandem drain www/192.0.2.11:80 --wait --timeout 10m`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return drain(cmd, args[0], &f)
		},
	}
	f.register(cmd)
	registerLocal(cmd, &f.local)
	cmd.Flags().BoolVar(&f.wait, "wait", false, "return only when no connection is left")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 0, "maximum `DURATION` of --wait, as in 90s or 10m (0: no limit)")
	return cmd
}

// drain drains a server, and waits if that is wanted.
func drain(cmd *cobra.Command, server string, f *drainFlags) error {
	client, err := f.client(cmd)
	if err != nil {
		return err
	}
	state, err := client.CommandServer(cmd.Context(), control.ServerCommand{Server: server, Action: control.Drain, Local: f.local})
	if err != nil {
		return err
	}
	warnNotRemembered(cmd, state.NotRemembered)
	out := cmd.OutOrStdout()
	if f.asJSON {
		if f.wait {
			if err := awaitDrained(cmd.Context(), client, state, f.timeout, newProgress(cmd.ErrOrStderr())); err != nil {
				return err
			}
			done, err := client.Server(cmd.Context(), state.Name)
			if err != nil {
				return err
			}
			done.Peer, done.NotRemembered = state.Peer, state.NotRemembered // only the order's answer has them
			state = done
		}
		return writeJSON(out, state)
	}
	if !f.wait {
		if _, err = fmt.Fprintf(out, "%s: drained, %s\n", state.Name, remaining(state)); err != nil {
			return err
		}
		return writeWhere(out, state.Peer)
	}
	if err := writeWhere(out, state.Peer); err != nil {
		return err
	}
	return awaitDrained(cmd.Context(), client, state, f.timeout, newProgress(out))
}

func newUndrain() *cobra.Command {
	return serverCommand(&cobra.Command{
		Use:   "undrain SERVICE/SERVER",
		Short: "Send a drained real server new connections again",
		Long: `Undo tandem drain: the server gets its configured weight again, while it is healthy.
SERVICE/SERVER is written as for tandem drain.`,
		Example: `  tandem undrain www/192.0.2.11`,
	}, control.Undrain, "no longer drained")
}

// drainPoll is the interval at which --wait asks for the number of connections.
const drainPoll = 500 * time.Millisecond

// A serverReader reads the state of a real server.
type serverReader interface {
	Server(ctx context.Context, name string) (control.ServerState, error)
}

// awaitDrained waits until a server has no connection in two answers in a row. One is not enough: a handshake that is
// under way at the first is a connection at the second.
func awaitDrained(ctx context.Context, ask serverReader, state control.ServerState, timeout time.Duration, p *progress) error {
	if timeout > 0 {
		limited, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		ctx = limited
	}
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for idle := 0; ; {
		if state.Connections+state.PersistentClients > 0 {
			idle = 0
		} else if idle++; idle == 2 {
			p.done(state.Name + ": drained, no connection is left")
			return nil
		}
		p.show(fmt.Sprintf("%s: %s", state.Name, remaining(state)))
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		now, err := state, ctx.Err()
		if err == nil {
			now, err = ask.Server(ctx, state.Name)
		}
		switch {
		case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
			p.end()
			return fmt.Errorf("%s still has %s after %s, and stays drained: wait longer, or end them with tandem disable %s",
				state.Name, remaining(state), timeout, state.Name)
		case err != nil:
			p.end()
			return err
		}
		state = now
	}
}

// remaining returns the connections and clients that a drain waits for, in words.
func remaining(s control.ServerState) string {
	if s.PersistentClients == 0 {
		return connections(s.Connections)
	}
	return connections(s.Connections) + ", " + summary.Counted(s.PersistentClients, "persistent client")
}

func connections(n int) string { return summary.Counted(n, "connection") }
