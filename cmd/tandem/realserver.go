// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/doctor"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/logsink"
	statefile "github.com/tandem-lvs/tandem/cmd/tandem/internal/state"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/configs/load"
	"github.com/tandem-lvs/tandem/lvs/realserver"
)

const defaultStateDir = "/var/lib/tandem"

// realServerFlags are the flags for the desired state of a real server. With --vip it is in the flags, otherwise in the file.
type realServerFlags struct {
	config, stateDir string
	name             directorName
	vips             []string
	mode, method     string
	interfaces       []string
	persist          bool
	sysctlDir        string
}

// errNoRealServer is in the error about a missing description of the real server.
var errNoRealServer = errors.New("has no [realserver]: add the section, or use --vip ADDRESS")

func (f *realServerFlags) register(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVarP(&f.config, "config", "c", defaultConfig, "configuration `FILE` with the table [realserver]; not read with --vip")
	f.name.register(flags)
	flags.StringSliceVar(&f.vips, "vip", nil, "virtual `ADDRESS`, instead of those in the file; may be repeated")
	flags.StringVar(&f.mode, "mode", realserver.DirectRouting.String(), "`MODE` in which the director's packets arrive: dr, tunnel or nat; only with --vip (in the file: realserver.mode)")
	flags.StringVar(&f.method, "method", realserver.Sysctl.String(), "`METHOD` that turns ARP off for the addresses: sysctl, or arpfilter for nftables; only with --vip (in the file: realserver.method)")
	flags.StringSliceVar(&f.interfaces, "interface", nil, "`INTERFACE` where ARP is turned off; may be repeated; only with --vip (default: all with an IPv4 address)")
	flags.BoolVar(&f.persist, "persist", false, "also write the sysctls to a file, so that they last over reboots ("+configs.DefaultDropIn+")")
	flags.StringVar(&f.sysctlDir, "sysctl-dir", filepath.Dir(configs.DefaultDropIn), "`DIRECTORY` of the sysctl files")
	flags.StringVar(&f.stateDir, "state-dir", defaultStateDir, "`DIRECTORY` with the record of the former state, which remove restores")
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
		cfg, err := load.As(f.name.is()).ForReview().File(f.config)
		if err != nil {
			return realserver.Config{}, err
		}
		if cfg.RealServer == nil {
			return realserver.Config{}, fmt.Errorf("%s %w", f.config, errNoRealServer)
		}
		want = *cfg.RealServer
		want.Persist = want.Persist || f.persist
	}
	c := realserver.Config{VIPs: want.VIPs, Interfaces: want.Interfaces}
	if want.Persist {
		c.DropIn = f.dropIn()
	}
	if c.Mode.UnmarshalText([]byte(want.Mode)) != nil {
		return c, fmt.Errorf("--mode: unknown value %q: write dr, tunnel or nat", want.Mode)
	}
	if c.Method.UnmarshalText([]byte(want.Method)) != nil {
		return c, fmt.Errorf("--method: unknown value %q: write sysctl or arpfilter", want.Method)
	}
	return c, nil
}

// loadOrRecorded returns the desired state. If neither a flag nor a file gives it, the desired state is what was last applied.
func (f *realServerFlags) loadOrRecorded() (realserver.Config, error) {
	c, err := f.load()
	if !errors.Is(err, errNoRealServer) && !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	recorded, e := f.machine().Recorded()
	if e != nil {
		return c, e
	}
	if len(recorded.VIPs) == 0 {
		return c, fmt.Errorf("%w; and there is no record of an earlier apply on this machine", err)
	}
	if f.persist {
		recorded.DropIn = f.dropIn()
	}
	return recorded, nil
}

// dropIn is the file that keeps the sysctls over reboots.
func (f *realServerFlags) dropIn() string {
	return filepath.Join(f.sysctlDir, filepath.Base(configs.DefaultDropIn))
}

// command returns the command that applies c as it prints here: with the file that says c, or with flags.
func (f *realServerFlags) command(c realserver.Config) string {
	words := []string{"tandem", "realserver", "apply"}
	if fromFile, err := f.load(); len(f.vips) == 0 && err == nil && reflect.DeepEqual(fromFile, c) {
		if f.config != defaultConfig {
			words = append(words, "-c", f.config)
		}
		if f.name != "" {
			words = append(words, "--name", string(f.name))
		}
	} else {
		for _, vip := range c.VIPs {
			words = append(words, "--vip", vip.String())
		}
		if c.Mode != realserver.DirectRouting {
			words = append(words, "--mode", c.Mode.String())
		}
		if c.Method != realserver.Sysctl {
			words = append(words, "--method", c.Method.String())
		}
		for _, name := range c.Interfaces {
			words = append(words, "--interface", name)
		}
	}
	if c.DropIn != "" {
		words = append(words, "--persist")
	}
	if f.sysctlDir != filepath.Dir(configs.DefaultDropIn) && c.DropIn != "" {
		words = append(words, "--sysctl-dir", f.sysctlDir)
	}
	if f.stateDir != defaultStateDir {
		words = append(words, "--state-dir", f.stateDir)
	}
	return strings.Join(words, " ")
}

func (f *realServerFlags) machine() *realserver.Machine {
	return realserver.New(realserver.Options{
		Log: logsink.Direct("info", configs.LogAuto).Named("realserver"), StateDir: f.stateDir, Operator: operator(),
		Record: realServerRecord(f.stateDir), WriteFile: statefile.Replace, Directed: f.directed(),
	})
}

// realServerRecord is the file with the record of the former state.
func realServerRecord(stateDir string) *statefile.File[realserver.Saved] {
	return statefile.New[realserver.Saved](filepath.Join(stateDir, "realserver.json"),
		statefile.Options{Flat: true, KeepDamaged: true, NoZero: true, Mode: 0o644})
}

// directed returns a function that asks the director on this machine for its virtual addresses. It remembers the answer for a
// while, because a real server that is kept looks every second.
func (f *realServerFlags) directed() func() []netip.Addr {
	const fresh, patience = 30 * time.Second, time.Second
	var asked time.Time
	var vips []netip.Addr
	return func() []netip.Addr {
		if !asked.IsZero() && time.Since(asked) < fresh {
			return vips
		}
		asked, vips = time.Now(), nil
		if !doctor.DirectorRuns() {
			return nil // who answers on the socket is not in this network namespace
		}
		socket := socketFlags{config: f.config, name: f.name}
		path, err := socket.path(false)
		if err != nil {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		status, err := control.NewClient(path).Status(ctx)
		if err != nil {
			return nil // no director runs
		}
		for _, r := range status.VRRP {
			for _, vip := range slices.Concat(r.VIPs, r.ExcludedVIPs) {
				vips = append(vips, vip.Addr())
			}
		}
		return vips
	}
}

func newRealServer() *cobra.Command {
	var f realServerFlags
	cmd := &cobra.Command{
		Use:   "realserver",
		Short: "Prepare this machine as a real server for direct routing or tunnels",
		Long: `Prepare this machine as a real server. tandem first turns ARP off for the virtual addresses. Then it adds
the addresses to lo (mode dr) or to a tunnel interface (mode tunnel). In mode nat it only sets the default
route, through the virtual address that the directors have in this machine's network. The first "apply"
records the state before it. "remove" restores that state. Without --vip, the settings are those of the
table [realserver] in the configuration file. All of these commands need root.`,
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
	const sets = "sets addresses, sysctls and the ARP filter"
	cmd.AddCommand(sayingRoot(newRealServerApply(&f), sets), sayingRoot(newRealServerCheck(&f), "reads the ARP filter and the record of apply"),
		sayingRoot(newRealServerRemove(&f), sets), sayingRoot(newRealServerRun(&f), sets))
	return cmd
}

func newRealServerApply(f *realServerFlags) *cobra.Command {
	var dry, asJSON bool
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Prepare this machine, and print the commands that did it",
		Long: `Prepare this machine, and print the commands that did it. It refuses an address that the machine depends on:
the only one on an interface, a leased one, the source of the default route, or a VIP of a director that
runs on this machine. Any other address counts as a VIP that somebody has put in the wrong place: it moves
to lo, or to the tunnel interface, and "tandem realserver remove" brings it back. --dry-run shows that.`,
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
			if asJSON {
				return stepsJSON(cmd, dry, func() ([]realserver.Step, error) { return do(c) })
			}
			n, err := listSteps(cmd, func() ([]realserver.Step, error) { return do(c) })
			if n > 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "note:", f.lasting(c))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print the commands, and change nothing")
	registerJSON(cmd, &asJSON, "the commands")
	return cmd
}

func newRealServerRemove(f *realServerFlags) *cobra.Command {
	var dry, asJSON bool
	cmd := &cobra.Command{
		Use:   "remove",
		Short: "Restore the state before apply, and print the commands that did it",
		Long: `Restore the state before the first "apply", and print the commands that did it. While "tandem realserver run" is
running, for example as tandem-realserver.service, "remove" changes nothing and fails: the settings would come back
within a second.`,
		Example: `  tandem realserver remove --dry-run
  tandem realserver remove`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			do := f.machine().Remove
			if dry {
				do = f.machine().CheckRemove
			}
			if asJSON {
				return stepsJSON(cmd, dry, do)
			}
			n, err := listSteps(cmd, do)
			if err == nil && n == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "nothing to remove: this machine is as it was before apply")
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print the commands, and change nothing")
	registerJSON(cmd, &asJSON, "the commands")
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

// listSteps prints each step as the command that does the same, also the steps before an error, and counts them.
func listSteps(cmd *cobra.Command, do func() ([]realserver.Step, error)) (int, error) {
	steps, err := do()
	for _, s := range steps {
		fmt.Fprintln(cmd.OutOrStdout(), s)
	}
	return len(steps), err
}

// stepsJSON is listSteps for programs. An error is told on standard error, after the commands that ran before it.
func stepsJSON(cmd *cobra.Command, dry bool, do func() ([]realserver.Step, error)) error {
	steps, err := do()
	printed := writeJSON(cmd.OutOrStdout(), map[string]any{"dry_run": dry, "commands": commandsOf(steps)})
	return errors.Join(err, printed)
}

// commandsOf returns each step as the command that does the same.
func commandsOf(steps []realserver.Step) []string {
	commands := make([]string, len(steps))
	for i, s := range steps {
		commands[i] = fmt.Sprint(s)
	}
	return commands
}
