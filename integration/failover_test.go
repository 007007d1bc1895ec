// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestMasterLost: the master is cut off. The backup takes over in time and serves the clients. When the first director is
// back, it becomes master again, and only requests in flight fail.
func TestMasterLost(t *testing.T) {
	p := lab.NewPair(t, lab.PairSettings{})
	p.Launch()
	for _, tt := range []struct {
		name      string
		lose, get func(*lab.Host)
		// A director that can see its fault must not return before it can serve. A director that cannot see it has stayed
		// master, with a pool that did not answer.
		quiet bool
	}{
		{"cable cut", (*lab.Host).Cut, (*lab.Host).Plug, true},
		{"frames lost, carrier kept", (*lab.Host).Isolate, (*lab.Host).Rejoin, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			awaitUndisturbed(p)
			heard := p.B.Capture("eth0", lab.Frame.IsVRRP)
			sentByB := func(f lab.Frame) bool { return f.Source().String() == p.B.MAC() }
			probe := p.Client.Probe(echoVIP)
			awaitAnswers(p.Lab, probe)
			p.Eventually(5*time.Second, "an advertisement is captured", func() error {
				if len(heard.Frames()) == 0 {
					return fmt.Errorf("none yet")
				}
				return nil
			})

			tt.lose(p.A.Host)
			p.Eventually(10*time.Second, "director-b advertises itself", func() error {
				if _, ok := first(heard.Frames(), sentByB); !ok {
					return fmt.Errorf("not yet")
				}
				return nil
			})
			if body, err := p.Client.Get(vipURL); err != nil {
				t.Errorf("the next request failed: %q, %v", body, err)
			}
			awaitAnswers(p.Lab, probe)
			outage := probe.Stop()
			wantTakeOver(t, p, heard.Frames(), outage)
			p.B.AwaitState(10*time.Second, "master")
			// Long enough for A's own checks to fail, as they do in a real cut.
			p.Throughout(p.ChecksFail(), "director-b serves", func() error {
				_, err := p.Client.Get(vipURL)
				return err
			})

			wantReturn(t, p, func() { tt.get(p.A.Host) }, tt.quiet)
		})
	}
}

// awaitUndisturbed waits until A is master, B is backup, and both have all servers in use.
func awaitUndisturbed(p *lab.Pair) {
	p.AwaitMaster(p.A)
	p.B.AwaitState(10*time.Second, "backup")
	for _, d := range []*lab.Director{p.A, p.B} {
		p.AwaitWeights(20*time.Second, d, 1)
	}
}

// wantTakeOver checks the time from the last advertisement of A to the first of B.
func wantTakeOver(t *testing.T, p *lab.Pair, heard []lab.Frame, outage lab.Outage) {
	t.Helper()
	var last, next lab.Frame
	for _, f := range heard {
		if f.Source().String() == p.B.MAC() {
			next = f
			break
		}
		last = f
	}
	took, bound := next.When.Sub(last.When), p.MasterDown(lab.PriorityB)+50*time.Millisecond
	p.Logf("director-b took over %s after the last advertisement, the bound is %s; the client saw %s",
		took.Round(time.Millisecond), bound.Round(time.Millisecond), outage)
	// Stalls of the machine, as the prober saw them, are not tandem's fault.
	if took > bound+outage.Gap {
		t.Errorf("director-b took over %s after the last advertisement, want at most %s", took, bound)
	}
	if outage.Open || outage.Longest > took+bound {
		t.Errorf("the client saw %s", outage)
	}
}

// wantReturn ends A's fault, waits until A is master again and clients are served, and checks that two directors never
// answered for the VIP for long. In a quiet return only requests in flight at the take-over may fail.
func wantReturn(t *testing.T, p *lab.Pair, comeBack func(), quiet bool) {
	t.Helper()
	load := p.Client.Load(vipURL, 50*time.Millisecond)
	owners := watchOwners(p)
	heard := p.Client.Capture("eth0", ofMasters)
	comeBack()
	p.AwaitMaster(p.A)
	awaitServed(p.Lab, load, time.Now())
	requests := load.Stop()
	_, ok := first(heard.Frames(), func(f lab.Frame) bool { return isAdvert(f) && f.Source().String() == p.A.MAC() })
	if !ok {
		t.Error("no advertisement of director-a reached the client")
	}
	changes := changesOfMaster(heard.Frames(), p.B.MAC())
	if !quiet && len(changes) > 0 {
		changes[0].to = time.Now()
	}
	wantServed(t, p, requests, changes...)
	owners.wantOne(t)
}

// ofMasters reports whether a frame says who is master, or has the VIP.
func ofMasters(f lab.Frame) bool { return f.IsVRRP() || f.IsAnnouncement() }

// announceTime is how long a new master may take from its first advertisement to the announcement of the VIP, if other programs have
// the processors.
const announceTime = 500 * time.Millisecond

// changesOfMaster returns the times at which requests may fail: whenever another director began to advertise itself, until the VIP was
// announced for it. The last one to do so was sender, by its hardware address. Priority 0 is that of a director that leaves.
func changesOfMaster(heard []lab.Frame, sender string) (all []span) {
	for i, f := range heard {
		if !isAdvert(f) || f.Source().String() == sender {
			continue
		}
		sender = f.Source().String()
		change := span{f.When, f.When}
		if next, ok := first(heard[i:], func(f lab.Frame) bool {
			return f.IsAnnouncement() && f.Announced().String() == sender
		}); ok && next.When.Sub(f.When) <= announceTime {
			change.to = next.When
		}
		all = append(all, change)
	}
	return all
}

// isAdvert reports whether a frame is an advertisement of a director that is master, and does not leave.
func isAdvert(f lab.Frame) bool { return f.IsVRRP() && f.VRRPPriority() != 0 }

// askEvery is the time between two questions about who has the VIP.
const askEvery = 20 * time.Millisecond

// An ownerWatch asks who has the VIP, and measures how long the machine stalls meanwhile.
type ownerWatch struct {
	p       *lab.Pair
	answers *lab.ARPWatch
	stalls  *lab.StallWatch
}

func watchOwners(p *lab.Pair) ownerWatch {
	return ownerWatch{p: p, answers: p.Client.WatchARP(vip, askEvery), stalls: p.WatchStalls()}
}

// wantOne ends the watch, and checks that two machines answered for the VIP for at most 200 ms.
func (w ownerWatch) wantOne(t *testing.T) {
	t.Helper()
	answers, stall := w.answers.Stop(), w.stalls.Stop()
	overlap, pause := lab.LongestOverlap(answers), lab.LongestPause(answers)
	w.p.Logf("two answered ARP for %s, none for %s (longest pause between two questions %s, longest stall of the machine %s)",
		overlap.Round(time.Millisecond), lab.LongestSilence(answers).Round(time.Millisecond), pause.Round(time.Millisecond),
		stall.Round(time.Millisecond))
	// Stalls of the machine are not tandem's fault, and pauses of the questions make an overlap look longer.
	if overlap > 200*time.Millisecond+max(0, pause-askEvery)+stall {
		t.Errorf("two directors answered for the VIP for %s, want at most 200ms", overlap)
	}
}

// A span is a time in which requests may fail: a change of master, or an outage.
type span struct{ from, to time.Time }

// inFlight is the time before and after a span in which a request still counts as part of it. A stall of the machine is added.
const inFlight = 100 * time.Millisecond

// stallOf returns the longest stall of the machine that the requests show: they begin at even intervals.
func stallOf(requests []lab.Request) time.Duration {
	var starts []time.Time
	for _, r := range requests {
		starts = append(starts, r.Start)
	}
	slices.SortFunc(starts, time.Time.Compare)
	var pauses []time.Duration
	for i := 1; i < len(starts); i++ {
		pauses = append(pauses, starts[i].Sub(starts[i-1]))
	}
	slices.Sort(pauses)
	if len(pauses) == 0 {
		return 0
	}
	return pauses[len(pauses)-1] - pauses[len(pauses)/2]
}

// wantServed checks that only requests in one of the spans have failed.
func wantServed(t *testing.T, p *lab.Pair, requests []lab.Request, spans ...span) {
	t.Helper()
	failed, margin := 0, inFlight+stallOf(requests)
	for _, r := range requests {
		if r.Err == nil {
			continue
		}
		failed++
		met := slices.ContainsFunc(spans, func(s span) bool {
			return r.Start.Before(s.to.Add(margin)) && r.End.After(s.from.Add(-margin))
		})
		if !met {
			t.Errorf("a request from %.3f to %.3f failed, and met no change of master: %v",
				p.At(r.Start).Seconds(), p.At(r.End).Seconds(), r.Err)
		}
	}
	p.Logf("%d of %d requests failed; the machine stalled for %s", failed, len(requests), (margin - inFlight).Round(time.Millisecond))
}

func first(frames []lab.Frame, is func(lab.Frame) bool) (lab.Frame, bool) {
	for _, f := range frames {
		if is(f) {
			return f, true
		}
	}
	return lab.Frame{}, false
}

// awaitAnswers waits until a prober gets answers.
func awaitAnswers(l *lab.Lab, probe *lab.Prober) {
	l.Eventually(10*time.Second, "the VIP answers the prober", func() error {
		if n := probe.Answered(100); n < 50 {
			return fmt.Errorf("%d of the last 100 probes answered", n)
		}
		return nil
	})
}

// awaitServed waits until twenty requests in a row have been answered that began after a moment.
func awaitServed(l *lab.Lab, load *lab.Load, after time.Time) {
	l.Eventually(20*time.Second, "requests are served", func() error {
		good := 0
		for _, r := range load.Requests() {
			switch {
			case r.Start.Before(after):
			case r.Err != nil:
				good = 0
			default:
				good++
			}
		}
		if good < 20 {
			return fmt.Errorf("%d in a row", good)
		}
		return nil
	})
}
