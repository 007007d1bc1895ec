// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"os/user"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill/live"
	"github.com/tandem-lvs/tandem/configs/load"
)

// errDrillFailed is the error of a drill that has told why it failed. The exit code is 2.
var errDrillFailed = planned("")

// drillFlags are the flags of tandem drill.
type drillFlags struct {
	socketFlags
	process, server           string
	hold, max, budget, settle time.Duration
	times, lose, flaps        int
	stay, dryRun, asJSON      bool
	probes                    []string
	key                       string
	scheduled                 bool
}

func newDrill() *cobra.Command {
	var f drillFlags
	var about strings.Builder
	for _, k := range drill.Kinds() {
		fmt.Fprintf(&about, "  %-9s %s\n", k, k.About())
	}
	cmd := &cobra.Command{
		Use:   "drill KIND",
		Short: "Make a failure on purpose, measure it, undo it, and say whether the pair passed",
		Long: `Make a failure of this director, which is the master, and measure how the peer takes over. Then undo the
failure, wait until all is as before, and compare: virtual routers, services, addresses, routes, processes.
KIND is one of

` + about.String() + `
With server, no virtual router moves. The real server that --server names is disabled on both directors, over the
channel of [peer], as with tandem disable, and then enabled: it leaves the kernels' tables and comes back as when its
check fails and passes again. Its established connections end: --lose says how many may. The report says how soon
both kernels had the change, and with --probe how many requests of clients failed. The drill is refused if the
server is the last healthy one of its service, or is drained, disabled or unhealthy already. If somebody else
disables it meanwhile, it stays disabled. With a slow_start, give a --settle that is longer.

First the state of both directors is examined, over the channel of [peer]. A drill that would hurt is refused
with the reason: the peer cannot be asked or would not take over, the configurations are unequal, a service has
no healthy server there, connections would be lost, another drill is under way here. --dry-run ends after that,
and says what would be done.

The failure is undone by another process, the dead-man's switch. It undoes the failure also if this command is
killed, if the terminal or the network is gone, and after --max in any case. Its report then says so.

The outage comes from the histories of both directors, and from the announcements that are heard here: it is the
longest time in which nobody was known to be master. A director that is stopped or dead goes on forwarding in
its kernel, so clients may have seen less. With --probe, a machine of a client on which tandem probe --listen waits
asks the service meanwhile, and the report also has what it saw: outage, first answer, broken connections. --budget is
then about its outage. The drill is refused if it gets no answer before the failure. If it keeps connections open (--flows),
the failure waits up to 10 s until the peer has them.

The director is told of each drill: tandem status warns while one is under way and has the last one of each kind,
tandem history has its steps, and the metrics tandem_drill_… the last outage and the last success. Reports are in
drills.json of the state directory, the last 100: see tandem drill history. [drill] in the configuration makes
drills by a schedule, and the event drill of a [[hook]] has the result of each. The exit code is 0 if
all drills passed, 2 if one failed, and 1 if one was refused.`,
		Example: `  tandem drill failover --dry-run
  tandem drill failover --budget 10ms
  tandem drill freeze --budget 4s --times 3
  tandem drill crash --process election
  tandem drill cable --budget 4s --probe 192.0.2.50:8475 --key probe.key
  tandem drill server --server www/192.0.2.11 --lose 200 --probe 192.0.2.50:8475 --key probe.key
  tandem drill history`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return runDrills(cmd, &f, args[0]) },
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.process, "process", "both", "which `PROCESS` of this director crashes or freezes: director, election or both")
	cmd.Flags().StringVar(&f.server, "server", "", "the real server that server takes out: `SERVICE/ADDRESS` or SERVICE/ADDRESS:PORT")
	f.completeFlag(cmd, "server", serverNames)
	cmd.Flags().DurationVar(&f.hold, "hold", 0, "how long the failure lasts; with flap, each time down and up (default: long enough for the peer to take over; 1s with flap, 2s with server)")
	cmd.Flags().IntVar(&f.flaps, "flaps", 3, "how `OFTEN` flap takes the interfaces down, at most 20")
	cmd.Flags().DurationVar(&f.max, "max", time.Minute, "undo the failure after this time in any case")
	cmd.Flags().DurationVar(&f.budget, "budget", 0, "fail if the outage is longer (default: any outage passes)")
	cmd.Flags().DurationVar(&f.settle, "settle", time.Minute, "how long it may take until all is as before")
	cmd.Flags().IntVar(&f.times, "times", 1, "repeat the drill `N` times; the first that does not pass is the last")
	cmd.Flags().IntVar(&f.lose, "lose", 0, "allow that `N` established connections are lost")
	cmd.Flags().StringArrayVar(&f.probes, "probe", nil, "have the tandem probe that listens at `ADDRESS:PORT` watch as a client; can be given several times")
	cmd.Flags().StringVar(&f.key, "key", "", "key `FILE` of the probes")
	cmd.Flags().BoolVar(&f.stay, "stay", false, "the peer may stay master (for preempt = false)")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "examine the pair, say what would be done, and do nothing")
	cmd.Flags().BoolVar(&f.scheduled, "scheduled", false, "the director runs the command, by its schedule")
	_ = cmd.Flags().MarkHidden("scheduled")
	registerJSON(cmd, &f.asJSON, "the reports")
	cmd.ValidArgs = drill.Names()
	cmd.AddCommand(newDrillHistory(), newDrillSwitch())
	return cmd
}

// drill returns what the flags ask for.
func (f *drillFlags) drill(cmd *cobra.Command, kind string) (*live.Drill, error) {
	order, err := f.order(cmd, kind)
	if err != nil {
		return nil, err
	}
	key, err := f.probeKey()
	if err != nil {
		return nil, err
	}
	asked := cmd.Flags().Changed("config")
	d := &live.Drill{
		Order: order, Settle: f.settle, DryRun: f.dryRun, SwitchArgs: []string{"drill", "switch"}, Probes: f.probes, ProbeKey: key,
	}
	if d.Socket, err = f.path(asked); err != nil {
		return nil, err
	}
	if !asked {
		// The state directory is that of the running director.
		is, err := control.NewClient(d.Socket).Status(cmd.Context())
		if err != nil {
			return nil, err
		}
		if is.Config.File != "" {
			f.config, asked = is.Config.File, true
		}
	}
	if d.StateDir, err = f.stateDir(asked); err != nil {
		return nil, err
	}
	d.Session = operator().Local
	if u, err := user.Current(); err == nil {
		d.By = u.Username
	}
	if f.scheduled {
		d.By = "the schedule"
	}
	return d, nil
}

// order returns the order that the flags give.
func (f *drillFlags) order(cmd *cobra.Command, kind string) (order drill.Order, err error) {
	order = drill.Order{Server: f.server, Hold: f.hold, Max: f.max, Budget: f.budget, Lose: f.lose, Stay: f.stay, Flaps: f.flaps}
	if order.Kind, err = drill.ParseKind(kind); err != nil {
		return order, err
	}
	if !cmd.Flags().Changed("budget") {
		order.Budget = -1
	}
	switch f.process {
	case drill.DirectorProcess, drill.ElectionProcess:
		order.Process = f.process
	case "both":
	default:
		return order, fmt.Errorf("--process: there is no process %q: want director, election or both", f.process)
	}
	switch {
	case f.hold < 0 || f.settle < 0 || cmd.Flags().Changed("budget") && f.budget < 0:
		return order, errors.New("--hold, --settle and --budget: want no negative time")
	case f.times < 1:
		return order, fmt.Errorf("--times: %d is too few: want at least 1", f.times)
	case f.flaps < 1 || f.flaps > drill.MaxFlaps:
		return order, fmt.Errorf("--flaps: %d: want 1 to %d", f.flaps, drill.MaxFlaps)
	case cmd.Flags().Changed("flaps") && order.Kind != drill.Flap:
		return order, fmt.Errorf("--flaps is for flap, not for %s", order.Kind)
	case cmd.Flags().Changed("process") && order.Kind != drill.Crash && order.Kind != drill.Freeze:
		return order, fmt.Errorf("--process is for crash and freeze, not for %s", order.Kind)
	case f.server != "" && order.Kind != drill.RealServer:
		return order, fmt.Errorf("--server is for server, not for %s", order.Kind)
	case f.server == "" && order.Kind == drill.RealServer:
		return order, errors.New("--server is missing: write which real server leaves, for example --server www/192.0.2.11")
	}
	if f.server != "" {
		if err := drill.ParseServer(f.server); err != nil {
			return order, fmt.Errorf("--server: %w", err)
		}
	}
	return order, nil
}

// probeKey reads the key of the probes.
func (f *drillFlags) probeKey() ([]byte, error) {
	switch {
	case len(f.probes) == 0 && f.key != "":
		return nil, errors.New("--key is for --probe")
	case len(f.probes) == 0:
		return nil, nil
	case f.key == "":
		return nil, errors.New("--probe needs --key: see tandem probe --help")
	}
	for _, address := range f.probes {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return nil, fmt.Errorf("--probe %s: want ADDRESS:PORT", address)
		}
	}
	return load.Key(f.key)
}

// runDrills makes the drills, and prints their reports.
func runDrills(cmd *cobra.Command, f *drillFlags, kind string) error {
	d, err := f.drill(cmd, kind)
	if err != nil {
		return err
	}
	// SIGHUP: the terminal is gone. The comparison and the report are still made.
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	progress := cmd.OutOrStdout()
	if f.asJSON {
		progress = cmd.ErrOrStderr()
	}
	d.Tell = func(format string, args ...any) { fmt.Fprintf(progress, format+"\n", args...) }
	all := []drill.Report{}
	for range f.times {
		report, err := d.Run(ctx)
		if err != nil && report.Ended.IsZero() {
			return err
		}
		all = append(all, report)
		if !f.asJSON && !report.Ended.IsZero() {
			fmt.Fprint(cmd.OutOrStdout(), report.Text())
		}
		if err != nil {
			return fmt.Errorf("the report is not kept: %w", err)
		}
		if !report.Passed || ctx.Err() != nil {
			break
		}
	}
	if f.asJSON {
		if err := writeJSON(cmd.OutOrStdout(), all); err != nil {
			return err
		}
	}
	last := all[len(all)-1]
	switch {
	case len(last.Refused) > 0:
		return errPrinted
	case !f.dryRun && !last.Passed:
		return errDrillFailed
	}
	return nil
}

func newDrillHistory() *cobra.Command {
	var s socketFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Show the drills of this director",
		Long: `Show the drills that were made on this director, the latest last, and why some of them failed. They are in
drills.json of the state directory, which -c names.`,
		Example: `  tandem drill history
  tandem drill history --json | jq '.[-1].outage_seconds'`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := s.stateDir(cmd.Flags().Changed("config"))
			if err != nil {
				return err
			}
			all, err := live.Reports(dir)
			if err != nil {
				return fmt.Errorf("failed to read the reports: %w", err)
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), append([]drill.Report{}, all...))
			}
			return printDrills(cmd.OutOrStdout(), all)
		},
	}
	s.register(cmd)
	registerJSON(cmd, &asJSON, "the reports")
	return cmd
}

// printDrills prints a line for each drill, and its failures.
func printDrills(w io.Writer, all []drill.Report) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "no drill was made yet")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "BEGAN\tKIND\tRESULT\tOUTAGE\tCLIENTS\tBUDGET\tFAILURES")
	dash := func(s *drill.Seconds) string {
		if s == nil {
			return "-"
		}
		return s.String()
	}
	for _, r := range all {
		why := "-"
		if len(r.Failures) > 0 {
			why = strings.Join(r.Failures, "; ")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Began.Local().Format(time.DateTime), r.Kind, r.Result(), dash(r.Outage),
			dash(r.ClientsOutage), dash(r.Budget), why)
	}
	return t.Flush()
}

// newDrillSwitch returns the command of the process that undoes a fault. It is hidden: it works only with orders from a drill.
func newDrillSwitch() *cobra.Command {
	return &cobra.Command{
		Use:    "switch",
		Short:  "Undo the failure of a drill (started by tandem drill)",
		Hidden: true,
		Args:   arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return live.RunSwitch(os.Stdin, os.Stdout)
		},
	}
}
