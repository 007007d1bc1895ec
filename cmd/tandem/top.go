// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/screen"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/top"
)

func newTop() *cobra.Command {
	var s socketFlags
	var interval time.Duration
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch the connections of services and servers in the terminal",
		Long: `Show the services, the real servers or the virtual routers of the running director, and the rates of their
connections and bytes, until q is pressed. ACTIVE is the number of active connections, NEW/s the number of
new ones a second. IN/s and OUT/s are bytes a second. The kernel counts OUT only with method nat.

Keys: q quit, Tab services, servers, virtual routers, s sort by the next column, r reverse the order,
/ filter by name (Enter keeps it, Esc ends it), arrows, j, k, PgUp, PgDn, Home and End move.
On a real server: d drain, u undrain. On a virtual router: f failover, l release. Each asks first.`,
		Example: `  tandem top
  tandem top --interval 5s`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if interval < 100*time.Millisecond {
				return fmt.Errorf("--interval %s is too short: want at least 100ms", interval)
			}
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			return watch(cmd.Context(), client, interval)
		},
	}
	s.register(cmd)
	cmd.Flags().DurationVar(&interval, "interval", time.Second, "`DURATION` between two questions to the director")
	return cmd
}

// watch runs the display on the terminal of this process.
func watch(ctx context.Context, client *control.Client, interval time.Duration) error {
	needs := errors.New("tandem top needs a terminal that can move its cursor: use tandem status, or tandem status --json for programs")
	if term := os.Getenv("TERM"); term == "" || term == "dumb" {
		return needs
	}
	terminal, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return needs
	}
	defer terminal.Close()
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	err = top.Run(ctx, top.Options{
		Terminal: terminal, Resized: resized, Interval: interval, Colour: screen.Detect(terminal).Colour, Ask: client.Status,
		Do: func(ctx context.Context, o top.Order) error { return carryOut(ctx, client, o) },
	})
	if errors.Is(err, top.ErrNoTerminal) {
		return needs
	}
	return err
}

// carryOut sends an order to the director.
func carryOut(ctx context.Context, client *control.Client, o top.Order) error {
	var err error
	switch o.Action {
	case top.Drain:
		_, err = client.CommandServer(ctx, control.ServerCommand{Server: o.Name, Action: control.Drain})
	case top.Undrain:
		_, err = client.CommandServer(ctx, control.ServerCommand{Server: o.Name, Action: control.Undrain})
	case top.Failover:
		_, err = client.Failover(ctx, []string{o.Name})
	case top.Release:
		_, err = client.Release(ctx, []string{o.Name})
	}
	return err
}
