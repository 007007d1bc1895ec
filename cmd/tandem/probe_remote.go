// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober/remote"
	"github.com/tandem-lvs/tandem/configs/load"
)

// longestDriven is how long a driven probe may last, unless the listener's --for says otherwise.
const longestDriven = 10 * time.Minute

// refuseFlags refuses flags that have no meaning with another one, all but those that have one.
func refuseFlags(cmd *cobra.Command, with, why string, good ...string) (err error) {
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if err == nil && !slices.Contains(good, flag.Name) {
			err = fmt.Errorf("--%s has no meaning with %s: %s", flag.Name, with, why)
		}
	})
	return err
}

// wait probes when another machine says so.
func (f *probeFlags) wait(cmd *cobra.Command, address string) error {
	for _, name := range []string{"json", "page", "budget"} {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--%s has no meaning with --listen: the machine that drives the probe has the report", name)
		}
	}
	p, err := f.probe(cmd.Context(), address)
	if err != nil {
		return err
	}
	if p.For == 0 {
		p.For = longestDriven
	}
	key, err := f.readKey()
	if err != nil {
		return err
	}
	connections, err := net.Listen("tcp", f.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	say := func(line string) { fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", time.Now().Format(time.DateTime), line) }
	say(fmt.Sprintf("waiting at %s to probe %s; Ctrl-C ends it", connections.Addr(), p.Target))
	return (&remote.Listener{Probe: p, Log: say}).Serve(ctx, connections, key)
}

// driveOther drives a probe on another machine, and prints its report.
func (f *probeFlags) driveOther(cmd *cobra.Command) error {
	const why = "the machine that listens says what is asked, and how"
	if err := refuseFlags(cmd, "--drive", why, "drive", "key", "for", "json", "page", "budget"); err != nil {
		return err
	}
	if _, _, err := net.SplitHostPort(f.drive); err != nil {
		return fmt.Errorf("--drive %s: want ADDRESS:PORT", f.drive)
	}
	if f.lasts <= 0 {
		return errors.New("--drive needs --for: how long the other machine probes")
	}
	key, err := f.readKey()
	if err != nil {
		return err
	}
	driver, err := remote.NewDriver(f.drive, key)
	if err != nil {
		return err
	}
	return f.report(cmd, func(ctx context.Context, show func(prober.Live)) (prober.Report, error) {
		r, err := driver.Run(ctx, f.lasts, show)
		if err != nil {
			return r, fmt.Errorf("%s: %w", f.drive, err)
		}
		return r, nil
	})
}

// readKey reads the key file.
func (f *probeFlags) readKey() ([]byte, error) {
	if f.key == "" {
		return nil, errors.New("--listen and --drive need --key: see tandem probe --help")
	}
	return load.Key(f.key)
}
