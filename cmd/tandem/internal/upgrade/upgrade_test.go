// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

// A fakeMachine is the unit and the director. It records what is done to them.
type fakeMachine struct {
	log []string

	stopped   bool           // the unit
	refuses   string         // mistakes in the configuration
	broken    error          // of the restart
	silent    int            // how many questions nobody answers
	dies      bool           // after the restart nobody answers any more
	status    control.Status // of the running director
	handed    []string
	alone     error // of the hand-over
	unrelease error // of the release
	inPlace   error // of the replacement in place
	lost      bool  // the former version is started again
	lingers   int   // how many statuses until the former election has ended
}

func (m *fakeMachine) Upgrade(context.Context) error {
	m.did("replace")
	if m.inPlace != nil {
		return m.inPlace
	}
	if !m.lost {
		m.status.Version, m.status.Upgraded = "v2", &control.Upgraded{Count: 1, From: "v1"}
	}
	return nil
}

func (m *fakeMachine) did(format string, args ...any) {
	m.log = append(m.log, fmt.Sprintf(format, args...))
}

func (m *fakeMachine) Active(context.Context) (bool, error) { return !m.stopped, nil }

func (m *fakeMachine) Restart(context.Context) error {
	m.did("restart")
	if m.broken != nil {
		return m.broken
	}
	m.status.Version = "v2"
	if m.dies {
		m.silent = 1 << 30
	}
	return nil
}

func (m *fakeMachine) Status(context.Context) (control.Status, error) {
	if m.silent > 0 {
		m.silent--
		return control.Status{}, errors.New("no director listens")
	}
	s := m.status
	if u := s.Upgraded; u != nil && m.lingers > 0 {
		m.lingers--
		s.Upgraded = &control.Upgraded{Count: u.Count, Waits: "the election of the former version"}
	}
	return s, nil
}

func (m *fakeMachine) Failover(_ context.Context, routers []string) (control.RoutersDone, error) {
	m.did("failover %s", strings.Join(routers, " "))
	return control.RoutersDone{Routers: m.handed}, m.alone
}

func (m *fakeMachine) Release(_ context.Context, routers []string) (control.RoutersDone, error) {
	m.did("release %s", strings.Join(routers, " "))
	if m.unrelease != nil {
		return control.RoutersDone{}, m.unrelease
	}
	return control.RoutersDone{Routers: routers}, nil
}

func running(routers ...control.Router) control.Status {
	return control.Status{Version: "v1", VRRP: routers, Config: control.Config{File: "/etc/other.toml"}}
}

// TestUpgrade: nothing is let go before somebody serves in its place, and each failure says what to do.
func TestUpgrade(t *testing.T) {
	master, backup := control.Router{Name: "web", State: "master"}, control.Router{Name: "mail", State: "backup"}
	second := control.Router{Name: "db", State: "master"}
	nobody, format := errors.New("nobody took over db"), errors.New("format 2")
	for _, c := range []struct {
		name    string
		machine fakeMachine
		alone   bool
		want    string // what was done
		err     string // words of the error
	}{
		{"master of one router", fakeMachine{status: running(master, backup), handed: []string{"web"}}, false,
			"check /etc/other.toml, failover web, restart, release web", ""},
		{"backup", fakeMachine{status: running(backup)}, false, "check /etc/other.toml, restart", ""},
		{"no virtual router", fakeMachine{status: running()}, false, "check /etc/other.toml, restart", ""},
		{"stopped by the administrator", fakeMachine{stopped: true}, false, "", ""},
		{"the new version refuses the configuration", fakeMachine{status: running(master), refuses: "line 3: no"}, false,
			"check /etc/other.toml", "refuses /etc/other.toml, so the running director was not restarted"},
		{"nobody takes over: in place", fakeMachine{status: running(master), alone: nobody}, false,
			"check /etc/other.toml, failover web, replace", ""},
		{"in place, and the former election ends later", fakeMachine{status: running(master), alone: nobody, lingers: 2}, false,
			"check /etc/other.toml, failover web, replace, wait, wait", ""},
		{"in place, and the former election does not end", fakeMachine{status: running(master), alone: nobody, lingers: 9}, false,
			"check /etc/other.toml, failover web, replace, wait, wait, wait", "has not taken over everything within 30s: see journalctl -u tandem: the election of"},
		{"in place, and the former version comes back", fakeMachine{status: running(master), alone: nobody, lost: true}, false,
			"check /etc/other.toml, failover web, replace", "the former version, v1, runs again"},
		{"nobody takes over one of two: in place", fakeMachine{status: running(master, second), handed: []string{"web"}, alone: nobody}, false,
			"check /etc/other.toml, failover web db, replace, release web", ""},
		{"nobody takes over, nor in place", fakeMachine{status: running(master), alone: nobody, inPlace: format}, false,
			"check /etc/other.toml, failover web, replace", "the director was not restarted: nobody took over db, and it cannot be replaced in place: format 2. When clients may"},
		{"nobody takes over one of two, nor in place: the other one comes back", fakeMachine{status: running(master, second), handed: []string{"web"}, alone: nobody, inPlace: format}, false,
			"check /etc/other.toml, failover web db, replace, release web", "nobody took over db"},
		{"neither can the other one come back", fakeMachine{status: running(master, second), handed: []string{"web"}, alone: nobody, inPlace: format, unrelease: errors.New("no")}, false,
			"check /etc/other.toml, failover web db, replace, release web", "run tandem release: no"},
		{"nobody takes over, nor in place, and clients may wait", fakeMachine{status: running(master, second), handed: []string{"web"}, alone: nobody, inPlace: format}, true,
			"check /etc/other.toml, failover web db, replace, restart, release web", ""},
		{"the new version does not start", fakeMachine{status: running(master), handed: []string{"web"}, broken: errors.New("timeout")}, false,
			"check /etc/other.toml, failover web, restart", "The other director serves. When this director runs again, run tandem release here."},
		{"the new version does not start, and had nothing to hand over", fakeMachine{status: running(backup), broken: errors.New("timeout")}, false,
			"check /etc/other.toml, restart", "see journalctl -u tandem. Install the former version again: timeout"},
		{"the former version does not answer", fakeMachine{status: running(backup), silent: 1}, false, "check /etc/default.toml, restart", ""},
		{"the new version answers late", fakeMachine{status: running(backup), silent: 3}, false, "check /etc/default.toml, restart, wait, wait", ""},
		{"the new version never answers", fakeMachine{status: running(master), handed: []string{"web"}, dies: true}, false,
			"check /etc/other.toml, failover web, restart, wait, wait, wait", "run tandem release here. The cause: no director listens"},
		{"it stays in standby", fakeMachine{status: running(master), handed: []string{"web"}, unrelease: errors.New("no")}, false,
			"check /etc/other.toml, failover web, restart, release web", "runs in standby: run tandem release: no"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, waits := &c.machine, 0
			result, err := Run(t.Context(), Options{
				Unit: m, Director: m, File: "/etc/default.toml", Alone: c.alone, Tell: func(string, ...any) {},
				Check: func(_ context.Context, file string) error {
					m.did("check %s", file)
					if m.refuses != "" {
						return errors.New(m.refuses)
					}
					return nil
				},
				Pause: func(context.Context) error {
					m.did("wait")
					if waits++; waits == 3 {
						return context.DeadlineExceeded
					}
					return nil
				},
			})
			if did := strings.Join(m.log, ", "); did != c.want {
				t.Errorf("did %s, want %s", did, c.want)
			}
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if errors.Is(err, ErrAlone) != (c.machine.alone != nil && c.machine.inPlace != nil && !c.alone) {
				t.Errorf("whether nobody took over: %v", err)
			}
			if result.Restarted != (slices.Contains(m.log, "restart") && m.broken == nil) {
				t.Errorf("result %+v", result)
			}
			if err == nil && !m.stopped && (result.To != "v2" || !slices.Equal(result.Released, result.HandedOver)) {
				t.Errorf("result %+v", result)
			}
		})
	}
}

// TestUpgradeInPlace: nothing is handed over, no unit is asked, and a refusal says that the director goes on.
func TestUpgradeInPlace(t *testing.T) {
	for _, c := range []struct {
		name    string
		machine fakeMachine
		want    string
		err     string
	}{
		{"done", fakeMachine{stopped: true, status: running()}, "replace", ""},
		{"refused", fakeMachine{status: running(), inPlace: errors.New("format 2")}, "replace", "the director was not replaced and goes on as before: format 2"},
		{"no director", fakeMachine{silent: 9}, "", "no director listens"},
	} {
		m := &c.machine
		r, err := Run(t.Context(), Options{Unit: m, Director: m, InPlace: true, Tell: func(string, ...any) {}})
		if did := strings.Join(m.log, ", "); did != c.want || r.InPlace != (c.err == "") || r.Restarted {
			t.Errorf("%s: did %s, want %s; %+v", c.name, did, c.want, r)
		}
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.err)
		}
	}
}
