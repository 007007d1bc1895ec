// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs/realserver"
)

// errNotPrepared ends a check that found something, which is on standard output already.
var errNotPrepared = errors.New("this machine is not prepared as a real server: `tandem realserver apply` does what is listed")

// realServerFlags say what the real server is to be like: the file's [realserver], or all of it on the command line.
type realServerFlags struct {
	config, stateDir string
	vips             []string
	mode, method     string
	interfaces       []string
	persist          bool
}

func (f *realServerFlags) register(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVarP(&f.config, "config", "c", defaultConfig, "configuration `FILE` with [realserver]; not read with --vip")
	flags.StringSliceVar(&f.vips, "vip", nil, "virtual `ADDRESS`, instead of the file; may be repeated")
	flags.StringVar(&f.mode, "mode", realserver.DirectRouting.String(), "with --vip: how packets arrive, dr or tunnel")
	flags.StringVar(&f.method, "method", realserver.Sysctl.String(), "with --vip: how to keep silent, sysctl or arpfilter")
	flags.StringSliceVar(&f.interfaces, "interface", nil, "with --vip: where to keep silent (default: every interface with an IPv4 address)")
	flags.BoolVar(&f.persist, "persist", false, "with --vip: write the settings to "+configs.DefaultDropIn+" too")
	flags.StringVar(&f.stateDir, "state-dir", "/var/lib/tandem", "`DIRECTORY` that remembers what was there before")
}

// load returns what is asked for.
func (f *realServerFlags) load() (realserver.Config, error) {
	if len(f.vips) == 0 {
		cfg, err := configs.Load(f.config)
		if err != nil {
			return realserver.Config{}, err
		}
		if cfg.RealServer == nil {
			return realserver.Config{}, fmt.Errorf("%s has no [realserver]: add it, or give --vip", f.config)
		}
		return *cfg.RealServer, nil
	}
	c := realserver.Config{Interfaces: f.interfaces}
	for _, s := range f.vips {
		vip, err := netip.ParseAddr(s)
		if err != nil {
			return c, fmt.Errorf("--vip: %w", err)
		}
		c.VIPs = append(c.VIPs, vip)
	}
	for _, mode := range []realserver.Mode{realserver.DirectRouting, realserver.Tunnel} {
		if mode.String() == f.mode {
			c.Mode = mode
		}
	}
	for _, method := range []realserver.Method{realserver.Sysctl, realserver.ARPFilter} {
		if method.String() == f.method {
			c.Method = method
		}
	}
	if f.persist {
		c.DropIn = configs.DefaultDropIn
	}
	switch {
	case c.Mode == 0:
		return c, fmt.Errorf("--mode: unknown value %q: want dr or tunnel", f.mode)
	case c.Method == 0:
		return c, fmt.Errorf("--method: unknown value %q: want sysctl or arpfilter", f.method)
	}
	return c, nil
}

func (f *realServerFlags) machine() *realserver.Machine {
	return realserver.New(realserver.Options{
		Log: newLogger("info", configs.LogText, os.Stderr).Named("realserver"), StateDir: f.stateDir, Operator: operator(),
	})
}

func newRealServer() *cobra.Command {
	var f realServerFlags
	cmd := &cobra.Command{
		Use:   "realserver",
		Short: "Prepare this machine as a real server of direct routing or tunnels",
		Long: `Prepare this machine as a real server: it has the virtual addresses itself, on lo or on a tunnel
interface, and keeps silent about them on its network, which it learns first. What was there
before is recorded, so that "remove" leaves the machine as it was found.`,
		Example: `  tandem realserver apply --vip 192.0.2.100 --dry-run
  tandem realserver apply -c /etc/tandem/tandem.toml
  tandem realserver check
  tandem realserver remove`,
	}
	f.register(cmd)
	cmd.AddCommand(newRealServerApply(&f), newRealServerCheck(&f), newRealServerRemove(&f), newRealServerRun(&f))
	return cmd
}

func newRealServerApply(f *realServerFlags) *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Make it so, and list what was done",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load()
			if err != nil {
				return err
			}
			do := f.machine().Apply
			if dry {
				do = f.machine().Check
			}
			return listSteps(cmd, func() ([]realserver.Step, error) { return do(c) })
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "list what would be done, and change nothing")
	return cmd
}

func newRealServerCheck(f *realServerFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "List what is not so; exit code 1 if there is anything",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load()
			if err != nil {
				return err
			}
			missing := 0
			err = listSteps(cmd, func() ([]realserver.Step, error) {
				steps, err := f.machine().Check(c)
				missing = len(steps)
				return steps, err
			})
			if err == nil && missing > 0 {
				return errNotPrepared
			}
			return err
		},
	}
}

func newRealServerRemove(f *realServerFlags) *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "remove",
		Short: "Undo what apply did, and list what was done",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			do := f.machine().Remove
			if dry {
				do = f.machine().CheckRemove
			}
			return listSteps(cmd, do)
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "list what would be done, and change nothing")
	return cmd
}

func newRealServerRun(f *realServerFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Make it so, and keep it so until SIGTERM; then leave it so",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return keepRealServer(ctx, f.machine(), c)
		},
	}
}

func keepRealServer(ctx context.Context, m *realserver.Machine, c realserver.Config) error {
	return m.Run(ctx, c, func() {
		// Without systemd nobody is told, and with one that does not listen nothing else would help.
		_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
	})
}

// listSteps prints the steps that were taken, those before an error too, each as the command that does the same.
func listSteps(cmd *cobra.Command, do func() ([]realserver.Step, error)) error {
	steps, err := do()
	for _, s := range steps {
		fmt.Fprintln(cmd.OutOrStdout(), s)
	}
	return err
}
