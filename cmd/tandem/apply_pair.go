// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/rollout"
)

// pairFlags are those of a command for both directors.
type pairFlags struct {
	on   bool
	wait time.Duration // for health
}

func (f *pairFlags) register(cmd *cobra.Command, usage string) {
	cmd.Flags().BoolVar(&f.on, "pair", false, usage)
}

func (f *pairFlags) registerWait(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.wait, "wait", time.Minute, "with --pair: how long a director may take to become healthy, before all is rolled back")
}

// minPairWait is the shortest time for a director to become healthy.
const minPairWait = 2 * time.Second

// errNoPeer says that a command for both directors needs a channel.
var errNoPeer = errors.New("this director has no channel to another one: see tandem peer init --help")

// bothStatuses returns the states of both directors. The error says that the other one cannot be asked.
func bothStatuses(ctx context.Context, client *control.Client) (here, there control.Status, err error) {
	if here, err = client.Status(ctx); err != nil {
		return here, there, err
	}
	if here.Peer == nil {
		return here, there, errNoPeer
	}
	there, err = client.PeerStatus(ctx)
	return here, there, err
}

// applyPair puts a configuration into force on both directors.
func applyPair(cmd *cobra.Command, client *control.Client, here, there control.PlanRequest, pair pairFlags, confirm time.Duration, asJSON bool) error {
	if pair.wait < minPairWait {
		return fmt.Errorf("--wait: %s is too short: want at least %s", pair.wait, minPairWait)
	}
	if confirm > 0 && confirm <= pair.wait {
		return fmt.Errorf("--confirm %s is too short with --pair: it begins with the first director, and that may need %s to become healthy (--wait)",
			confirm, pair.wait)
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	is, other, err := bothStatuses(ctx, client)
	if err != nil {
		return err
	}
	if lacks := is.Peer.Lacks(); len(lacks) > 0 {
		return fmt.Errorf("%s is older (tandem %s) and cannot answer: %s; install tandem %s there first, or run tandem apply on each director",
			other.Name, is.Peer.Version, strings.Join(lacks, ", "), is.Version)
	}
	r := &rollout.Rollout{
		Here:  rollout.Side{Director: rollout.Here{Client: client}, Name: is.Name, Before: is},
		There: rollout.Side{Director: rollout.There{Client: client}, Name: other.Name, Before: other},
		Wait:  pair.wait, Confirm: confirm,
		Tell: func(format string, args ...any) {
			if !asJSON {
				fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...)
			}
		},
		Planned: func(s *rollout.Side) error { return printSide(cmd, s, asJSON) },
	}
	if err = r.Prepare(ctx, here, there); err == nil {
		err = r.Run(ctx)
	}
	for _, s := range []*rollout.Side{&r.There, &r.Here} {
		warn(cmd, prefixed(s.Name, s.Warnings))
		if s.NotRemembered != "" {
			warn(cmd, []string{fmt.Sprintf("%s: in force; not yet remembered: %s. A restart would forget it.", s.Name, s.NotRemembered)})
		}
	}
	if asJSON {
		return printRollout(cmd, r, err)
	}
	if err == nil {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), concluded(r))
	}
	return err
}

// rollbackPair puts a former configuration into force on both directors. If it is not said which one the other director goes back to, it is
// the one with the same files.
func rollbackPair(cmd *cobra.Command, client *control.Client, here, there control.PlanRequest, pair pairFlags, confirm time.Duration, asJSON bool) error {
	if there.Revision == 0 {
		log, err := client.ConfigLog(cmd.Context())
		if err != nil {
			return err
		}
		i := slices.IndexFunc(log.Revisions, func(r control.Revision) bool { return r.Number == here.Revision })
		if i < 0 {
			return fmt.Errorf("there is no revision %d: see tandem config log", here.Revision)
		}
		there.Former = log.Revisions[i].SHA256
	}
	err := applyPair(cmd, client, here, there, pair, confirm, asJSON)
	if err != nil && there.Former != "" && strings.Contains(err.Error(), there.Former) {
		err = fmt.Errorf("%w\nif the directors have files of their own, say which revision the other one goes back to: --peer-revision N", err)
	}
	return err
}

// printSide prints the plan of one director.
func printSide(cmd *cobra.Command, s *rollout.Side, asJSON bool) error {
	warn(cmd, prefixed(s.Name, s.Plan.Warnings))
	if asJSON {
		return nil
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: ", s.Name)
	if err := printPlan(cmd.OutOrStdout(), s.Plan); err != nil {
		return err
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout())
	return err
}

// prefixed puts a name before each sentence.
func prefixed(name string, sentences []string) (all []string) {
	for _, s := range sentences {
		all = append(all, name+": "+s)
	}
	return all
}

// concluded says what is in force on both directors, when all went well.
func concluded(r *rollout.Rollout) string {
	var parts []string
	var until time.Time
	for _, s := range []*rollout.Side{&r.Here, &r.There} {
		switch result := s.Result; result.Outcome {
		case rollout.Unchanged:
			parts = append(parts, fmt.Sprintf("%s had it already, as revision %d", s.Name, result.Revision))
		default:
			if parts = append(parts, fmt.Sprintf("%s has revision %d", s.Name, result.Revision)); until.IsZero() || result.Until.Before(until) {
				until = result.Until
			}
		}
	}
	text := "ok: " + strings.Join(parts, ", and ")
	if !until.IsZero() {
		text += fmt.Sprintf("\nrun tandem confirm --pair before %s (in %s): otherwise each director rolls back by itself",
			until.Local().Format(time.DateTime), time.Until(until).Round(time.Second))
	}
	return text
}

// A rolledOut is what tandem apply --pair prints as JSON.
type rolledOut struct {
	Directors []rollout.Result `json:"directors"`
	Problems  []string         `json:"problems"` // empty: it is in force on both
}

func printRollout(cmd *cobra.Command, r *rollout.Rollout, err error) error {
	done := rolledOut{Directors: []rollout.Result{r.Here.Result, r.There.Result}, Problems: []string{}}
	if err != nil {
		done.Problems = strings.Split(err.Error(), "\n")
	}
	if failed := writeJSON(cmd.OutOrStdout(), done); failed != nil {
		return failed
	}
	if err != nil {
		return errPrinted
	}
	return nil
}

// endPair confirms what waits for confirmation on both directors, or rolls it back. The other director comes first: if it cannot be
// reached, nothing changes here.
func endPair(cmd *cobra.Command, client *control.Client, did rollout.Outcome, asJSON bool,
	how func(rollout.Director, context.Context, control.WaitingRevision) (control.Applied, error)) error {
	here, there, err := bothStatuses(cmd.Context(), client)
	if err != nil {
		return err
	}
	done := rolledOut{Problems: []string{}}
	waited := false
	for _, side := range []struct {
		rollout.Director
		is control.Status
	}{{rollout.There{Client: client}, there}, {rollout.Here{Client: client}, here}} {
		c := side.is.Config
		result := rollout.Result{Director: side.is.Name, Outcome: rollout.Unchanged, Revision: c.Revision}
		if c.Waits == nil {
			done.Directors = append(done.Directors, result)
			continue
		}
		waited = true
		applied, err := how(side.Director, cmd.Context(), control.WaitingRevision{Revision: c.Revision})
		if err != nil {
			return fmt.Errorf("%w\n%s", err, afterFailure(side.is, here))
		}
		result.Outcome, result.Revision = did, applied.Revision
		done.Directors = append(done.Directors, result)
		warn(cmd, prefixed(side.is.Name, applied.Warnings))
	}
	if !waited {
		return fmt.Errorf("neither %s nor %s has a configuration that waits for confirmation", here.Name, there.Name)
	}
	if asJSON {
		return writeJSON(cmd.OutOrStdout(), done)
	}
	for _, d := range done.Directors {
		text := "nothing waits for confirmation; revision %d is in force"
		switch d.Outcome {
		case rollout.InForce:
			text = "ok: revision %d stays in force"
		case rollout.RolledBack:
			text = "ok: rolled back; as revision %d, the former configuration is in force"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s: "+text+"\n", d.Director, d.Revision)
	}
	return nil
}

// afterFailure says what is so when a command for both directors failed on one of them.
func afterFailure(failed, here control.Status) string {
	if failed.Name != here.Name {
		if w := here.Config.Waits; w != nil {
			return fmt.Sprintf("so %s is left as it is: its revision %d waits for confirmation until %s", here.Name, here.Config.Revision,
				w.Until.Local().Format(time.DateTime))
		}
		return fmt.Sprintf("%s is unchanged", here.Name)
	}
	return "the command is carried out on the other director already: look with tandem status --pair"
}
