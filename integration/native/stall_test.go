// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestMasterStalled: the master's processes are stopped for 3 s, and the backup takes over. From one advertisement after the
// processes continue, there is one master at each moment. The VIP moves at most once more, by the rules of preemption, and
// only the master announces it.
func TestMasterStalled(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		keys string
		then func(d lab.Duo) (winner, loser *lab.Director)
	}{
		{"preempt", "", func(d lab.Duo) (_, _ *lab.Director) { return d.A, d.B }},
		{"nopreempt", "preempt = false", func(d lab.Duo) (_, _ *lab.Director) { return d.B, d.A }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := lab.NewDuo(t, lab.DuoSettings{Keys: tt.keys})
			d.A.Launch()
			d.A.AwaitState(10*time.Second, "master")
			d.B.Launch()
			d.B.AwaitState(10*time.Second, "backup")
			winner, loser := tt.then(d)
			heard := d.Client.Capture("eth0", lab.Frame.IsVRRP)
			announced := d.Client.Capture("eth0", lab.Frame.IsAnnouncement)

			signal(t, d.A, syscall.SIGSTOP)
			stopped := time.Now()
			d.B.AwaitState(5*time.Second, "master")
			awaitHas(d.Lab, time.Second, d.B.Host, vip, true)
			d.Throughout(3*time.Second-time.Since(stopped), "director-b has the VIP", func() error {
				if !d.B.Has(vip) {
					return errNotYet
				}
				return nil
			})
			woke := time.Now()
			signal(t, d.A, syscall.SIGCONT)
			// Twice three intervals and the skew: nothing can begin later.
			settled := woke.Add(2 * d.MasterDown(1))
			d.Eventually(5*time.Second, "time has passed", func() error {
				if time.Now().Before(settled) {
					return errNotYet
				}
				return nil
			})
			winner.AwaitState(5*time.Second, "master")
			loser.AwaitState(5*time.Second, "backup")
			awaitHas(d.Lab, 5*time.Second, loser.Host, vip, false)

			watch := d.Client.WatchARP(vip, 20*time.Millisecond)
			wantOneMaster(t, d, heard.Frames(), woke.Add(100*time.Millisecond), winner)
			wantNoAnnouncement(t, d, heard.Frames(), announced.Frames(), woke)
			d.Eventually(5*time.Second, "ten questions were asked", func() error {
				if len(watch.Answers()) < 10 {
					return errNotYet
				}
				return nil
			})
			for _, a := range watch.Stop()[:10] {
				if slices.ContainsFunc(a.MACs, func(mac string) bool { return mac != winner.MAC() }) {
					t.Errorf("%v answer for the VIP, want %s alone, %s", a.MACs, winner.Name, winner.MAC())
				}
			}
		})
	}
}

// TestMachinePaused: the machine of the master is paused for longer than its peer waits, and what was sent to it meanwhile is
// lost. When it goes on it lets go of the VIP before it hears the other master. Alone, it has the VIP again after an interval and
// its skew time.
func TestMachinePaused(t *testing.T) {
	const interval = 500 * time.Millisecond
	for _, alone := range []bool{false, true} {
		t.Run(fmt.Sprintf("alone %t", alone), func(t *testing.T) {
			t.Parallel()
			d := lab.NewDuo(t, lab.DuoSettings{Advert: interval, Keys: "preempt = false"})
			d.A.Launch()
			d.A.AwaitState(10*time.Second, "master")
			if !alone {
				d.B.Launch()
				d.B.AwaitState(10*time.Second, "backup")
			}
			d.A.Isolate()
			signal(t, d.A, syscall.SIGSTOP)
			stopped := time.Now()
			if !alone {
				d.B.AwaitState(5*time.Second, "master")
				heard := d.Client.Capture("eth0", lab.Frame.IsVRRP)
				d.Eventually(5*time.Second, "director-b has just advertised", func() error {
					if len(heard.Frames()) == 0 {
						return errNotYet
					}
					return nil
				})
			}
			d.Eventually(10*time.Second, "five intervals have passed", func() error {
				if time.Since(stopped) < 5*interval {
					return errNotYet
				}
				return nil
			})
			d.A.Rejoin()
			toGone, toBack := watchDelays(d, d.A), watchDelays(d, d.A)
			signal(t, d.A, syscall.SIGCONT)
			woke := time.Now()
			awaitHas(d.Lab, 5*time.Second, d.A.Host, vip, false)
			gone := time.Since(woke)
			d.Logf("it let go of the VIP after %s", gone)
			if stalled, locked := toGone.stop(); gone > interval/4+stalled+locked {
				t.Errorf("it let go of the VIP %s after it went on, want at most %s; the machine stalled for %s, and its kernel made changes wait for %s",
					gone, interval/4, stalled, locked)
			}
			if !alone {
				d.A.AwaitState(5*time.Second, "backup")
				d.Throughout(2*interval, "director-b alone has the VIP", func() error {
					if d.A.Has(vip) || !d.B.Has(vip) {
						return errNotYet
					}
					return nil
				})
				return
			}
			awaitHas(d.Lab, 5*time.Second, d.A.Host, vip, true)
			back, listened := time.Since(woke), interval+interval*(256-lab.PriorityA)/256
			d.Logf("it had the VIP again after %s", back)
			if stalled, locked := toBack.stop(); back > listened+100*time.Millisecond+2*stalled+locked {
				t.Errorf("alone, it had the VIP again after %s, want %s; the machine stalled for %s, and its kernel made changes wait for %s",
					back, listened, stalled, locked)
			}
		})
	}
}

// signal sends a signal to all processes of a director.
func signal(t *testing.T, d *lab.Director, sig syscall.Signal) {
	t.Helper()
	pids := d.Pids()
	if len(pids) != 2 {
		t.Errorf("%s has the processes %v, want a director and an election", d.Name, pids)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil {
			t.Errorf("signal %d of %s: %v", pid, d.Name, err)
		}
	}
}

// wantOneMaster checks that the advertisements from a moment on come from one sender, or first from one and
// then from another, and in the end from the winner.
func wantOneMaster(t *testing.T, d lab.Duo, heard []lab.Frame, after time.Time, winner *lab.Director) {
	t.Helper()
	var senders []string
	for _, f := range masters(heard) {
		if f.When.Before(after) {
			continue
		}
		if from := f.Source().String(); len(senders) == 0 || senders[len(senders)-1] != from {
			senders = append(senders, from)
			d.Logf("%s advertises itself from %s after the wake-up on", from, f.When.Sub(after.Add(-100*time.Millisecond)))
		}
	}
	if len(senders) == 0 || len(senders) > 2 || senders[len(senders)-1] != winner.MAC() {
		t.Errorf("after the wake-up masters advertised themselves in the order %v, want %s last and no flap", senders, winner.MAC())
	}
}

// masters returns the advertisements of masters. A master that gives way advertises once more as soon as it hears the other
// one: this advertisement is left out, and so are offers of priority 0.
func masters(heard []lab.Frame) (all []lab.Frame) {
	former, changed := "", time.Time{} // who was master before, and until when
	for _, f := range heard {
		if f.VRRPPriority() == 0 {
			continue
		}
		from := f.Source().String()
		if from == former && f.When.Sub(changed) < 50*time.Millisecond {
			former = ""
			continue
		}
		if n := len(all); n > 0 && all[n-1].Source().String() != from {
			former, changed = all[n-1].Source().String(), f.When
		}
		all = append(all, f)
	}
	return all
}

// wantNoAnnouncement checks that after the wake-up no director announced the VIP while the other one was advertising itself.
func wantNoAnnouncement(t *testing.T, d lab.Duo, heard, announced []lab.Frame, woke time.Time) {
	t.Helper()
	heard = masters(heard)
	for _, a := range announced {
		if a.When.Before(woke) {
			continue
		}
		master := ""
		for _, f := range heard {
			if f.When.Before(a.When) {
				master = f.Source().String()
			}
		}
		d.Logf("%s announced the VIP %s after the wake-up, while %s was master", a.Source(), a.When.Sub(woke), master)
		if a.Source().String() != master {
			t.Errorf("%s announced the VIP while %s was master", a.Source(), master)
		}
	}
}
