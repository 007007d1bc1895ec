// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/rollout"
)

// applyFlags are the flags of tandem apply.
type applyFlags struct {
	socketFlags
	confirm         time.Duration
	noProbe, asJSON bool
	pair            pairFlags
}

func newApply() *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "apply [ID|FILE]",
		Short: "Put a configuration into force, and roll back unless it is confirmed",
		Long: `Put a configuration into force. ID is that of a plan: the director applies what was planned, unless another
configuration came into force since. FILE is planned first, and the plan is printed. Without both, the file is
that of -c, or the director's own file.

With --confirm, the director rolls back by itself after that time, unless tandem confirm comes first.
tandem rollback does it at once. The time goes on when the director is killed and started again. It does not
depend on the wall clock. After a restart of the machine, the director rolls back. Meanwhile every other
configuration is refused, also by tandem reload and SIGHUP. tandem status says what waits, and until when.

The director never writes its own file: that file is the operator's, and perhaps a git checkout. It keeps a copy
of what is in force in the state directory. That copy counts, over reloads and restarts, until the director's
own file changes. So after a rollback, the file with the mistake stays where it is, but it does not come into
force again before it is changed, or applied. An edit always counts at the next reload or restart. While
another configuration than that of the own file is in force, tandem status warns.

The last 20 configurations are kept with the files that they include, at most 64 MiB: see tandem config log.
They have mode 0600. Secrets that a configuration keeps in other files, and variables, are not copied.

If the disk of the state directory is full or read-only, a configuration that must be confirmed is refused:
after a restart nobody would know that it must be rolled back. Without --confirm it is applied, and a warning
says that a restart would forget it.

With --pair, both directors do it, over the channel of [peer]. Both plan first; if one refuses, nothing changes.
The director that is master of fewer virtual routers is the first. The other one follows when the first is
healthy: whatever was well before is well again, within --wait. If something fails, or with Ctrl-C, what was
applied is rolled back, and the command says what is in force where. A director that cannot be reached any more
rolls back by itself. Without FILE, each director applies its own file. A FILE for both ([director.NAME]) goes
over the channel if the other director has peer.accept_config. With --confirm, tandem confirm --pair is needed
afterwards; otherwise the command confirms both. What both must change at the same moment (vrid, version) leads
to two masters in between, so it is rolled back: apply that on each director.

The exit code is 0 if the configuration is in force, and 1 if it was refused.`,
		Example: `  git -C /etc/tandem pull && tandem apply --confirm 5m
  tandem confirm

  tandem plan -c new.toml
  tandem apply 0f3c9a51d2e7 --confirm 5m
  tandem apply new.toml

  tandem apply --pair
  tandem apply both.toml --pair --confirm 10m && tandem confirm --pair`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := validConfirm(cmd, f.confirm); err != nil {
				return err
			}
			if cmd.Flags().Changed("wait") && !f.pair.on {
				return errors.New("--wait has no meaning without --pair")
			}
			client, err := f.client(cmd)
			if err != nil {
				return err
			}
			r := control.ApplyRequest{ConfirmSeconds: f.confirm.Seconds()}
			if len(args) == 1 && isPlan(args[0]) {
				if f.pair.on {
					return fmt.Errorf("%s is the plan of one director: with --pair, both plan themselves; give FILE or nothing", args[0])
				}
				r.Plan = args[0]
				return apply(cmd, client, r, true, f.asJSON)
			}
			return planAndApply(cmd, client, r, &f, args)
		},
	}
	f.register(cmd)
	cmd.Flag("config").Usage = "configuration `FILE` that names the control socket; without ID and FILE, also the one to apply"
	registerConfirm(cmd, &f.confirm)
	registerJSON(cmd, &f.asJSON, "what is in force")
	cmd.Flags().BoolVar(&f.noProbe, "no-probe", false, "do not check new real servers")
	f.pair.register(cmd, "put it into force on both directors of the pair, one after the other")
	f.pair.registerWait(cmd)
	return cmd
}

// planAndApply plans the FILE of the arguments, or that of -c or of the director, and applies it.
func planAndApply(cmd *cobra.Command, client *control.Client, r control.ApplyRequest, f *applyFlags, args []string) (err error) {
	request := control.PlanRequest{Own: true}
	if len(args) == 1 {
		request, err = planRequest(args[0], f.name.is())
	} else if cmd.Flags().Changed("config") {
		request, err = planRequest(f.config, f.name.is())
	}
	if err != nil {
		return err
	}
	request.NoProbe = f.noProbe
	if f.pair.on {
		there := request
		there.Name = "" // the other director knows its own
		return applyPair(cmd, client, request, there, f.pair, f.confirm, f.asJSON)
	}
	p, err := client.Plan(cmd.Context(), request)
	if err != nil {
		return err
	}
	if !f.asJSON {
		if err := printPlan(cmd.OutOrStdout(), p); err != nil {
			return err
		}
	}
	if len(p.Refused) > 0 {
		return errors.New(strings.Join(p.Refused, "\n"))
	}
	if r.Plan = p.ID; len(p.Lines) == 0 {
		r.ConfirmSeconds = 0 // there is nothing to go back to
	} else if !f.asJSON {
		fmt.Fprintln(cmd.OutOrStdout())
	}
	return apply(cmd, client, r, false, f.asJSON)
}

// apply applies a plan. With lines, it prints the changes.
func apply(cmd *cobra.Command, client *control.Client, r control.ApplyRequest, lines, asJSON bool) error {
	done, err := client.Apply(cmd.Context(), r)
	if err != nil {
		return err
	}
	return printApplied(cmd, done.File+" is in force", done, lines, asJSON)
}

// planID is the form of a plan's ID.
var planID = regexp.MustCompile("^[0-9a-f]{12}$")

// isPlan tells whether an argument is the ID of a plan, and not the name of a file.
func isPlan(arg string) bool {
	_, err := os.Stat(arg)
	return planID.MatchString(arg) && err != nil
}

// registerConfirm adds the flag --confirm.
func registerConfirm(cmd *cobra.Command, confirm *time.Duration) {
	cmd.Flags().DurationVar(confirm, "confirm", 0, "roll back after this `TIME` (1s to 24h) unless tandem confirm comes")
}

// validConfirm checks --confirm.
func validConfirm(cmd *cobra.Command, confirm time.Duration) error {
	if cmd.Flags().Changed("confirm") && (confirm < control.MinConfirm || confirm > control.MaxConfirm) {
		return fmt.Errorf("--confirm: %s is out of range: want 1s to 24h", confirm)
	}
	return nil
}

// printApplied says what is in force; with lines, also what has changed. As JSON, it prints everything.
func printApplied(cmd *cobra.Command, what string, done control.Applied, lines, asJSON bool) error {
	if asJSON {
		return writeJSON(cmd.OutOrStdout(), done)
	}
	if lines {
		if err := printLines(cmd.OutOrStdout(), done.Lines); err != nil {
			return err
		}
	}
	text := "ok: " + what
	if done.Revision > 0 {
		text += fmt.Sprintf(", as revision %d", done.Revision)
	}
	if w := done.Waits; w != nil {
		text += fmt.Sprintf("\nrun tandem confirm before %s (in %s): otherwise revision %d follows",
			w.Until.Local().Format("2006-01-02 15:04:05"), time.Until(w.Until).Round(time.Second), w.Former)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	warn(cmd, done.Warnings)
	warnNotRemembered(cmd, done.NotRemembered)
	return err
}

func newConfirm() *cobra.Command {
	var s socketFlags
	var asJSON bool
	var pair pairFlags
	cmd := &cobra.Command{
		Use:   "confirm",
		Short: "Keep the configuration that waits for confirmation",
		Long: `Keep the configuration that tandem apply --confirm or tandem rollback --confirm put into force. Without this,
the director rolls back when the time is over. The exit code is 1 if nothing waits for confirmation.

With --pair, both directors keep theirs: first the other one. If it cannot be reached, nothing is confirmed here.`,
		Example: `  tandem confirm
  tandem confirm --pair`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			if pair.on {
				return endPair(cmd, client, rollout.InForce, asJSON, rollout.Director.Confirm)
			}
			done, err := client.Confirm(cmd.Context())
			if err != nil {
				return err
			}
			return printApplied(cmd, done.File+" stays in force", done, false, asJSON)
		},
	}
	s.register(cmd)
	registerJSON(cmd, &asJSON, "what is in force")
	pair.register(cmd, "on both directors of the pair")
	return cmd
}

func newRollback() *cobra.Command {
	var s socketFlags
	var asJSON bool
	var confirm time.Duration
	var pair pairFlags
	var peerRevision int
	cmd := &cobra.Command{
		Use:   "rollback [N]",
		Short: "Put a former configuration into force again",
		Long: `Put revision N of tandem config log into force again. Without N, it is the former one, if the present
configuration waits for confirmation, and otherwise the latest one that differs. The rollback is a new revision
itself: tandem rollback without N goes forth again.

The director never writes its own file. The former configuration counts, over reloads and restarts, until that
file changes: see tandem apply --help.

Keys, passwords in files of their own, and variables have their present values. If the configuration needs a
secret that is no longer there, it is refused.

With --pair and without N, both directors roll back what waits for confirmation: first the other one.

With --pair and N, both put a former configuration into force again, as tandem apply --pair does it: both plan first,
then one follows the other when that is healthy, and if something fails, both are as before. N is a revision of
this director. If it was one file for both directors, the other one finds that file among its own revisions. If each
has a file of its own, --peer-revision says which revision the other one goes back to: run tandem config log there.`,
		Example: `  tandem rollback
  tandem config log
  tandem plan --revision 7
  tandem rollback 7 --confirm 5m`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := control.RollbackRequest{ConfirmSeconds: confirm.Seconds()}
			if err := validConfirm(cmd, confirm); err != nil {
				return err
			}
			var err error
			if r.Revision, err = revisionNumber(args, 0); err != nil {
				return err
			}
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			there := control.PlanRequest{Revision: peerRevision}
			switch given := cmd.Flags().Changed; {
			case (given("wait") || given("peer-revision")) && (!pair.on || len(args) == 0):
				return errors.New("--wait and --peer-revision have no meaning without N and --pair")
			case given("peer-revision") && peerRevision < 1:
				return fmt.Errorf("--peer-revision: %d is not the number of a revision: run tandem config log on the other director", peerRevision)
			case pair.on && len(args) > 0:
				return rollbackPair(cmd, client, control.PlanRequest{Revision: r.Revision}, there, pair, confirm, asJSON)
			case pair.on && confirm > 0:
				return errors.New("--pair without N rolls back what waits for confirmation: leave --confirm out")
			case pair.on:
				return endPair(cmd, client, rollout.RolledBack, asJSON, rollout.Director.Rollback)
			}
			done, err := client.Rollback(cmd.Context(), r)
			if err != nil {
				return err
			}
			return printApplied(cmd, done.File+" is in force again", done, true, asJSON)
		},
	}
	s.register(cmd)
	registerJSON(cmd, &asJSON, "what is in force")
	registerConfirm(cmd, &confirm)
	pair.register(cmd, "on both directors of the pair")
	pair.registerWait(cmd)
	cmd.Flags().IntVar(&peerRevision, "peer-revision", 0, "with --pair: the revision `N` of the other director, if its files are not those of this one")
	return cmd
}
