// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

const (
	advert = 250 * time.Millisecond
	// release is the shortest witness_release, and span is how long a fault lasts: an isolated master lets go before its end.
	release = 4 * time.Second
	span    = 10 * time.Second
	// settles is longer than the time between two questions to a witness.
	settles = 2500 * time.Millisecond
	// unnoticed is the number of answers in a row, one every millisecond, that a client may miss without a fault of the pair.
	unnoticed = 2
)

// letsGo is the longest time in which an isolated master keeps the VIP, as the reference says: the witness is asked every 2s, and
// does not answer within an advertisement interval. Then witness_release begins. After it comes one hand-over that nobody accepts:
// it lasts for a master-down time of the lowest priority, and 50 ms.
func letsGo(d lab.Duo) time.Duration {
	return 2*time.Second + advert + release + d.MasterDown(1) + 50*time.Millisecond
}

// A result is what was measured in the fault, and after it.
type result struct {
	fault, after     tally
	client, returned lab.Outage
	missed           int           // answers in a row that the client missed
	stalled          time.Duration // the longest stall of the machine
}

// config returns the configuration of a director with tandem.
func (r row) config(d lab.Duo, x *lab.Director) string {
	priority, other := lab.PriorityA, "192.0.2.3"
	if x == d.B {
		priority, other = lab.PriorityB, "192.0.2.2"
	}
	keys := ""
	if r.heartbeat {
		keys += "heartbeat = [\"eth1\"]\n"
	}
	if r.witness {
		keys += fmt.Sprintf("witness = [\"192.0.2.1\"]\nwitness_release = %q\nwitness_peer = [%q]\n", release, other)
	}
	return lab.DuoSettings{Advert: advert, Keys: keys}.Config(x.Name, priority)
}

// launch starts the pair and waits until director-a is master, and its guards have been asked.
func (r row) launch(d lab.Duo) {
	if r.keepalived {
		for x, priority := range map[*lab.Director]int{d.A: lab.PriorityA, d.B: lab.PriorityB} {
			x.Keepalived("", lab.KeepalivedRouter{Priority: priority, Advert: advert})
		}
		r.await(d)
	} else {
		for i, x := range []*lab.Director{d.A, d.B} {
			if r.heartbeat {
				x.Join(cross, fmt.Sprintf("10.0.0.%d/24", i+2))
			}
			x.Configure(r.config(d, x))
		}
		d.Launch()
	}
	d.Throughout(settles, "director-a alone has the VIP", func() error { return alone(d) })
}

func (r row) await(d lab.Duo) {
	d.Eventually(30*time.Second, "director-a alone has the VIP", func() error { return alone(d) })
}

func alone(d lab.Duo) error {
	if a, b := d.A.Has(lab.VIP), d.B.Has(lab.VIP); !a || b {
		return fmt.Errorf("VIP on director-a: %t, on director-b: %t", a, b)
	}
	return nil
}

// measure makes the fault in a network of its own, ends it, and fails the attempt if tandem breaks a promise.
func (r row) measure(t *lab.Attempt) (is result) {
	d := lab.NewDuo(t, lab.DuoSettings{Advert: advert})
	r.launch(d)
	a, b := d.A.WatchAddress(lab.VIP), d.B.WatchAddress(lab.VIP)
	stalls, probe := d.WatchStalls(), d.Steady()

	began := time.Now()
	for _, c := range r.cuts {
		c.begin(d)
	}
	time.Sleep(time.Until(began.Add(settles)))
	if r.heartbeat && r.silent != "" {
		wantSilent(t, d, r.silent)
	}
	time.Sleep(time.Until(began.Add(span)))
	is.client, is.missed = ended(probe)
	probe = d.Client.Probe(lab.VIP + ":7")

	healed := time.Now()
	for _, c := range r.cuts {
		c.end(d)
	}
	r.await(d)
	watched := settles
	if r.keepalived {
		watched = span // its client may be without an answer for longer than a row lasts
	} else {
		d.Answers(probe)
	}
	d.Throughout(watched, "director-a alone has the VIP again", func() error { return alone(d) })
	var missed int
	is.returned, missed = ended(probe)
	is.missed = max(is.missed, missed)
	is.stalled = stalls.Stop() + lab.StallError
	is.fault = count(a.Changes(), b.Changes(), began, healed)
	is.after = count(a.Changes(), b.Changes(), healed, time.Now())
	r.judge(t, d, is)
	return is
}

// ended ends a prober. missed is how many answers in a row the client missed, without those for a stall of the machine.
func ended(probe *lab.Prober) (out lab.Outage, missed int) {
	out = probe.Stop()
	return out, probe.Missed() - out.Stalled()
}

// released reports whether director-a lets go although director-b hears it.
func (r row) released() bool { return r.awayA && r.witness }

// wantSilent checks that the fault is there: director-b says that it hears nothing on the path.
func wantSilent(t *lab.Attempt, d lab.Duo, path string) {
	s, err := d.B.Status()
	if err != nil || len(s.VRRP) == 0 {
		t.Fatalf("no status of director-b: %v", err)
	}
	for _, p := range s.VRRP[0].Paths {
		if p.Name == path && p.State == "silent" {
			return
		}
	}
	t.Errorf("director-b hears %s, which the fault makes silent: %+v", path, s.VRRP[0].Paths)
}

// judge compares a result with what tandem promises. The reference says what it does not promise: a witness that both directors
// reach is no help, and with a heartbeat nobody takes over from a master that the clients do not reach.
func (r row) judge(t *lab.Attempt, d lab.Duo, is result) {
	if r.keepalived {
		return
	}
	if r.heartbeat && !r.both && !r.released() {
		if n := is.fault.transitions + is.after.transitions; n > 0 {
			t.Errorf("one of two paths is cut: %d transitions, want none; the machine stalled for %s", n, is.stalled)
		}
		if !r.awayA && is.missed > unnoticed {
			t.Errorf("one of two paths is cut: the client missed %d answers in a row, want %d at most: %s; %s", is.missed, unnoticed, is.client, is.returned)
		}
	}
	if !r.witness {
		return
	}
	if r.awayB && is.fault.two > 0 {
		t.Errorf("the backup reaches no witness: two holders for %s, want none; the machine stalled for %s", is.fault.two, is.stalled)
	}
	// The last advertisement was sent up to an interval before the fault, and the backup takes over a master-down time after it.
	if most := letsGo(d) - d.MasterDown(lab.PriorityB) + advert; r.awayA && is.fault.two > most+is.stalled {
		t.Errorf("the master reaches no witness: two holders for %s, want %s at most; the machine stalled for %s", is.fault.two, most, is.stalled)
	}
}
