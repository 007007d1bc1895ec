// SPDX-License-Identifier: Apache-2.0

package core

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/traffic"
)

// A tableWorld is the connection table of a kernel under clients of www, and a director that looks at its beginning.
type tableWorld struct {
	s       *State
	sampler traffic.Sampler
	buckets [1 << 12][]tableRow
	most    int // rows that a look shows
	turn    int
	port    uint16
	r       *rand.Rand
	answers func(server int, at time.Time) bool
}

// A tableRow is a connection. A zero answered: its client never sends an ACK.
type tableRow struct {
	client, server netip.AddrPort
	answered, end  time.Time
}

func newTableWorld(servers, most int, answers func(int, time.Time) bool) *tableWorld {
	return &tableWorld{s: pool(servers, configs.OutlierWarn, lvs.DR), most: most, r: rand.New(rand.NewPCG(7, uint64(servers))), answers: answers}
}

// A guest opens a connection: at first one SYN, and up to tries in all until the answer arrives after its latency. A silent
// guest never sends an ACK.
type guest struct {
	addr    netip.Addr
	latency time.Duration
	tries   int
	silent  bool
}

// retries are the times of a client's SYNs.
var retries = []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second}

func (w *tableWorld) open(at time.Time, g guest) {
	var serving []int
	for i, srv := range w.s.services[0].servers {
		if !srv.outlier.serves.IsZero() {
			serving = append(serving, i)
		}
	}
	if len(serving) == 0 {
		return
	}
	is := serving[w.turn%len(serving)]
	w.turn++
	w.port++
	row := tableRow{
		client: netip.AddrPortFrom(g.addr, w.port), server: netip.AddrPortFrom(w.s.services[0].servers[is].Addr, 80),
		end: at.Add(time.Minute),
	}
	for _, after := range retries[:g.tries] {
		row.end = at.Add(after + time.Minute)
		if !g.silent && w.answers(is, at.Add(after)) {
			row.answered = at.Add(after + g.latency)
			row.end = row.answered.Add(2 * time.Minute)
			break
		}
	}
	hash := w.r.IntN(len(w.buckets))
	w.buckets[hash] = append(w.buckets[hash], row)
}

// look returns what the director sees: the beginning of the table.
func (w *tableWorld) look(now time.Time) (all []traffic.Connection, whole bool) {
	for i, bucket := range w.buckets {
		left := bucket[:0]
		for _, row := range bucket {
			if now.Before(row.end) {
				left = append(left, row)
			}
		}
		w.buckets[i] = left
		for _, row := range left {
			if len(all) == w.most {
				return all, false
			}
			is := traffic.Connection{Client: row.client, Virtual: netip.MustParseAddrPort("192.0.2.100:80"), Server: row.server, State: traffic.Waiting}
			if !row.answered.IsZero() && !now.Before(row.answered) {
				is.State = traffic.Answered
			}
			all = append(all, is)
		}
	}
	return all, true
}

// second lets guests come during a second, evenly, and looks at its end. It returns whom the director names.
func (w *tableWorld) second(n int, events []Event, guests []guest) string {
	for i, g := range guests {
		w.open(seconds(n).Add(time.Duration(i)*time.Second/time.Duration(len(guests))), g)
	}
	now := seconds(n + 1)
	look, whole := w.look(now)
	if all := w.sampler.See(now, look, whole); len(all) > 0 {
		events = append(events, Traffic{Outcomes: all})
	}
	w.s.Step(now, append(events, Tick{})...)
	return unansweredServers(w.s)
}

func person(r *rand.Rand, of int) guest {
	return guest{addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(of))}), latency: time.Duration(1+r.IntN(80)) * time.Millisecond, tries: 4}
}

// A silent server is named within 10 s at 20 new connections a second, also one of ten.
func TestSilentServerIsNamedFromTheTable(t *testing.T) {
	const within = 10
	for _, c := range []struct {
		what             string
		servers, clients int
		answers          func(server int) bool
		wants            int
	}{
		{"one of two", 2, 50, func(server int) bool { return server != 1 }, 1},
		{"one of ten", 10, 50, func(server int) bool { return server != 1 }, 1},
		{"one of ten, one client", 10, 1, func(server int) bool { return server != 9 }, 1},
		{"three of ten", 10, 50, func(server int) bool { return server%3 != 1 || server == 1 }, 2},
		{"none of ten", 10, 50, func(int) bool { return true }, 0},
		{"ten of ten", 10, 50, func(int) bool { return false }, 0},
	} {
		w := newTableWorld(c.servers, 4096, func(server int, _ time.Time) bool { return c.answers(server) })
		got := 0
		for second := range within {
			var guests []guest
			for range 20 {
				guests = append(guests, person(w.r, c.clients))
			}
			got = len(strings.FieldsFunc(w.second(second, nil, guests), func(r rune) bool { return r == ',' }))
			if got == c.wants && got > 0 {
				t.Logf("%s: named after %d s", c.what, second+1)
				break
			}
		}
		if got != c.wants {
			t.Errorf("%s: named %q after %d s, want %d servers", c.what, unansweredServers(w.s), within, c.wants)
		}
	}
}

// For half an hour servers flap, clients are slow, lose packets or are half open, and SYN floods of 10,000 a second come, with
// and without SYN cookies. Nobody is named. Then a server really falls silent, and is named.
func TestNoFalseNameFromTheTable(t *testing.T) {
	const (
		servers, halfHour   = 5, 1800
		floodEvery, floodIs = 450, 4  // s
		flapEvery, longFlap = 40, 300 // s
		flood               = 10_000
		silent              = halfHour + 70 // s; the last flood's connections have expired
	)
	flooded := func(second int) bool { return second%floodEvery >= floodEvery-floodIs }
	// One server is down for 5 s of 40, and another, sometimes, for so long that its check fails.
	isDown := func(server, second int) bool {
		return server == 1 && second%flapEvery < 5 || server == 2 && second%longFlap < 30 || server == 3 && second >= silent
	}
	var w *tableWorld
	w = newTableWorld(servers, 800, func(server int, at time.Time) bool {
		second := int(at.Sub(noon) / time.Second)
		switch {
		case isDown(server, second):
			return false
		case flooded(second) && second/floodEvery%2 == 1: // without cookies: the backlogs are full
			return w.r.IntN(20) == 0
		}
		return w.r.IntN(10) > 0 // lost
	})
	perSecond := []int{60, 6, 2} // in turn, for ten minutes each
	detects := int(w.s.services[0].servers[2].failsWithin() / time.Second)
	for second := range silent + 30 {
		var guests []guest
		for range perSecond[second/600%len(perSecond)] {
			g := person(w.r, 100)
			switch w.r.IntN(6) {
			case 0:
				g.latency = time.Duration(w.r.IntN(6000)) * time.Millisecond
			case 1:
				g.silent = true // it got answers a moment ago, and has vanished
			case 2:
				g.tries = 1
			}
			guests = append(guests, g)
		}
		if flooded(second) {
			for range flood {
				guests = append(guests, guest{addr: netip.AddrFrom4([4]byte{100, 64 + byte(w.r.IntN(64)), byte(w.r.IntN(256)), byte(w.r.IntN(256))}),
					tries: 1, silent: true})
			}
			w.r.Shuffle(len(guests), func(i, j int) { guests[i], guests[j] = guests[j], guests[i] })
		}
		var events []Event
		if id := w.s.services[0].servers[2].id; isDown(2, second) && second%longFlap == detects {
			events = append(events, is(id, down))
		} else if !isDown(2, second) && second%longFlap == 30 {
			events = append(events, is(id, up))
		}
		got := w.second(second, events, guests)
		switch {
		case got != "" && second < silent:
			t.Fatalf("second %d: named %s", second, got)
		case strings.Contains(got, w.s.services[0].servers[3].id):
			t.Logf("a silent server is named after %d s", second-silent)
			return
		}
	}
	t.Error("a server that is silent is not named")
}
