// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

// A failure is what a command meets. If done, the director carries it out, and its answer is lost.
type failure struct {
	err  error
	done bool
	then func() // afterwards
}

var (
	errNo   = errors.New("no")
	errGone = errors.New("was not asked: the channel is lost")
	errLost = control.ErrUnanswered
)

// A fake is a director that has a revision, and rolls back by itself.
type fake struct {
	name    string
	state   string // of its virtual router
	sha     string
	former  string
	number  int
	until   time.Time // zero: it does not wait
	refuses []string
	gone    bool                // it cannot be reached
	back    time.Time           // when it can again
	sick    bool                // no server gets clients, with the new configuration
	fails   map[string]*failure // by command: once
	calls   *[]string
}

// call notes a command, and returns the failure that it meets.
func (f *fake) call(name string, do func()) error {
	f.tick()
	if f.gone {
		return errGone
	}
	*f.calls = append(*f.calls, f.name+" "+name)
	met := f.fails[name]
	delete(f.fails, name)
	if met == nil || met.done {
		do()
	}
	if met == nil {
		return nil
	}
	if met.then != nil {
		met.then()
	}
	return met.err
}

// tick does what is to happen by now.
func (f *fake) tick() {
	if !f.back.IsZero() && !time.Now().Before(f.back) {
		f.gone = false
	}
	if !f.until.IsZero() && !time.Now().Before(f.until) {
		f.rollBack()
	}
}

func (f *fake) rollBack() { f.sha, f.number, f.until = f.former, f.number+1, time.Time{} }

func (f *fake) config() control.Config {
	c := control.Config{SHA256: f.sha, Revision: f.number}
	if !f.until.IsZero() {
		c.Waits = &control.Wait{Former: f.number - 1, Until: f.until}
	}
	return c
}

func (f *fake) Status(context.Context) (control.Status, error) {
	f.tick()
	if f.gone {
		return control.Status{}, errGone
	}
	weight := 1
	if f.sick && f.sha == "new" {
		weight = 0
	}
	return control.Status{
		Name: f.name, Config: f.config(), VRRP: []control.Router{{Name: "web", Family: 4, State: f.state}},
		Services: []control.Service{{Name: "www", Servers: []control.Server{{EffectiveWeight: weight}}}},
	}, nil
}

func (f *fake) Plan(context.Context, control.PlanRequest) (control.Plan, error) {
	return control.Plan{ID: "p", SHA256: "new", InForce: f.sha, Refused: f.refuses, Lines: make([]control.PlanLine, 2)}, nil
}

func (f *fake) Apply(_ context.Context, r control.ApplyRequest) (control.Applied, error) {
	err := f.call("apply", func() {
		f.former, f.sha, f.number = f.sha, "new", f.number+1
		f.until = time.Now().Add(time.Duration(r.ConfirmSeconds * float64(time.Second)))
	})
	return control.Applied{Config: f.config()}, err
}

func (f *fake) Confirm(_ context.Context, r control.WaitingRevision) (control.Applied, error) {
	err := f.call("confirm", func() { f.until = time.Time{} })
	return control.Applied{Config: f.config()}, err
}

func (f *fake) Rollback(_ context.Context, r control.WaitingRevision) (control.Applied, error) {
	if r.Revision != f.number {
		return control.Applied{}, errNo
	}
	err := f.call("rollback", f.rollBack)
	return control.Applied{Config: f.config()}, err
}

// A scene is a rollout from lb1, which is master, to the backup lb2.
type scene struct {
	*Rollout
	a, b   *fake
	calls  []string
	told   strings.Builder
	cancel context.CancelFunc
}

const (
	twoApplied = "lb2 apply, lb1 apply"
	itself     = "if it has the new configuration in force, it rolls back by itself at 00:04:00: look with tandem config log there"
)

// TestRollout: whatever fails, the directors end with the same configuration, or the error says what is in force where.
func TestRollout(t *testing.T) {
	unchanged := func(name string) string { return name + " is unchanged: revision 7 is in force" }
	back := func(name string) string {
		return name + " is rolled back: the configuration of revision 7 is in force again, as revision 9"
	}
	for _, tt := range []struct {
		name        string
		set         func(*scene)
		err         string // lines
		here, there string // in force afterwards
		calls       string
	}{
		{"all is well", func(*scene) {}, "", "new", "new", twoApplied + ", lb2 confirm, lb1 confirm"},
		{"this one is the backup", func(s *scene) { s.a.state, s.b.state = "backup", "master" }, "", "new", "new", "lb1 apply, lb2 apply, lb2 confirm, lb1 confirm"},
		{"only the other one changes", func(s *scene) { s.a.sha = "new" }, "", "new", "new", "lb2 apply, lb2 confirm"},
		{"the first refuses", func(s *scene) { s.b.fails["apply"] = &failure{err: errNo} }, "no\n" + unchanged("lb1") + "\n" + unchanged("lb2"), "old", "old", "lb2 apply"},
		{"the second refuses", func(s *scene) { s.a.fails["apply"] = &failure{err: errNo} }, "no\n" + unchanged("lb1") + "\n" + back("lb2"), "old", "old",
			twoApplied + ", lb2 rollback"},
		{"an answer is lost", func(s *scene) { s.b.fails["apply"] = &failure{err: errLost, done: true} }, "", "new", "new", twoApplied + ", lb2 confirm, lb1 confirm"},
		{"this director is killed when it has applied", func(s *scene) {
			s.a.fails["apply"] = &failure{err: fmt.Errorf("lb1 %w", control.ErrBroken), done: true}
		}, "", "new", "new", twoApplied + ", lb2 confirm, lb1 confirm"},
		{"this director is killed when it has confirmed", func(s *scene) {
			s.a.fails["confirm"] = &failure{err: fmt.Errorf("lb1 %w", control.ErrBroken), done: true}
		}, "", "new", "new", twoApplied + ", lb2 confirm, lb1 confirm"},
		{"a command is lost", func(s *scene) { s.b.fails["apply"] = &failure{err: errLost} },
			"the other director did not answer; it has not applied its plan\n" + unchanged("lb1") + "\n" + unchanged("lb2"), "old", "old", "lb2 apply"},
		{"the first dies when it applies", func(s *scene) {
			s.b.fails["apply"] = &failure{err: errLost, done: true, then: func() { s.b.gone = true }}
		}, "the other director did not answer\n" + unchanged("lb1") + "\nlb2 was not rolled back (was not asked: the channel is lost); " + itself, "old", "old", "lb2 apply"},
		{"the first is not healthy", func(s *scene) { s.b.sick = true },
			"lb2 is not healthy after 1m0s: no real server of www gets clients\n" + unchanged("lb1") + "\n" + back("lb2"), "old", "old", "lb2 apply, lb2 rollback"},
		{"the second is not healthy", func(s *scene) { s.a.sick = true },
			"lb1 is not healthy after 1m0s: no real server of www gets clients\n" + back("lb1") + "\n" + back("lb2"), "old", "old",
			twoApplied + ", lb1 rollback, lb2 rollback"},
		{"two masters", func(s *scene) { s.b.fails["apply"] = &failure{done: true, then: func() { s.b.state = "master" }} },
			"lb2 is not healthy after 1m0s: both directors are master of web: they do not hear each other, or what they send does not fit\n" +
				unchanged("lb1") + "\n" + back("lb2"), "old", "old", "lb2 apply, lb2 rollback"},
		{"the first dies in the middle", func(s *scene) { s.a.fails["apply"] = &failure{done: true, then: func() { s.b.gone = true }} },
			"lb1 is not healthy after 1m0s: was not asked: the channel is lost\n" + back("lb1") + "\nlb2 was not rolled back (was not asked: the channel is lost); " + itself,
			"old", "old", twoApplied + ", lb1 rollback"},
		{"the channel comes back", func(s *scene) {
			s.a.fails["apply"] = &failure{done: true, then: func() {
				s.b.gone, s.b.back = true, time.Now().Add(30*time.Second)
			}}
		}, "", "new", "new", twoApplied + ", lb2 confirm, lb1 confirm"},
		{"the answer to the confirmation is lost", func(s *scene) { s.b.fails["confirm"] = &failure{err: errLost, done: true} }, "", "new", "new",
			twoApplied + ", lb2 confirm, lb1 confirm"},
		{"the confirmation is lost", func(s *scene) { s.b.fails["confirm"] = &failure{err: errLost} }, "", "new", "new",
			twoApplied + ", lb2 confirm, lb2 confirm, lb1 confirm"},
		{"the other one dies when it confirms", func(s *scene) {
			s.b.fails["confirm"] = &failure{err: errLost, done: true, then: func() { s.b.gone = true }}
		}, "lb2 is not confirmed: the other director did not answer\n" + back("lb1") + "\nlb2 was not rolled back (was not asked: the channel is lost); " +
			"it is not known whether it has confirmed the new configuration: look with tandem config log there", "old", "new", twoApplied + ", lb2 confirm, lb1 rollback"},
		{"this one does not confirm", func(s *scene) { s.a.fails["confirm"] = &failure{err: errNo} },
			"lb1 is not confirmed: no\n" + back("lb1") + "\nlb2 has the new configuration in force, as revision 8, and it is confirmed: run tandem rollback there to undo it",
			"old", "new", twoApplied + ", lb2 confirm, lb1 confirm, lb1 rollback"},
		{"a rollback is lost", func(s *scene) {
			s.a.fails["apply"], s.b.fails["rollback"] = &failure{err: errNo}, &failure{err: errLost, done: true}
		},
			"no\n" + unchanged("lb1") + "\nlb2 has the former configuration in force, as revision 9", "old", "old", twoApplied + ", lb2 rollback"},
		{"an interruption", func(s *scene) { s.a.fails["apply"] = &failure{done: true, then: func() { s.cancel() }} }, "lb1: interrupted\n" + back("lb1") + "\n" + back("lb2"), "old", "old",
			twoApplied + ", lb1 rollback, lb2 rollback"},
		{"an interrupted command", func(s *scene) {
			s.b.fails["apply"] = &failure{err: context.Canceled, done: true, then: func() { s.cancel() }}
		},
			"lb2: interrupted\n" + unchanged("lb1") + "\n" + back("lb2"), "old", "old", "lb2 apply, lb2 rollback"},
		{"somebody else rolls back", func(s *scene) { s.a.fails["apply"] = &failure{done: true, then: s.a.rollBack} },
			"lb1: another command came in between: revision 9 is in force\nlb1 was left alone: revision 9 is in force there\n" + back("lb2"), "old", "old", twoApplied + ", lb2 rollback"},
		{"a person confirms", func(s *scene) { s.Confirm = 5 * time.Minute }, "", "new", "new", twoApplied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				tt.set(s)
				s.look(t)
				if err := s.Prepare(t.Context(), control.PlanRequest{}, control.PlanRequest{}); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				s.cancel = cancel
				err := s.Run(ctx)
				said := ""
				if err != nil {
					said = err.Error()
				}
				if waits := !s.a.until.IsZero() && !s.b.until.IsZero(); waits != (s.Confirm > 0) {
					t.Errorf("both wait: %t", waits)
				}
				if s.Confirm == 0 {
					time.Sleep(time.Hour) // what does not wait any more stays
				}
				s.a.tick()
				s.b.tick()
				if said = inUTC(said); said != tt.err || s.a.sha != tt.here || s.b.sha != tt.there || strings.Join(s.calls, ", ") != tt.calls {
					t.Errorf("got\n%s\nwant\n%s\nlb1 has %s, lb2 has %s; %q", said, tt.err, s.a.sha, s.b.sha, s.calls)
				}
				s.fits(t)
			})
		})
	}
}

// TestTheFirstDoesNotWaitAnyMore: the time of a person's confirmation begins with the first director. If it is over before the second
// one is healthy, or if somebody rolls the first one back, both have the former configuration.
func TestTheFirstDoesNotWaitAnyMore(t *testing.T) {
	for _, tt := range []struct {
		name string
		then func(s *scene)
		err  string
	}{
		{"a command", func(s *scene) { s.b.rollBack() }, "lb2: another command came in between: revision 9 is in force"},
		{"the time", func(s *scene) { s.a.sick = true }, "lb2: the time for the confirmation is over: revision 9 is in force"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				s.Confirm = 30 * time.Second
				s.a.fails["apply"] = &failure{done: true, then: func() { tt.then(s) }}
				s.look(t)
				if err := s.Prepare(t.Context(), control.PlanRequest{}, control.PlanRequest{}); err != nil {
					t.Fatal(err)
				}
				err := s.Run(t.Context())
				want := tt.err + "\nlb1 is rolled back: the configuration of revision 7 is in force again, as revision 9" +
					"\nlb2 was left alone: revision 9 is in force there"
				if err == nil || err.Error() != want || s.a.sha != "old" || s.b.sha != "old" {
					t.Errorf("got\n%v\nwant\n%s\nlb1 has %s, lb2 has %s", err, want, s.a.sha, s.b.sha)
				}
				s.fits(t)
			})
		})
	}
}

// inUTC writes the time of the automatic rollback as in UTC.
func inUTC(text string) string {
	return strings.ReplaceAll(text, time.Date(2000, 1, 1, 0, 4, 0, 0, time.UTC).Local().Format(time.TimeOnly), "00:04:00")
}

func newScene(t *testing.T) *scene {
	s := &scene{}
	one := func(name, state string) *fake {
		return &fake{name: name, state: state, sha: "old", number: 7, fails: make(map[string]*failure), calls: &s.calls}
	}
	s.a, s.b = one("lb1", "master"), one("lb2", "backup")
	s.Rollout = &Rollout{
		Here: Side{Director: s.a, Name: "lb1"}, There: Side{Director: s.b, Name: "lb2"}, Wait: time.Minute,
		Tell: func(format string, args ...any) { fmt.Fprintf(&s.told, format+"\n", args...) }, Planned: func(*Side) error { return nil },
	}
	return s
}

// look reads the statuses before.
func (s *scene) look(t *testing.T) {
	for _, side := range []*Side{&s.Here, &s.There} {
		var err error
		if side.Before, err = side.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// fits checks that the results say what is in force.
func (s *scene) fits(t *testing.T) {
	for side, f := range map[*Side]*fake{&s.Here: s.a, &s.There: s.b} {
		r := side.Result
		switch r.Outcome {
		case InForce, Waits:
			if f.sha != "new" || r.Revision != f.number || (r.Outcome == Waits) != !r.Until.IsZero() {
				t.Errorf("%+v: %s as revision %d", r, f.sha, f.number)
			}
		case Unchanged, RolledBack:
			if s.calls != nil && f.sha != "old" && f.former != "" || r.Revision != f.number {
				t.Errorf("%+v: %s as revision %d", r, f.sha, f.number)
			}
		case NotKnown:
			if r.Until.IsZero() && r.Revision != f.number {
				t.Errorf("%+v: %s as revision %d", r, f.sha, f.number)
			}
		default:
			t.Errorf("%+v", r)
		}
	}
}

// TestRefusedPlans: all reasons are told, and nothing is applied.
func TestRefusedPlans(t *testing.T) {
	s := newScene(t)
	s.a.refuses, s.b.refuses = []string{"cannot change"}, []string{"one", "two"}
	s.look(t)
	if err := s.Prepare(t.Context(), control.PlanRequest{}, control.PlanRequest{}); err == nil || err.Error() != "lb2: one\nlb2: two\nlb1: cannot change" || len(s.calls) > 0 {
		t.Errorf("%v, %q", err, s.calls)
	}
	s = newScene(t)
	s.b.until = time.Now().Add(time.Hour)
	s.look(t)
	if err := s.Prepare(t.Context(), control.PlanRequest{}, control.PlanRequest{}); err == nil ||
		err.Error() != "lb2: revision 7 waits for confirmation: run tandem confirm or tandem rollback there first" {
		t.Error(err)
	}
}

// TestUnwell: only what the change made worse counts.
func TestUnwell(t *testing.T) {
	service := func(name, health string, weight int) control.Status {
		return control.Status{Services: []control.Service{{Name: name, Servers: []control.Server{{Health: health, EffectiveWeight: weight}}}}}
	}
	router := func(state string) control.Status {
		return control.Status{VRRP: []control.Router{{Name: "web", Family: 4, State: state, Reason: "no carrier"}}}
	}
	none := control.Status{}
	for _, tt := range []struct {
		name              string
		before, is, other control.Status
		want              string
	}{
		{"nothing", none, none, none, ""},
		{"a table", none, control.Status{Table: &control.TableFault{Warning: "the table is not in line"}}, none, "the table is not in line"},
		{"down before", service("www", "unhealthy", 0), service("www", "unhealthy", 0), none, ""},
		{"down now", service("www", "healthy", 1), service("www", "unhealthy", 0), none, "no real server of www gets clients"},
		{"a new service", none, service("www", "unhealthy", 0), none, ""},
		{"a new check", service("www", "healthy", 1), service("www", "unknown", 1), none, "the checks of www have no result yet"},
		{"a check that never had a result", service("www", "unknown", 1), service("www", "unknown", 1), none, ""},
		{"a service less", service("www", "healthy", 1), none, none, ""},
		{"in fault", router("backup"), router("fault"), none, "virtual router web is in FAULT: no carrier"},
		{"in fault before", router("fault"), router("fault"), none, ""},
		{"beginning", router("backup"), router("initialize"), none, "virtual router web has not begun yet"},
		{"not begun before", router("initialize"), router("initialize"), none, ""},
		{"a new one begins", none, router("initialize"), none, "virtual router web has not begun yet"},
		{"master", router("backup"), router("master"), router("backup"), ""},
		{"both", router("master"), router("master"), router("master"), "both directors are master of web: they do not hear each other, or what they send does not fit"},
	} {
		if got := unwell(tt.before, tt.is, tt.other); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
