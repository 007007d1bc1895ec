// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

const (
	vip       = lab.VIP
	inForce   = time.Second // from a drain to the kernel's table
	scrapeURL = "http://192.0.2.2:9000/metrics"
)

// TestMasterWorksOn: the master keeps working if something that it writes to hangs or fails. Meanwhile an operator drains a
// server and reloads a changed weight, and metrics and status are read. The orders are in force at once. The master keeps the
// VIP, its peer does not get it, and no client notices. What could not be remembered is remembered in the end.
func TestMasterWorksOn(t *testing.T) {
	for _, tt := range []struct {
		name       string
		fail, mend func(*lab.Disk, *lab.Process)
		span       time.Duration // how long that lasts
		forgets    bool          // the director cannot write its state
	}{
		{
			"disk frozen",
			func(d *lab.Disk, _ *lab.Process) { d.Freeze() },
			func(d *lab.Disk, _ *lab.Process) { d.Thaw() },
			10 * time.Second, true,
		},
		{
			"disk read-only",
			func(d *lab.Disk, _ *lab.Process) { d.ReadOnly() },
			func(d *lab.Disk, _ *lab.Process) { d.Writable() },
			3 * time.Second, true,
		},
		{
			"log unread",
			func(_ *lab.Disk, p *lab.Process) { p.LeaveUnread() },
			func(_ *lab.Disk, p *lab.Process) { p.ReadAgain() },
			3 * time.Second, false,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, disk := newPairWithDisk(t)
			election, err := p.A.ElectionPid()
			if err != nil {
				t.Fatal(err)
			}
			watch := p.Client.WatchARP(vip, 20*time.Millisecond)
			load := p.Client.Load("http://"+vip+"/", 50*time.Millisecond)
			moves := countMoves(p)
			awaitServed(p, load, 20)

			// How long it takes an emulated machine while all is well.
			_, usual := order(t, p, 0, "192.0.2.11", "drain", "www/192.0.2.11")
			order(t, p, 1, "192.0.2.11", "undrain", "www/192.0.2.11")

			tt.fail(disk, p.A.Process())
			until := time.Now().Add(tt.span)
			readers := read(p.A)
			drain, took := order(t, p, 0, "192.0.2.11", "drain", "www/192.0.2.11")
			if took > inForce+usual {
				t.Errorf("the drain was in the kernel after %s, want at most %s more than the usual %s", took, inForce, usual)
			}
			p.A.Configure(diskConfig(p.A.Name, lab.PriorityA, 1, 3))
			order(t, p, 3, "192.0.2.12", "reload")
			wantWarning(t, p, tt.forgets)
			wantUndisturbed(t, p, election, until)
			if out := drain.Output(); drain.Running() || strings.Contains(out, "in force; not yet remembered: ") != tt.forgets {
				t.Errorf("tandem drain runs: %t; it says %q; want that the drain is in force, and not yet remembered: %t",
					drain.Running(), out, tt.forgets)
			}
			wantWarning(t, p, tt.forgets)
			readers.wantAnswered(t)

			tt.mend(disk, p.A.Process())
			wantWarning(t, p, false)
			awaitServed(p, load, 20)
			wantServed(t, load.Stop())
			wantOneHolder(t, watch.Stop())
			if n := moves(); n > 0 {
				t.Errorf("the VIP came to a director or went from one %d times, want never", n)
			}
			wantRemembered(t, p)
		})
	}
}

// TestElectionDiesBesideAFrozenDisk: the master's election is killed while the disk with its state hangs. Two directors
// never answer for the VIP together for longer than the 200 ms in which a successor announces itself, and clients are
// served on, while the disk hangs and afterwards.
func TestElectionDiesBesideAFrozenDisk(t *testing.T) {
	p, disk := newPairWithDisk(t)
	watch := p.Client.WatchARP(vip, 20*time.Millisecond)
	load := p.Client.Load("http://"+vip+"/", 50*time.Millisecond)
	awaitServed(p, load, 20)
	disk.Freeze()
	p.A.KillElection()
	p.Eventually(p.MasterDown(lab.PriorityB)+2*time.Second, "one director alone has the VIP", func() error {
		if a, b := p.A.Has(vip), p.B.Has(vip); a == b {
			return fmt.Errorf("VIP on director-a: %t, on director-b: %t", a, b)
		}
		return nil
	})
	awaitServed(p, load, 20)
	p.Throughout(p.MasterDown(lab.PriorityB), "one director at most has the VIP", func() error {
		if p.A.Has(vip) && p.B.Has(vip) {
			return fmt.Errorf("both have it")
		}
		return nil
	})
	awaitServed(p, load, 20)
	disk.Thaw()
	p.AwaitMaster(p.A)
	awaitServed(p, load, 20)
	answers := watch.Stop()
	if overlap := lab.LongestOverlap(answers); overlap > 200*time.Millisecond+lab.LongestPause(answers) {
		t.Errorf("two directors answered for the VIP for %s, want at most 200ms", overlap.Round(time.Millisecond))
	}
}

// worksOn are the settings of a pair with an interval so long that a stall of the machine causes no failover.
var worksOn = lab.PairSettings{Advert: time.Second}

// newPairWithDisk starts a pair of which director-a has its state on a disk of its own.
func newPairWithDisk(t *testing.T) (*lab.Pair, *lab.Disk) {
	t.Helper()
	p := lab.NewPair(t, worksOn)
	p.A.Configure(diskConfig(p.A.Name, lab.PriorityA))
	disk := p.A.Disk("state")
	p.Launch()
	return p, disk
}

// diskConfig returns a director's configuration with metrics.
func diskConfig(name string, priority int, weights ...int) string {
	return worksOn.Config(name, priority, weights...) + "\n[metrics]\nlisten = \":9000\"\n"
}

// countMoves returns a function that counts how often the VIP came to a director or went from it.
func countMoves(p *lab.Pair) func() int {
	a, b := p.A.WatchAddress(vip), p.B.WatchAddress(vip)
	return func() int { return len(a.Changes()) + len(b.Changes()) }
}

// within polls until check returns nil. A failure does not end the test, so that one run shows all of them.
func within(t *testing.T, limit time.Duration, what string, check func() error) {
	t.Helper()
	err := check()
	for end := time.Now().Add(limit); err != nil && time.Now().Before(end); err = check() {
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		t.Errorf("not within %s: %s: %v", limit, what, err)
	}
}

// order runs a command on director-a and returns it, and how soon the kernel has the weight that the command asks for.
func order(t *testing.T, p *lab.Pair, weight int, server, command string, args ...string) (*lab.Process, time.Duration) {
	t.Helper()
	stalls, began := p.WatchStalls(), time.Now()
	proc := p.A.Start(lab.Tandem.Path(), append([]string{command, "--socket", p.A.Socket}, args...)...)
	within(t, 5*time.Second, fmt.Sprintf("after tandem %s the kernel has %s at weight %d", command, server, weight), func() error {
		if got := p.A.Weights()["tcp "+server]; got != weight {
			return fmt.Errorf("weight %d", got)
		}
		return nil
	})
	took, stall := time.Since(began), stalls.Stop()
	p.Logf("tandem %s: in the kernel after %s, with a stall of %s", command, took.Round(time.Millisecond), stall.Round(time.Millisecond))
	return proc, took - stall
}

// wantUndisturbed checks until a moment that director-a holds the VIP, and that its election is the same process.
func wantUndisturbed(t *testing.T, p *lab.Pair, election int, until time.Time) {
	t.Helper()
	for ; time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		pid, err := p.A.ElectionPid()
		if a, b := p.A.Has(vip), p.B.Has(vip); err != nil || pid != election || !a || b {
			t.Errorf("VIP on director-a: %t, on director-b: %t; the election was process %d and is %d, %v", a, b, election, pid, err)
			break
		}
	}
	time.Sleep(time.Until(until))
}

// wantWarning waits until director-a's status warns that something is not remembered, or no longer does.
func wantWarning(t *testing.T, p *lab.Pair, want bool) {
	t.Helper()
	within(t, 3*time.Second, fmt.Sprintf("the status warns that something is not remembered: %t", want), func() error {
		s, err := p.A.Status()
		if err != nil {
			return err
		}
		all := strings.Join(s.Warnings, "\n")
		if got := strings.Contains(all, "is not remembered"); got != want {
			return fmt.Errorf("warnings %q", all)
		}
		return nil
	})
}

// wantRemembered kills and starts director-a, and checks that it still knows its orders. It gets no time to write anything at
// its end.
func wantRemembered(t *testing.T, p *lab.Pair) {
	t.Helper()
	p.A.PowerOff()
	p.A.Process().Wait(5 * time.Second)
	p.A.PowerOn()
	p.AwaitMaster(p.A)
	p.Eventually(20*time.Second, "after a restart web1 is drained and web2 has weight 3", func() error {
		if w := p.A.Weights(); w["tcp 192.0.2.11"] != 0 || w["tcp 192.0.2.12"] != 3 {
			return fmt.Errorf("weights %v", w)
		}
		return nil
	})
	status, err := p.A.TryRun(lab.Tandem.Path(), "status", "--socket", p.A.Socket)
	if err != nil || !strings.Contains(status, "drained by command") {
		t.Errorf("after a restart the status does not say that web1 is drained: %v\n%s", err, status)
	}
}

// awaitServed waits until the next n requests in a row have been answered.
func awaitServed(p *lab.Pair, load *lab.Load, n int) {
	from := time.Now()
	p.Eventually(20*time.Second, "requests are served", func() error {
		good := 0
		for _, r := range load.Requests() {
			switch {
			case r.Start.Before(from):
			case r.Err != nil:
				good = 0
			default:
				good++
			}
		}
		if good < n {
			return fmt.Errorf("%d in a row", good)
		}
		return nil
	})
}

// wantServed checks that no request has failed.
func wantServed(t *testing.T, requests []lab.Request) {
	t.Helper()
	var errs []error
	for _, r := range requests {
		if r.Err != nil {
			errs = append(errs, r.Err)
		}
	}
	if len(errs) > 0 {
		t.Errorf("%d of %d requests failed, the first: %v", len(errs), len(requests), errs[0])
	}
}

// wantOneHolder checks that two machines never answered for the VIP at the same time.
func wantOneHolder(t *testing.T, answers []lab.ARPAnswer) {
	t.Helper()
	double := 0
	for _, a := range answers {
		if len(a.MACs) > 1 {
			double++
		}
	}
	if double > 0 {
		t.Errorf("%d of %d questions who has the VIP were answered by two, for %s in a row", double, len(answers),
			lab.LongestOverlap(answers).Round(time.Millisecond))
	}
}

// A reading is what readers of metrics and status have seen so far.
type reading struct {
	stop func()

	mu             sync.Mutex
	scrapes, looks int
	longest        time.Duration
	errs           []error
}

// read reads a director's metrics and status in two loops.
func read(d *lab.Director) *reading {
	r, done := &reading{}, make(chan struct{})
	var group sync.WaitGroup
	loop := func(count *int, ask func() error) {
		group.Go(func() {
			tick := time.NewTicker(200 * time.Millisecond)
			defer tick.Stop()
			for {
				began := time.Now()
				err := ask()
				r.mu.Lock()
				r.longest = max(r.longest, time.Since(began))
				if *count++; err != nil {
					r.errs = append(r.errs, err)
				}
				r.mu.Unlock()
				select {
				case <-done:
					return
				case <-tick.C:
				}
			}
		})
	}
	loop(&r.scrapes, func() error { _, err := d.Get(scrapeURL); return err })
	loop(&r.looks, func() error { _, err := d.Status(); return err })
	r.stop = sync.OnceFunc(func() { close(done); group.Wait() })
	return r
}

// wantAnswered ends the loops, and checks that each of them has been answered.
func (r *reading) wantAnswered(t *testing.T) {
	t.Helper()
	r.stop()
	t.Logf("%d scrapes and %d looks at the status, the longest took %s", r.scrapes, r.looks, r.longest.Round(time.Millisecond))
	if len(r.errs) > 0 {
		t.Errorf("%d questions for metrics or status failed, the first: %v", len(r.errs), r.errs[0])
	}
	if r.scrapes < 5 || r.looks < 5 {
		t.Errorf("%d scrapes and %d looks at the status, want 5 of each", r.scrapes, r.looks)
	}
}
