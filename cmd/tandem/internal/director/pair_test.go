// SPDX-License-Identifier: Apache-2.0

package director

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/porttest"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/rollout"
)

// pairOfWorkshops returns two directors that are connected.
func pairOfWorkshops(t *testing.T) (a, b *workshop) {
	t.Helper()
	x, y := freeAddress(t), freeAddress(t)
	a, b = namedWorkshop(t, "lb1", peerTable(x, y)), namedWorkshop(t, "lb2", peerTable(y, x))
	a.start()
	b.start()
	for _, w := range []*workshop{a, b} {
		w.connected()
	}
	return a, b
}

// freeAddress returns an address where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	return porttest.Reserve(t).String()
}

// peerTable is the table [peer] of a director.
func peerTable(own, other string) string {
	return fmt.Sprintf("[peer]\naddress = %q\nlisten = %q\nkey = \"hex:%s\"\n", other, own, strings.Repeat("42", 32))
}

// connected waits until both directions of the channel work.
func (w *workshop) connected() {
	w.t.Helper()
	w.await("connected", func(s control.Status) bool { return s.Peer.To.Up && s.Peer.From.Up })
}

func (w *workshop) await(what string, is func(control.Status) bool) {
	w.t.Helper()
	if !within(30*time.Second, func() bool { return is(w.Status()) }) {
		w.t.Fatalf("%s: not %s: %+v", w.name, what, w.Status().Peer)
	}
}

// asked asks the other director.
func asked[A any](w *workshop, to message.Ability, question any) (value A, err error) {
	w.t.Helper()
	text, err := w.AskPeer(w.t.Context(), "alice", to, question)
	if err == nil {
		err = json.Unmarshal(text, &value)
	}
	return value, err
}

// TestCommandsForTheOther: one director plans, applies, confirms and rolls back on the other one, which tells who wanted it, and
// which takes no configuration over the channel unless it is allowed.
func TestCommandsForTheOther(t *testing.T) {
	a, b := pairOfWorkshops(t)
	b.edit(90)
	p, err := asked[control.Plan](a, message.AskPlan, control.PlanRequest{Own: true})
	if err != nil || len(p.Lines) != 1 || p.Lines[0].Change != "priority 100 → 90" {
		t.Fatalf("%v, %+v", err, p)
	}
	if _, err := asked[control.Applied](a, message.AskApply, control.ApplyRequest{Plan: p.ID}); err == nil ||
		!strings.HasPrefix(err.Error(), "lb2: without a time for the confirmation, a configuration is not applied") {
		t.Errorf("without a limit: %v", err)
	}
	done, err := asked[control.Applied](a, message.AskApply, control.ApplyRequest{Plan: p.ID, ConfirmSeconds: 60})
	if err != nil || done.Revision != 2 || done.Waits == nil {
		t.Fatalf("%v, %+v", err, done)
	}
	if _, err := asked[control.Applied](a, message.AskConfirm, control.WaitingRevision{Revision: 1}); err == nil || err.Error() != "lb2: revision 2 is in force, not revision 1" {
		t.Errorf("another revision: %v", err)
	}
	back, err := asked[control.Applied](a, message.AskRollback, control.WaitingRevision{Revision: 2})
	if err != nil || back.Revision != 3 || back.Waits != nil {
		t.Errorf("%v, %+v", err, back)
	}
	if _, err := asked[control.Applied](a, message.AskRollback, control.WaitingRevision{Revision: 3}); err == nil || err.Error() != "lb2: revision 3 does not wait for confirmation" {
		t.Errorf("nothing waits: %v", err)
	}
	if p, err = asked[control.Plan](a, message.AskPlan, control.PlanRequest{Own: true}); err != nil {
		t.Fatal(err)
	}
	if _, err = asked[control.Applied](a, message.AskApply, control.ApplyRequest{Plan: p.ID, ConfirmSeconds: 60}); err != nil {
		t.Fatal(err)
	}
	if done, err = asked[control.Applied](a, message.AskConfirm, control.WaitingRevision{Revision: 4}); err != nil || done.Waits != nil {
		t.Errorf("%v, %+v", err, done)
	}
	events, err := asked[[]control.Event](a, message.AskHistory, control.HistoryQuery{})
	applied := ""
	for _, ev := range events {
		if ev.By != "" {
			applied = ev.By
		}
	}
	if err != nil || applied != "alice on lb1" {
		t.Errorf("%v, by %q: %+v", err, applied, events)
	}
	if s, err := asked[control.Status](a, message.AskStatus, struct{}{}); err != nil || s.Name != "lb2" || s.Config.Revision != 4 {
		t.Errorf("%v, %+v", err, s.Config)
	}
	if _, err := asked[control.Plan](a, message.AskPlan, b.request(b.text(80))); err == nil || !strings.Contains(err.Error(), "lb2: it takes no configuration from the other director: set peer.accept_config = true in "+b.file) {
		t.Errorf("a configuration: %v", err)
	}
	if _, err := asked[control.Plan](a, message.AskPlan, map[string]any{"own": true, "mood": 1}); err == nil || !strings.Contains(err.Error(), `lb2: this is tandem , which does not understand all of the question "plan" (json: unknown field "mood"): update it`) {
		t.Errorf("a member of another version: %v", err)
	}
	b.allow(t, a)
}

// allow lets a send a configuration, which is refused if it is for the sender.
func (w *workshop) allow(t *testing.T, a *workshop) {
	w.tail += "accept_config = true\n"
	w.edit(90)
	if _, err := w.Reload(""); err != nil {
		t.Fatal(err)
	}
	w.connected()
	a.connected()
	var p control.Plan
	var err error
	a.await("asked", func(control.Status) bool { // the channel may be making new connections
		p, err = asked[control.Plan](a, message.AskPlan, w.request(w.text(80)))
		return err == nil
	})
	if len(p.Lines) != 1 || p.Lines[0].Change != "priority 90 → 80" {
		t.Errorf("%+v", p)
	}
	if p, err = asked[control.Plan](a, message.AskPlan, a.request(a.text(80))); err == nil && len(p.Refused) == 0 {
		t.Errorf("the configuration of lb1: %+v", p)
	}
}

// TestOtherDies: who asks learns that the answer did not come, and that the other director rolls back by itself.
func TestOtherDies(t *testing.T) {
	a, b := pairOfWorkshops(t)
	b.edit(90)
	p, err := asked[control.Plan](a, message.AskPlan, control.PlanRequest{Own: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = asked[control.Applied](a, message.AskApply, control.ApplyRequest{Plan: p.ID, ConfirmSeconds: 1}); err != nil {
		t.Fatal(err)
	}
	b.kill()
	a.await("cut off", func(s control.Status) bool { return !s.Peer.To.Up && !s.Peer.From.Up })
	_, err = asked[control.Applied](a, message.AskConfirm, control.WaitingRevision{Revision: 2})
	if err == nil || errors.Is(err, control.ErrUnanswered) || !strings.HasPrefix(err.Error(), "lb2 was not asked: ") {
		t.Errorf("the channel is lost: %v", err)
	}
	b.start()
	a.connected()
	b.await("rolled back", func(s control.Status) bool {
		return s.Config.Waits == nil && s.VRRP != nil && s.VRRP[0].Priority == 100
	})
}

// TestRolloutOnTwoDirectors: both have the new configuration afterwards, and keep it, although each makes the channel anew in the middle
// of its answer. With a mistake in one file, nothing changes.
func TestRolloutOnTwoDirectors(t *testing.T) {
	a, b := pairOfWorkshops(t)
	client := control.NewClient(filepath.Join(a.dir, "s"))
	roll := func() (*rollout.Rollout, error) {
		r := &rollout.Rollout{
			Here:  rollout.Side{Director: rollout.Here{Client: client}, Name: "lb1", Before: a.Status()},
			There: rollout.Side{Director: rollout.There{Client: client}, Name: "lb2", Before: b.Status()},
			Wait:  time.Minute, Pause: time.Millisecond, Tell: t.Logf, Planned: func(*rollout.Side) error { return nil },
		}
		if err := r.Prepare(t.Context(), control.PlanRequest{Own: true}, control.PlanRequest{Own: true}); err != nil {
			return r, err
		}
		return r, r.Run(t.Context())
	}
	inForce := func(w *workshop, priority uint8, revision int) {
		t.Helper()
		if s := w.Status(); s.Config.Waits != nil || s.Config.Revision != revision || s.VRRP[0].Priority != priority {
			t.Errorf("%s: %+v, priority %d", w.name, s.Config, s.VRRP[0].Priority)
		}
	}
	a.tail, b.tail = a.tail+"accept_config = true\n", b.tail+"accept_config = true\n"
	a.edit(75)
	b.edit(65)
	if r, err := roll(); err != nil || r.Here.Result.Outcome != rollout.InForce || r.There.Result.Outcome != rollout.InForce {
		t.Errorf("%v, %+v, %+v", err, r.Here.Result, r.There.Result)
	}
	inForce(a, 75, 2)
	inForce(b, 65, 2)
	a.edit(70)
	write(t, b.file, "prio = 1\n"+b.text(60))
	if _, err := roll(); err == nil || !strings.Contains(err.Error(), "lb2: "+b.file+":1: prio: unknown key") {
		t.Errorf("a mistake there: %v", err)
	}
	inForce(a, 75, 2)
	inForce(b, 65, 2)
}

// TestExplainPeer: the words of each way in which the other director does not do it.
func TestExplainPeer(t *testing.T) {
	why := errors.New("it fell silent")
	for _, tt := range []struct {
		err        error
		want       string
		unanswered bool
	}{
		{fmt.Errorf("%w: %w", peer.ErrUnanswered, why), "lb2 did not answer: it fell silent", true},
		{fmt.Errorf("%w: %w", peer.ErrNotSent, why), "lb2 was not asked: it fell silent", false},
		{fmt.Errorf("%w: it runs tandem v1", peer.ErrOlder), "lb2 is older (tandem v1) and cannot apply a configuration for the other director: update it", false},
		{&peer.Refused{Problems: []string{"one", "two"}}, "lb2: one\nlb2: two", false},
		{why, "lb2: it fell silent", false},
	} {
		if err := explainPeer(tt.err, "lb2", "v1", message.AskApply); err.Error() != tt.want || errors.Is(err, control.ErrUnanswered) != tt.unanswered {
			t.Errorf("%q, want %q", err, tt.want)
		}
	}
	for _, a := range message.Abilities() {
		if inWords[a] == "" || !slices.Contains(api.Questions(), string(a)) {
			t.Errorf("%s has no words", a)
		}
	}
	if len(api.Questions()) != len(message.Abilities()) {
		t.Errorf("%q, %q", api.Questions(), message.Abilities())
	}
}
