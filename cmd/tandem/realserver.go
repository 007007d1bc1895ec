// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	statefile "github.com/tandem-lvs/tandem/cmd/tandem/internal/state"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/configs/load"
	"github.com/tandem-lvs/tandem/lvs/realserver"
)

// errNotPrepared is the error of a check that printed missing steps.
var errNotPrepared = errors.New("this machine is not prepared as a real server: `tandem realserver apply` runs the commands above")

// realServerFlags are the flags for the desired state of a real server. With --vip it is in the flags, otherwise in the file.
type realServerFlags struct {
	config, stateDir string
	vips             []string
	mode, method     string
	interfaces       []string
	persist          bool
}

func (f *realServerFlags) register(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVarP(&f.config, "config", "c", defaultConfig, "configuration `FILE` with the table [realserver]; not read with --vip")
	flags.StringSliceVar(&f.vips, "vip", nil, "virtual `ADDRESS`, instead of those in the file; may be repeated")
	flags.StringVar(&f.mode, "mode", realserver.DirectRouting.String(), "with --vip: `MODE` of the director's packets: dr or tunnel (realserver.mode of the file)")
	flags.StringVar(&f.method, "method", realserver.Sysctl.String(), "with --vip: `METHOD` that turns ARP off for the addresses: sysctl, or arpfilter for nftables (realserver.method of the file)")
	flags.StringSliceVar(&f.interfaces, "interface", nil, "with --vip: `INTERFACE` where ARP is turned off; may be repeated (default: all with an IPv4 address)")
	flags.BoolVar(&f.persist, "persist", false, "with --vip: also write the sysctls to "+configs.DefaultDropIn)
	flags.StringVar(&f.stateDir, "state-dir", "/var/lib/tandem", "`DIRECTORY` with the record of the former state, which remove restores")
}

// load returns the desired state.
func (f *realServerFlags) load() (realserver.Config, error) {
	want := configs.RealServer{Mode: f.mode, Method: f.method, Interfaces: f.interfaces, Persist: f.persist}
	for _, s := range f.vips {
		vip, err := netip.ParseAddr(s)
		if err != nil {
			return realserver.Config{}, fmt.Errorf("--vip: %w", err)
		}
		want.VIPs = append(want.VIPs, vip)
	}
	if len(f.vips) == 0 {
		cfg, err := load.File(f.config)
		if err != nil {
			return realserver.Config{}, err
		}
		if cfg.RealServer == nil {
			return realserver.Config{}, fmt.Errorf("%s has no [realserver]: add the section, or use --vip ADDRESS", f.config)
		}
		want = *cfg.RealServer
	}
	c := realserver.Config{VIPs: want.VIPs, Interfaces: want.Interfaces}
	for _, mode := range []realserver.Mode{realserver.DirectRouting, realserver.Tunnel} {
		if mode.String() == want.Mode {
			c.Mode = mode
		}
	}
	for _, method := range []realserver.Method{realserver.Sysctl, realserver.ARPFilter} {
		if method.String() == want.Method {
			c.Method = method
		}
	}
	if want.Persist {
		c.DropIn = configs.DefaultDropIn
	}
	switch {
	case c.Mode == 0:
		return c, fmt.Errorf("--mode: unknown value %q: write dr or tunnel", want.Mode)
	case c.Method == 0:
		return c, fmt.Errorf("--method: unknown value %q: write sysctl or arpfilter", want.Method)
	}
	return c, nil
}

func (f *realServerFlags) machine() *realserver.Machine {
	return realserver.New(realserver.Options{
		Log: newLogger("info", configs.LogText, os.Stderr).Named("realserver"), StateDir: f.stateDir, Operator: operator(),
		Record: statefile.New[realserver.Saved](filepath.Join(f.stateDir, "realserver.json"),
			statefile.Options{Flat: true, KeepDamaged: true, NoZero: true, Mode: 0o644}),
		WriteFile: statefile.Replace,
	})
}

func newRealServer() *cobra.Command {
	var f realServerFlags
	cmd := &cobra.Command{
		Use:   "realserver",
		Short: "Prepare this machine as a real server for direct routing or tunnels",
		Long: `Prepare this machine as a real server. tandem first turns ARP off for the virtual addresses. Then it adds
the addresses to lo (mode dr) or to a tunnel interface (mode tunnel). It records the former state, which
"remove" restores. Without --vip, the settings are those of the table [realserver] in the configuration
file.`,
		Example: `  tandem realserver apply --vip 192.0.2.100 --dry-run
  tandem realserver apply -c /etc/tandem/tandem.toml
  tandem realserver check
  tandem realserver remove`,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown command %q: see tandem realserver --help", args[0])
		}
		return cmd.Help()
	}
	f.register(cmd)
	cmd.AddCommand(newRealServerApply(&f), newRealServerCheck(&f), newRealServerRemove(&f), newRealServerRun(&f))
	return cmd
}

func newRealServerApply(f *realServerFlags) *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Prepare this machine, and print the commands that did it",
		Example: `  tandem realserver apply --vip 192.0.2.100 --dry-run
  tandem realserver apply --vip 192.0.2.100 --mode tunnel
  tandem realserver apply -c /etc/tandem/tandem.toml`,
		Args: arguments(0, 0),
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
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print the commands, and change nothing")
	return cmd
}

func newRealServerCheck(f *realServerFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Print the commands that apply would run; the exit code is 1 if there are any",
		Example: `  tandem realserver check
  tandem realserver check --vip 192.0.2.100`,
		Args: arguments(0, 0),
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
		Short: "Restore the state before apply, and print the commands that did it",
		Example: `  tandem realserver remove --dry-run
  tandem realserver remove`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			do := f.machine().Remove
			if dry {
				do = f.machine().CheckRemove
			}
			return listSteps(cmd, do)
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print the commands, and change nothing")
	return cmd
}

func newRealServerRun(f *realServerFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "run",
		Short:   "Apply, then repair every change until SIGTERM; SIGTERM itself changes nothing",
		Example: `  tandem realserver run -c /etc/tandem/tandem.toml`,
		Args:    arguments(0, 0),
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
		// The error is ignored: without systemd there is no process to notify.
		_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
	})
}

// listSteps prints the command of each step. If there is an error, it prints the steps before it.
func listSteps(cmd *cobra.Command, do func() ([]realserver.Step, error)) error {
	steps, err := do()
	for _, s := range steps {
		fmt.Fprintln(cmd.OutOrStdout(), s)
	}
	return err
}
