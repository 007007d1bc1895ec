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
	return m.status, nil
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
	nobody := errors.New("nobody took over db")
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
		{"nobody takes over", fakeMachine{status: running(master), alone: nobody}, false,
			"check /etc/other.toml, failover web", "the director was not restarted: nobody took over db. When clients may"},
		{"nobody takes over one of two: the other one comes back", fakeMachine{status: running(master, second), handed: []string{"web"}, alone: nobody}, false,
			"check /etc/other.toml, failover web db, release web", "nobody took over db"},
		{"neither can the other one come back", fakeMachine{status: running(master, second), handed: []string{"web"}, alone: nobody, unrelease: errors.New("no")}, false,
			"check /etc/other.toml, failover web db, release web", "run tandem release: no"},
		{"nobody takes over, and clients may wait", fakeMachine{status: running(master, second), handed: []string{"web"}, alone: nobody}, true,
			"check /etc/other.toml, failover web db, restart, release web", ""},
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
			if errors.Is(err, ErrAlone) != (c.machine.alone != nil && !c.alone) {
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
