// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

func newDrain() *cobra.Command {
	var s socketFlags
	var wait bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "drain SERVICE/SERVER",
		Short: "Give a real server no new connections, and wait for the others to end",
		Long: `Set the weight of a real server to 0, so that it gets no new connections and keeps those that it has.
That lasts, over reloads and restarts, until tandem undrain. SERVER is an address, with its port where
the service has several servers of that address. With --wait the command shows the connections and ends
with the last of them; after the timeout the exit code is 1, and the server stays drained.`,
		Example: `  tandem drain www/192.0.2.11
  tandem drain www/192.0.2.11:80 --wait --timeout 10m`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			state, err := client.CommandServer(cmd.Context(), control.ServerCommand{Server: args[0], Action: control.Drain})
			if err != nil {
				return err
			}
			warnNotRemembered(cmd, state.NotRemembered)
			out := cmd.OutOrStdout()
			if !wait {
				_, err = fmt.Fprintf(out, "%s: drained, %s\n", state.Name, connections(state.Connections))
				return err
			}
			return awaitDrained(cmd.Context(), client, state, timeout, newProgress(out))
		},
	}
	s.register(cmd)
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until its connections have ended")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "wait at most so long; 0 is for ever")
	return cmd
}

func newUndrain() *cobra.Command {
	return onServer(&cobra.Command{
		Use:     "undrain SERVICE/SERVER",
		Short:   "Give a drained real server new connections again",
		Example: `  tandem undrain www/192.0.2.11`,
	}, control.Undrain, "not drained any more")
}

// drainPoll is the pause between two looks at the connections.
const drainPoll = 500 * time.Millisecond

// A stater knows how a real server stands.
type stater interface {
	Server(ctx context.Context, name string) (control.ServerState, error)
}

// awaitDrained waits until a server has no connection in two looks one after the other: a handshake that was under way
// at the first is a connection in the second.
func awaitDrained(ctx context.Context, ask stater, state control.ServerState, timeout time.Duration, p *progress) error {
	if timeout > 0 {
		limited, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		ctx = limited
	}
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for idle := 0; ; {
		if state.Connections > 0 {
			idle = 0
		} else if idle++; idle == 2 {
			p.done(state.Name + ": drained, no connection is left")
			return nil
		}
		p.show(fmt.Sprintf("%s: %s", state.Name, connections(state.Connections)))
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
			return fmt.Errorf("%s has %s after %s: it stays drained; wait longer, or let it go with tandem disable",
				state.Name, connections(state.Connections), timeout)
		case err != nil:
			p.end()
			return err
		}
		state = now
	}
}

// connections counts in words.
func connections(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return fmt.Sprintf("%d connections", n)
}

// A progress is one line that changes, on a terminal; elsewhere a line for each change.
type progress struct {
	w        io.Writer
	terminal bool
	last     string
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w}
	if f, ok := w.(*os.File); ok {
		_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
		p.terminal = err == nil
	}
	return p
}

// show writes what has changed. Nobody is helped by an error about that.
func (p *progress) show(line string) {
	if line == p.last {
		return
	}
	if p.terminal {
		fmt.Fprintf(p.w, "\r%s%s", line, strings.Repeat(" ", max(0, len(p.last)-len(line))))
	} else {
		fmt.Fprintln(p.w, line)
	}
	p.last = line
}

// done shows the last line.
func (p *progress) done(line string) {
	p.show(line)
	p.end()
}

// end leaves the cursor on a new line.
func (p *progress) end() {
	if p.terminal {
		fmt.Fprintln(p.w)
	}
}

// onServer completes a command that gives an order about one real server, and says what was done.
func onServer(cmd *cobra.Command, action control.Action, done string) *cobra.Command {
	var s socketFlags
	s.register(cmd)
	cmd.Args = cobra.ExactArgs(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return orderServer(cmd, s, control.ServerCommand{Server: args[0], Action: action}, done)
	}
	return cmd
}

// orderServer gives an order, and prints what was done and how the server stands.
func orderServer(cmd *cobra.Command, s socketFlags, c control.ServerCommand, done string) error {
	client, err := s.client(cmd)
	if err != nil {
		return err
	}
	state, err := client.CommandServer(cmd.Context(), c)
	if err != nil {
		return err
	}
	warnNotRemembered(cmd, state.NotRemembered)
	line := fmt.Sprintf("%s: %s, weight now %d", state.Name, done, state.EffectiveWeight)
	if state.Note != "" {
		line += " (" + state.Note + ")"
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), line)
	return err
}
