// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
)

// A twin is a director of a pair whose other one is a twin too.
type twin struct {
	control.Director
	name  string
	other *twin

	mu      sync.Mutex
	config  control.Config
	planned control.PlanRequest
	refuse  []string // of the plan
	no      error    // of every command
	by      string
	events  []control.Event
	version string
	can     []string // the other one
	full    string   // why the disk is
	former  []control.Revision
}

// twins returns lb1 and lb2, with the control socket of lb1.
func twins(t *testing.T) (a, b *twin, socket string) {
	a = &twin{name: "lb1", version: "v1", config: control.Config{SHA256: "old", Revision: 7}}
	b = &twin{name: "lb2", version: "v1", config: control.Config{SHA256: "old", Revision: 4}, other: a}
	a.other = b
	return a, b, serveControl(t, a)
}

func (w *twin) Status() control.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	half := control.PeerHalf{Up: true}
	return control.Status{
		Name: w.name, Config: w.config, Version: w.version,
		Peer: &control.Peer{Name: w.other.name, To: half, From: half, Version: w.other.version, Can: w.can, Clock: &control.Clock{AheadSeconds: -3600, ErrorSeconds: 0.001}},
		VRRP: []control.Router{{Name: "web", Family: 4, State: map[string]string{"lb1": "master", "lb2": "backup"}[w.name], Priority: 150, EffectivePriority: 150, AdvertInterval: "100ms", DownAdverts: 3}},
	}
}

func (w *twin) Plan(r control.PlanRequest) (control.Plan, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.planned = r
	if r.Former != "" && !slices.ContainsFunc(w.former, func(is control.Revision) bool { return is.SHA256 == r.Former }) {
		return control.Plan{}, fmt.Errorf("%s: no revision that is kept has these files (SHA-256 %s)", w.name, r.Former)
	}
	line := control.PlanLine{Op: "change", Object: "virtual router web", Change: "priority 100 → 90"}
	return control.Plan{
		ID: "0f3c9a51d2e7", File: "/etc/" + w.name + ".toml", SHA256: "new", InForce: w.config.SHA256, Refused: w.refuse,
		Lines: []control.PlanLine{line}, Warnings: []string{"a word"},
	}, nil
}

func (w *twin) change(by string, config control.Config, wait float64) (control.Applied, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.no != nil {
		return control.Applied{}, w.no
	}
	if wait > 0 {
		config.Waits = &control.Wait{Former: w.config.Revision, Until: time.Now().Add(time.Duration(wait * float64(time.Second)))}
	}
	w.by, w.config = by, config
	return control.Applied{Config: config}, nil
}

func (w *twin) Apply(by string, r control.ApplyRequest) (control.Applied, error) {
	return w.change(by, control.Config{SHA256: "new", Revision: w.config.Revision + 1}, r.ConfirmSeconds)
}

func (w *twin) Confirm(by string) (control.Applied, error) {
	done, err := w.change(by, control.Config{SHA256: w.config.SHA256, Revision: w.config.Revision}, 0)
	done.Warnings, done.NotRemembered = []string{"it is apart"}, w.full
	return done, err
}

func (w *twin) Rollback(by string, r control.RollbackRequest) (control.Applied, error) {
	return w.change(by, control.Config{SHA256: "old", Revision: w.config.Revision + 1}, 0)
}

func (w *twin) ConfigLog() (control.ConfigLog, error) {
	return control.ConfigLog{Revisions: w.former}, nil
}

func (w *twin) History(q control.HistoryQuery) ([]control.Event, error) {
	return slices.DeleteFunc(slices.Clone(w.events), func(ev control.Event) bool { return !q.Matches(ev) }), nil
}

// Events gives the selected events, and then the director leaves.
func (w *twin) Events(q control.HistoryQuery) (control.EventStream, error) {
	before, err := w.History(q)
	next := make(chan control.Event)
	close(next)
	return control.EventStream{Before: before, Next: next, Dropped: func() bool { return false }, Close: func() {}}, err
}

func (w *twin) AskPeer(_ context.Context, by string, to message.Ability, question any) ([]byte, error) {
	if w.other.version == "v0" {
		return nil, errors.New("lb2 is older (tandem v0) and cannot do it: update it")
	}
	var value any
	var err error
	switch by += " on " + w.name; to {
	case message.AskStatus:
		value = w.other.Status()
	case message.AskHistory:
		value, err = w.other.History(question.(control.HistoryQuery))
	case message.AskPlan:
		value, err = w.other.Plan(question.(control.PlanRequest))
	case message.AskApply:
		value, err = w.other.Apply(by, question.(control.ApplyRequest))
	case message.AskConfirm:
		value, err = w.other.Confirm(by)
	case message.AskRollback:
		value, err = w.other.Rollback(by, control.RollbackRequest{})
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

const pairPlans = `lb2: /etc/lb2.toml: 1 change

~ virtual router web: priority 100 → 90

lb1: /etc/lb1.toml: 1 change

~ virtual router web: priority 100 → 90

`

const pairWarnings = `warning: lb2: a word
warning: lb1: a word
warning: lb2: it is apart
warning: lb2: in force; not yet remembered: no space. A restart would forget it.
warning: lb1: it is apart
`

// TestApplyPair: both plans are printed, then the backup applies, then the master, and both are confirmed.
func TestApplyPair(t *testing.T) {
	t.Parallel()
	a, b, socket := twins(t)
	b.full = "no space"
	file := writeConfig(t, "name = \"lb1\"\n")
	out, errs, err := execute(t, "apply", file, "--pair", "--name", "lb1", "--socket", socket)
	lines := strings.Split(strings.TrimPrefix(out, pairPlans), "\n")
	if err != nil || errs != pairWarnings || len(lines) != 6 || lines[0] != "lb2: in force as revision 5; waiting until it is healthy" ||
		!strings.HasPrefix(lines[1], "lb2: healthy after ") || lines[2] != "lb1: in force as revision 8; waiting until it is healthy" ||
		lines[4] != "ok: lb1 has revision 8, and lb2 has revision 5" {
		t.Errorf("%v, %q\n%s", err, errs, out)
	}
	if a.config.Waits != nil || b.config.Waits != nil || a.planned.Name != "lb1" || b.planned.Name != "" || b.planned.Text != a.planned.Text || !strings.HasSuffix(b.by, " on lb1") {
		t.Errorf("%+v, %+v", a, b)
	}
	out, _, err = execute(t, "apply", "--pair", "--json", "--socket", socket)
	var done rolledOut
	if err != nil || json.Unmarshal([]byte(out), &done) != nil || len(done.Directors) != 2 || done.Directors[1].Outcome != "unchanged" || !a.planned.Own || !b.planned.Own {
		t.Errorf("both have it already: %v, %s", err, out)
	}
}

// TestApplyPairIsConfirmed: with --confirm both wait, until tandem confirm --pair or tandem rollback --pair.
func TestApplyPairIsConfirmed(t *testing.T) {
	t.Parallel()
	a, b, socket := twins(t)
	out, _, err := execute(t, "apply", "--pair", "--confirm", "10m", "--socket", socket)
	if err != nil || a.config.Waits == nil || b.config.Waits == nil || !strings.Contains(out, "\nok: lb1 has revision 8, and lb2 has revision 5\nrun tandem confirm --pair before ") {
		t.Fatalf("%v, %s", err, out)
	}
	if _, _, err := execute(t, "apply", "--pair", "--socket", socket); err == nil || !strings.Contains(err.Error(), "lb2: revision 5 waits for confirmation: run tandem confirm") {
		t.Errorf("once more: %v", err)
	}
	b.no = errors.New("lb2: no")
	if _, _, err := execute(t, "confirm", "--pair", "--socket", socket); err == nil || a.config.Waits == nil ||
		!strings.HasPrefix(err.Error(), "lb2: no\nso lb1 is left as it is: its revision 8 waits for confirmation until ") {
		t.Errorf("the other one refuses: %v", err)
	}
	b.no = nil
	if out, _, err := execute(t, "confirm", "--pair", "--socket", socket); err != nil || out != "lb2: ok: revision 5 stays in force\nlb1: ok: revision 8 stays in force\n" ||
		a.config.Waits != nil || b.config.Waits != nil {
		t.Errorf("%v, %s", err, out)
	}
	if _, _, err := execute(t, "confirm", "--pair", "--socket", socket); err == nil || err.Error() != "neither lb1 nor lb2 has a configuration that waits for confirmation" {
		t.Errorf("nothing waits: %v", err)
	}
	b.config.Waits = &control.Wait{Former: 4}
	if out, _, err := execute(t, "rollback", "--pair", "--socket", socket); err != nil || b.config.Revision != 6 ||
		out != "lb2: ok: rolled back; as revision 6, the former configuration is in force\nlb1: nothing waits for confirmation; revision 8 is in force\n" {
		t.Errorf("%v, %s", err, out)
	}
}

// TestRollbackPair: both go back to a former configuration, the backup first: the other director to the same files, or to the revision that is
// said.
func TestRollbackPair(t *testing.T) {
	t.Parallel()
	a, b, socket := twins(t)
	a.former = []control.Revision{{Number: 5, SHA256: "five"}, {Number: 6, SHA256: "six"}, {Number: 7, SHA256: "old"}}
	b.former = []control.Revision{{Number: 3, SHA256: "five"}, {Number: 4, SHA256: "old"}}
	out, _, err := execute(t, "rollback", "5", "--pair", "--socket", socket)
	lines := strings.Split(strings.TrimPrefix(out, pairPlans), "\n")
	if err != nil || len(lines) != 6 || lines[0] != "lb2: in force as revision 5; waiting until it is healthy" || lines[4] != "ok: lb1 has revision 8, and lb2 has revision 5" {
		t.Errorf("%v\n%s", err, out)
	}
	if a.planned.Revision != 5 || a.planned.Former != "" || b.planned.Revision != 0 || b.planned.Former != "five" || a.config.Waits != nil || b.config.Waits != nil {
		t.Errorf("%+v, %+v", a.planned, b.planned)
	}
	a.config.SHA256, b.config.SHA256 = "old", "old"
	if _, _, err := execute(t, "rollback", "6", "--pair", "--socket", socket); err == nil ||
		err.Error() != "lb2: no revision that is kept has these files (SHA-256 six)\nif the directors have files of their own, say which revision the other one goes back to: --peer-revision N" {
		t.Errorf("files of their own: %v", err)
	}
	if a.config.Revision != 8 || b.config.Revision != 5 {
		t.Errorf("something changed: %+v, %+v", a.config, b.config)
	}
	if out, _, err := execute(t, "rollback", "6", "--pair", "--peer-revision", "3", "--confirm", "10m", "--socket", socket); err != nil || a.config.Waits == nil || b.config.Waits == nil ||
		a.planned.Revision != 6 || b.planned.Revision != 3 || b.planned.Former != "" {
		t.Errorf("%v, %s, %+v", err, out, b.planned)
	}
	if _, _, err := execute(t, "plan", "--revision", "6", "--socket", socket); err == nil || a.planned.Revision != 6 || a.planned.Own || a.planned.File != "" {
		t.Errorf("%v, %+v", err, a.planned)
	}
}

// TestApplyPairRefused: what cannot be done is said before anything changes.
func TestApplyPairRefused(t *testing.T) {
	t.Parallel()
	a, b, socket := twins(t)
	for args, want := range map[string]string{
		"apply 0f3c9a51d2e7 --pair":           "0f3c9a51d2e7 is the plan of one director: with --pair, both plan themselves",
		"apply --wait 5s":                     "--wait has no meaning without --pair",
		"apply --pair --wait 1s":              "--wait: 1s is too short: want at least 2s",
		"apply --pair --confirm 1m":           "--confirm 1m0s is too short with --pair",
		"rollback 7 --pair":                   "there is no revision 7: see tandem config log",
		"rollback 7 --wait 5s":                "--wait and --peer-revision have no meaning without N and --pair",
		"rollback --pair --wait 5s":           "--wait and --peer-revision have no meaning without N and --pair",
		"rollback --pair --confirm 5m":        "--pair without N rolls back what waits for confirmation: leave --confirm out",
		"rollback 7 --peer-revision 3":        "--wait and --peer-revision have no meaning without N and --pair",
		"rollback 7 --pair --peer-revision 0": "--peer-revision: 0 is not the number of a revision: run tandem config log on the other director",
		"rollback 7 --pair --peer-revision 3": "lb2: the vrid cannot change",
		"plan --revision 7 -c x.toml":         "--revision is about a configuration that was in force, and -c about a file",
		"plan --revision -1":                  "--revision: -1 is not the number of a revision",
		"rollback --pair":                     "neither lb1 nor lb2 has a configuration that waits",
		"apply --pair --wait 3s --json":       "",
		"apply --pair --wait 3s":              "lb2: the vrid cannot change",
		"confirm --pair --json":               "neither lb1 nor lb2",
		"confirm --pair --socket /nobody":     "no director listens",
	} {
		b.refuse = []string{"the vrid cannot change"}
		if !strings.Contains(args, "--socket") {
			args += " --socket " + socket
		}
		out, _, err := execute(t, strings.Fields(args)...)
		if err == nil || !strings.HasPrefix(err.Error(), want) || a.config.Revision+b.config.Revision != 11 {
			t.Errorf("tandem %s: %v, want %s", args, err, want)
		}
		if strings.Contains(args, "--json") && strings.Contains(args, "apply") && !strings.Contains(out, `"lb2: the vrid cannot change"`) {
			t.Errorf("tandem %s: %s", args, out)
		}
	}
	b.version = "v0"
	if _, _, err := execute(t, "apply", "--pair", "--socket", socket); err == nil || !strings.Contains(err.Error(), "lb2 is older (tandem v0) and cannot") {
		t.Error(err)
	}
	b.version, a.can = "v0.9", []string{"status", "history"}
	if _, _, err := execute(t, "apply", "--pair", "--socket", socket); err == nil ||
		err.Error() != "lb2 is older (tandem v0.9) and cannot answer: plan, apply, confirm, rollback; install tandem v1 there first, or run tandem apply on each director" {
		t.Error(err)
	}
	if _, _, err := execute(t, "apply", "--pair", "--socket", serveControl(t, &statusOnly{})); !errors.Is(err, errNoPeer) {
		t.Errorf("no channel: %v", err)
	}
}
