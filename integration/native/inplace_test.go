// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestUpgradeInPlace: the installed version replaces the running one five times, on a director without a peer, and on the master of a pair. The process keeps its
// number, and no client notices. Advertisements go on as if nothing had happened: none has priority 0, and no backup would have taken
// over. A version that cannot read what it would take over is refused, and the running one goes on.
func TestUpgradeInPlace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, keys string
		pair       bool // with a backup, which never takes over
	}{{"alone", "", false}, {"virtual MAC", "virtual_mac = true", false}, {"pair", "", true}} {
		t.Run(c.name, func(t *testing.T) {
			inPlace(t, lab.NewDuo(t, lab.DuoSettings{Keys: c.keys}), c.pair)
		})
	}
}

func inPlace(t *testing.T, d lab.Duo, pair bool) {
	program := ownProgram(t, d.A)
	director := d.A.Launch()
	d.A.AwaitState(10*time.Second, "master")
	if pair {
		d.B.Launch()
		d.B.AwaitState(10*time.Second, "backup")
	}
	heard := d.Client.Capture("eth0", lab.Frame.IsVRRP)
	probe := d.Steady()
	changes := d.A.WatchAddress(vip)
	began, stalls := time.Now(), d.WatchStalls()
	for i := range 5 {
		old, err := d.A.ElectionPid()
		if err != nil {
			t.Fatal(err)
		}
		install(t, lab.Tandem.Path(), program)
		start := time.Now()
		if out, err := tandem(d.A, "upgrade", "--in-place"); err != nil || !strings.Contains(out, "replaced in place") {
			t.Fatalf("tandem upgrade --in-place, number %d: %q, %v", i+1, out, err)
		}
		took := time.Since(start)
		now, err := d.A.ElectionPid()
		if err != nil || now == old || !director.Running() {
			t.Errorf("number %d: the election is process %d, and was %d; %v", i+1, now, old, err)
		}
		d.Logf("replaced in place after %s", took.Round(time.Millisecond))
		d.Eventually(5*time.Second, "one director and one election", func() error {
			if pids := d.A.Pids(); len(pids) != 2 {
				return fmt.Errorf("processes %v", pids)
			}
			return nil
		})
	}
	wantUnbroken(t, d, heard, began, stalls.Stop())
	wantUnnoticed(t, d, "five upgrades in place", probe)
	if n := changes.Changes(); len(n) > 0 {
		t.Errorf("the VIP came and went: %v", n)
	}

	probe = d.Steady()
	stub := d.A.WriteFile("stub", "#!/bin/sh\necho 'the hand-off of the running version has format 1, and this version reads format 2' >&2\nexit 1\n")
	if err := os.Chmod(stub, 0o755); err != nil {
		t.Fatal(err)
	}
	old, err := d.A.ElectionPid()
	if err != nil {
		t.Fatal(err)
	}
	install(t, stub, program)
	if out, err := tandem(d.A, "upgrade", "--in-place"); err == nil || !strings.Contains(out, "goes on as before") || !strings.Contains(out, "reads format 2") {
		t.Errorf("a version that cannot read the hand-off: %q, %v", out, err)
	}
	if now, err := d.A.ElectionPid(); err != nil || now != old || !director.Running() || d.A.State() != "master" {
		t.Errorf("the election is process %d, and was %d; %v", now, old, err)
	}
	wantUnnoticed(t, d, "an upgrade that is refused", probe)
	// The refused one has left nothing behind: the next one works.
	install(t, lab.Tandem.Path(), program)
	if out, err := tandem(d.A, "upgrade", "--in-place"); err != nil {
		t.Errorf("tandem upgrade --in-place after a refusal: %q, %v", out, err)
	}
	terminate(t, d.A)
}

// wantUnbroken checks that the advertisements since a moment had no gap in which a backup would have taken over, and none let go.
func wantUnbroken(t *testing.T, d lab.Duo, heard *lab.Capture, since time.Time, stalled time.Duration) {
	t.Helper()
	last, longest := since, time.Duration(0)
	frames := heard.Frames() // of director-b too, if it takes over
	for _, f := range frames {
		if f.When.Before(since) {
			continue
		}
		longest = max(longest, f.When.Sub(last))
		last = f.When
		if f.VRRPPriority() != lab.PriorityA {
			t.Errorf("an advertisement of priority %d, want %d", f.VRRPPriority(), lab.PriorityA)
		}
	}
	down := d.MasterDown(lab.PriorityB)
	d.Logf("%d advertisements, at most %s apart; a backup takes over after %s", len(frames), longest.Round(100*time.Microsecond), down)
	if longest > down+stalled {
		t.Errorf("advertisements %s apart, and a backup takes over after %s; the machine itself stalled for %s", longest, down, stalled)
	}
}

// programs counts the programs of ownProgram.
var programs atomic.Int64

// ownProgram lets a director run from a file of its own, as an installed program.
func ownProgram(t *testing.T, d *lab.Director) (path string) {
	t.Helper()
	own := lab.Cargo{Name: fmt.Sprintf("tandem-%d", programs.Add(1))}
	t.Cleanup(func() { _ = os.Remove(own.Path()) })
	install(t, lab.Tandem.Path(), own.Path())
	d.Use(own)
	return own.Path()
}
