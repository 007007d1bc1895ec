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
)

func newApply() *cobra.Command {
	var s socketFlags
	var confirm time.Duration
	var noProbe, asJSON bool
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

The exit code is 0 if the configuration is in force, and 1 if it was refused.`,
		Example: `  git -C /etc/tandem pull && tandem apply --confirm 5m
  tandem confirm

  tandem plan -c new.toml
  tandem apply 0f3c9a51d2e7 --confirm 5m
  tandem apply new.toml`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := validConfirm(cmd, confirm); err != nil {
				return err
			}
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			r := control.ApplyRequest{ConfirmSeconds: confirm.Seconds()}
			if len(args) == 1 && isPlan(args[0]) {
				r.Plan = args[0]
				return apply(cmd, client, r, true, asJSON)
			}
			request := control.PlanRequest{Own: true}
			if len(args) == 1 {
				request, err = planRequest(args[0], s.name.is())
			} else if cmd.Flags().Changed("config") {
				request, err = planRequest(s.config, s.name.is())
			}
			if err != nil {
				return err
			}
			request.NoProbe = noProbe
			p, err := client.Plan(cmd.Context(), request)
			if err != nil {
				return err
			}
			if !asJSON {
				if err := printPlan(cmd.OutOrStdout(), p); err != nil {
					return err
				}
			}
			if len(p.Refused) > 0 {
				return errors.New(strings.Join(p.Refused, "\n"))
			}
			if r.Plan = p.ID; len(p.Lines) == 0 {
				r.ConfirmSeconds = 0 // there is nothing to go back to
			} else if !asJSON {
				fmt.Fprintln(cmd.OutOrStdout())
			}
			return apply(cmd, client, r, false, asJSON)
		},
	}
	s.register(cmd)
	cmd.Flag("config").Usage = "configuration `FILE` that names the control socket; without ID and FILE, also the one to apply"
	registerConfirm(cmd, &confirm)
	registerJSON(cmd, &asJSON, "what is in force")
	cmd.Flags().BoolVar(&noProbe, "no-probe", false, "do not check new real servers")
	return cmd
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
	cmd := &cobra.Command{
		Use:   "confirm",
		Short: "Keep the configuration that waits for confirmation",
		Long: `Keep the configuration that tandem apply --confirm or tandem rollback --confirm put into force. Without this,
the director rolls back when the time is over. The exit code is 1 if nothing waits for confirmation.`,
		Example: `  tandem confirm`,
		Args:    arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := s.client(cmd)
			if err != nil {
				return err
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
	return cmd
}

func newRollback() *cobra.Command {
	var s socketFlags
	var asJSON bool
	var confirm time.Duration
	cmd := &cobra.Command{
		Use:   "rollback [N]",
		Short: "Put a former configuration into force again",
		Long: `Put revision N of tandem config log into force again. Without N, it is the former one, if the present
configuration waits for confirmation, and otherwise the latest one that differs. The rollback is a new revision
itself: tandem rollback without N goes forth again.

The director never writes its own file. The former configuration counts, over reloads and restarts, until that
file changes: see tandem apply --help.

Keys, passwords in files of their own, and variables have their present values. If the configuration needs a
secret that is no longer there, it is refused.`,
		Example: `  tandem rollback
  tandem config log
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
	return cmd
}
