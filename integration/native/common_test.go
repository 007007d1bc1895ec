// SPDX-License-Identifier: Apache-2.0

package native

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// unnoticed is the number of milliseconds of outage that clients do not notice.
const unnoticed = 2

var errNotYet = errors.New("not yet")

// wantUnnoticed ends a prober and checks its result. While the machine stalls, the directors stand still as the prober does.
func wantUnnoticed(t *testing.T, d lab.Duo, what string, probe *lab.Prober) {
	t.Helper()
	if err := noticed(d, what, probe); err != nil {
		t.Error(err)
	}
}

// noticed ends a prober and returns what its client noticed, nil for nothing.
func noticed(d lab.Duo, what string, probe *lab.Prober) error {
	d.Answers(probe)
	out := probe.Stop()
	missed := probe.Missed()
	d.Logf("%s: %d questions in a row unanswered; %s", what, missed, out)
	if allowed := unnoticed + out.Stalled(); missed > allowed || out.Open {
		return fmt.Errorf("%s: the client missed %d answers in a row, asking every millisecond; want at most %d, and no more than %d for stalls of the machine: %s",
			what, missed, unnoticed, allowed, out)
	}
	return nil
}

// tandem runs a command of tandem's for a director.
func tandem(d *lab.Director, command string, args ...string) (string, error) {
	return d.TryRun(lab.Tandem.Path(), append([]string{command, "--socket", d.Socket}, args...)...)
}

// terminate ends a director by SIGTERM and checks that it leaves nothing.
func terminate(t *testing.T, d *lab.Director) {
	t.Helper()
	d.Process().Signal(syscall.SIGTERM)
	if code := d.Process().Wait(15 * time.Second); code != 0 {
		t.Errorf("tandem on %s ended with code %d, want 0", d.Name, code)
	}
	if d.Has(vip) {
		t.Errorf("%s kept the VIP", d.Name)
	}
	if pids := d.Pids(); len(pids) > 0 {
		t.Errorf("%s: processes %v were left behind", d.Name, pids)
	}
}

// reload sends SIGHUP and waits until the file is loaded.
func reload(l *lab.Lab, d *lab.Director) {
	old, _ := d.Status()
	d.Process().Signal(syscall.SIGHUP)
	l.Eventually(5*time.Second, d.Name+" has loaded its file again", func() error {
		now, err := d.Status()
		if err == nil && !now.Config.LoadedAt.After(old.Config.LoadedAt) {
			err = fmt.Errorf("loaded at %s", now.Config.LoadedAt)
		}
		return err
	})
}

// A delayWatch measures what delays a director that is not to blame: how long the machine stalls, and how long the kernel makes
// changes of links and addresses wait.
type delayWatch struct {
	stalls *lab.StallWatch
	lock   *lab.LockWatch
}

func watchDelays(d lab.Duo, x *lab.Director) delayWatch {
	return delayWatch{stalls: d.WatchStalls(), lock: x.WatchLock()}
}

// stop ends the watch and returns the longest of both.
func (w delayWatch) stop() (stalled, locked time.Duration) { return w.stalls.Stop(), w.lock.Stop() }

// awaitHas waits until a host has an address, or has lost it.
func awaitHas(l *lab.Lab, limit time.Duration, h *lab.Host, addr string, want bool) {
	what := "has"
	if !want {
		what = "has lost"
	}
	l.Eventually(limit, strings.Join([]string{h.Name, what, addr}, " "), func() error {
		if h.Has(addr) != want {
			return errNotYet
		}
		return nil
	})
}

// from returns the frames that a host sent after a moment.
func from(frames []lab.Frame, h *lab.Host, after time.Time) []lab.Frame {
	var sent []lab.Frame
	mac := h.MAC()
	for _, f := range frames {
		if f.Source().String() == mac && f.When.After(after) {
			sent = append(sent, f)
		}
	}
	return sent
}

// install puts a program where another one was, as a package manager does: the running one keeps its file. A program of its own writes
// it: a file that this process has open for writing could be open in another program that it starts, and could not be run.
func install(t *testing.T, from, to string) {
	t.Helper()
	out, err := exec.Command("busybox", "cp", from, to+".new").CombinedOutput()
	if err == nil {
		err = os.Rename(to+".new", to)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
