// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// A datagram is a new connection of UDP: how many packets the client sends, and how many each server answers.
type datagram struct {
	asks    int
	answers func(server int) int
}

// one is answered with one packet by all but the dead server.
func one(dead int) datagram {
	return datagram{1, func(server int) int {
		if server == dead {
			return 0
		}
		return 1
	}}
}

func noise(asks int) datagram { return datagram{asks, func(int) int { return 0 }} }

// TestReplies: who does not answer UDP is named where the counters prove it.
func TestReplies(t *testing.T) {
	const span, dead = 120, 1
	r := rand.New(rand.NewPCG(8, 9))
	repeat := func(n int, d datagram) (all []datagram) {
		for range n {
			all = append(all, d)
		}
		return all
	}
	for _, c := range []struct {
		what    string
		servers int
		guests  func(second int) []datagram
		within  int // seconds until it is named; 0: never
	}{
		{"one of three", 3, func(int) []datagram { return repeat(20, one(dead)) }, 9},
		{"one of ten", 10, func(int) []datagram { return repeat(20, one(dead)) }, 15},
		{"one of two", 2, func(s int) []datagram { return repeat(10+s%10, one(dead)) }, 27},
		{"one of two, at a constant rate", 2, func(int) []datagram { return repeat(20, one(dead)) }, 0},
		{"all is well", 10, func(int) []datagram { return repeat(20, one(-1)) }, 0},
		{"nobody answers this protocol", 3, func(int) []datagram { return repeat(20, noise(1)) }, 0},
		{"a flood of noise beside few questions", 3, func(int) []datagram { return append(repeat(1000, noise(1)), one(-1)) }, 0},
		{"as many packets in answers as there is noise", 3, func(int) []datagram {
			if r.IntN(4) > 0 {
				return repeat(20, noise(1))
			}
			return append(repeat(20, noise(1)), datagram{1, func(int) int { return 80 }})
		}, 0},
		{"constant noise, and one old connection with as many answers", 2, func(int) []datagram {
			return append(repeat(20, noise(1)), datagram{0, func(int) int { return 10 }})
		}, 0},
		{"noise, and one old connection with as many answers", 2, func(int) []datagram {
			return append(repeat(10+r.IntN(20), noise(1)), datagram{0, func(int) int { return 10 }})
		}, 0},
		{"long connections", 3, func(int) []datagram { return repeat(5, datagram{10, func(int) int { return 10 }}) }, 0},
		{"many packets in an answer", 3, func(int) []datagram { return repeat(20, datagram{1, func(int) int { return r.IntN(6) }}) }, 0},
		{"few connections", 3, func(s int) []datagram { return repeat(1-min(1, s%20), one(dead)) }, 0},
	} {
		var judge Replies
		counters := make(map[string]Counters)
		for _, name := range names(c.servers) {
			counters[name] = Counters{Connections: 7, In: 70, Out: 70}
		}
		named, turn := make(map[string]int), 0
		for second := range span {
			for _, g := range c.guests(second) {
				at := turn % c.servers
				if g.asks == 0 {
					at = 0 // the old connection has its server
				} else {
					turn++
				}
				is := counters[fmt.Sprint(at)]
				is.Connections += uint64(min(1, g.asks))
				is.In += uint64(max(1, g.asks))
				is.Out += uint64(g.answers(at))
				counters[fmt.Sprint(at)] = is
			}
			if second%3 > 0 { // the pause between two readings
				continue
			}
			judge.Add(noon.Add(time.Duration(second)*time.Second), counters)
			for name, others := range everyOther(c.servers) {
				now := noon.Add(time.Duration(second) * time.Second)
				if f, suspect := judge.Suspect(now, Peer{name, 1}, others); suspect && named[name] == 0 {
					named[name] = second
					if f.Unanswered < MinUnanswered || f.OthersPercent < 90 || f.OthersPercent > 100 || !f.Since.Equal(noon) {
						t.Errorf("%s: %+v", c.what, f)
					}
				}
			}
		}
		if at := named[fmt.Sprint(dead)]; at > c.within || (at > 0) != (c.within > 0) || len(named) > min(1, c.within) {
			t.Errorf("%s: named %v, want server %d within %d s (0: nobody)", c.what, named, dead, c.within)
		}
	}
}

// everyOther are the peers of each server.
func everyOther(n int) map[string][]Peer {
	all := make(map[string][]Peer)
	for _, name := range names(n) {
		for _, other := range names(n) {
			if other != name {
				all[name] = append(all[name], Peer{other, 1})
			}
		}
	}
	return all
}

// A packet of the server ends the suspicion. What was before the counters began anew does not count.
func TestRepliesForgets(t *testing.T) {
	var r Replies
	good, bad := Counters{}, Counters{}
	add := func(second int) {
		r.Add(noon.Add(time.Duration(second)*time.Second), map[string]Counters{"0": good, "1": bad, "2": good})
	}
	for second := range 30 {
		good.Connections, good.In, good.Out = good.Connections+10, good.In+10, good.Out+10
		bad.Connections, bad.In = bad.Connections+10, bad.In+10
		add(second)
	}
	suspect := func() bool {
		_, is := r.Suspect(noon.Add(time.Minute), Peer{"1", 1}, []Peer{{"0", 1}, {"2", 1}})
		return is
	}
	if !suspect() || r.Answers("1", noon) || !r.Answers("0", noon) {
		t.Fatal("it must be found")
	}
	bad.Out++
	add(30)
	if suspect() || !r.Answers("1", noon.Add(29*time.Second)) || r.Answers("1", noon.Add(30*time.Second)) {
		t.Error("it has answered")
	}
	for second := 31; second < 60; second++ {
		good.Connections, good.In, good.Out = good.Connections+10, good.In+10, good.Out+10
		bad.Connections, bad.In = bad.Connections+10, bad.In+10
		add(second)
	}
	if !suspect() {
		t.Error("it must be found again")
	}
	bad = Counters{Connections: 3, In: 3}
	if add(60); suspect() {
		t.Error("its counters began anew")
	}
	for second := 61; second < 70; second++ {
		good.Connections, good.In, good.Out = good.Connections+10, good.In+10, good.Out+10
		bad.Connections, bad.In = bad.Connections+10, bad.In+10
		add(second)
	}
	if !suspect() {
		t.Error("it must be found by the new counters")
	}
	if r.Forget("1"); suspect() {
		t.Error("nothing is known of it")
	}
}
