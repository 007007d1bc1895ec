// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func client(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// A world is a service under traffic. Each server has a rule that says which connections it answers.
type world struct {
	servers []string
	judge   Judge
	named   map[string]time.Duration // when a server was named first
}

// A visit is a new connection: from a client that sends an ACK if it gets an answer, or from one that never does.
type visit struct {
	client netip.Addr
	silent bool
	server int // the one that it is bound to; -1: the next
}

// run lets visits come once a second, and judges after each. answers says whether a server answers at that time.
func (w *world) run(span int, visits func(second int) []visit, answers func(server, second int) bool) {
	w.named = make(map[string]time.Duration)
	turn := 0
	for second := range span {
		now := noon.Add(time.Duration(second) * time.Second)
		for _, v := range visits(second) {
			at := v.server
			if at < 0 {
				at = turn % len(w.servers)
				turn++
			}
			// The outcome is known at once, or after some seconds. The order does not matter to the judge.
			w.judge.Add(w.servers[at], Outcome{Client: v.client, Start: now}, !v.silent && answers(at, second))
		}
		for i, name := range w.servers {
			var others []Peer
			for j, other := range w.servers {
				if j != i {
					others = append(others, Peer{other, 1})
				}
			}
			if _, suspect := w.judge.Suspect(now, Peer{name, 1}, others); suspect {
				if _, was := w.named[name]; !was {
					w.named[name] = now.Sub(noon)
				}
			}
		}
	}
}

func names(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

// steady are n visits a second from a few clients, to the servers in turn.
func steady(n, clients int) func(int) []visit {
	r := rand.New(rand.NewPCG(5, 6))
	return func(int) (all []visit) {
		for range n {
			all = append(all, visit{client: client(r.IntN(clients)), server: -1})
		}
		return all
	}
}

// flood adds visits from sources that never send an ACK.
func flood(n int, sources int, server int, rest func(int) []visit) func(int) []visit {
	r := rand.New(rand.NewPCG(1, 2))
	return func(second int) []visit {
		all := rest(second)
		for range n {
			all = append(all, visit{client: client(1<<20 + r.IntN(sources)), silent: true, server: server})
		}
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		return all
	}
}

// bound binds each client to one server, as persistence and sh do.
func bound(servers int, rest func(int) []visit) func(int) []visit {
	return func(second int) []visit {
		all := rest(second)
		for i := range all {
			a := all[i].client.As4()
			all[i].server = int(a[3]) % servers
		}
		return all
	}
}

func but(dead int) func(int, int) bool { return func(server, _ int) bool { return server != dead } }

func everyone(int, int) bool { return true }

func TestSilentServerIsNamed(t *testing.T) {
	for _, c := range []struct {
		what    string
		servers int
		visits  func(int) []visit
		within  time.Duration
	}{
		{"one of two, one client", 2, steady(20, 1), 2 * time.Second},
		{"one of two, many clients", 2, steady(20, 50), 5 * time.Second},
		{"one of ten", 10, steady(20, 20), 9 * time.Second},
		{"one of two, two connections a second", 2, steady(2, 5), 20 * time.Second},
		{"clients stay with their servers", 2, bound(2, steady(20, 40)), 5 * time.Second},
		{"many connections", 3, steady(900, 300), 2 * time.Second},
		{"a few half-open clients", 2, flood(4, 1000, -1, steady(20, 10)), 10 * time.Second},
	} {
		w := world{servers: names(c.servers)}
		w.run(60, c.visits, but(1))
		at, ok := w.named["1"]
		if !ok || at > c.within || len(w.named) != 1 {
			t.Errorf("%s: named %v, want server 1 within %s", c.what, w.named, c.within)
		}
	}
}

// Nobody is named where all servers fare alike, or where the silence is the clients'.
func TestNoFalseName(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const halfHour = 1800
	for _, c := range []struct {
		what    string
		servers int
		span    int
		visits  func(int) []visit
		answers func(server, second int) bool
	}{
		{"all is well", 10, halfHour, steady(20, 20), everyone},
		{"flood, answered by cookies", 2, halfHour, flood(200, 1<<18, -1, steady(20, 20)), everyone},
		{"flood that fills the backlogs", 2, halfHour, flood(200, 1<<18, -1, steady(20, 20)), func(int, int) bool { return r.IntN(10) == 0 }},
		{"flood from one source, bound to one server", 2, halfHour, flood(100, 1, 1, bound(2, steady(4, 4))), everyone},
		{"flood from one source; no client is bound to the server that it hits", 2, halfHour,
			flood(100, 1, 1, func(s int) []visit { return []visit{{client: client(2), server: 0}, {client: client(4), server: 0}} }), everyone},
		{"flood from many sources; no client is bound to one of the servers", 2, halfHour,
			flood(100, 1<<18, -1, func(s int) []visit { return []visit{{client: client(2), server: 0}, {client: client(4), server: 0}} }), everyone},
		{"a small flood; no client is bound to one of the servers", 2, halfHour,
			flood(6, 1<<18, -1, func(s int) []visit {
				return []visit{{client: client(2), server: 0}, {client: client(4), server: 0}, {client: client(6), server: 0}}
			}), everyone},
		{"flood of 10,000 a second, answered by cookies", 2, 20, flood(10_000, 1<<22, -1, steady(20, 20)), everyone},
		{"flood of 10,000 a second that fills the backlogs", 2, 20, flood(10_000, 1<<22, -1, steady(20, 20)),
			func(int, int) bool { return r.IntN(50) == 0 }},
		{"half of all is lost", 4, halfHour, steady(20, 20), func(int, int) bool { return r.IntN(2) == 0 }},
		{"half-open clients", 3, halfHour, flood(20, 5, -1, steady(20, 20)), everyone},
		{"one client hears no answers", 2, halfHour, flood(10, 1, -1, steady(10, 10)), everyone},
		{"few connections", 2, 20, func(s int) []visit {
			return []visit{{client: client(1), server: 0}, {client: client(1), server: 1}}[:1+(s+1)%4/3]
		}, but(1)},
		{"all servers are silent", 2, 600, steady(20, 20), func(int, int) bool { return false }},
		{"a server restarts", 3, halfHour, steady(3, 3), func(server, second int) bool { return server != 1 || second%20 > 4 }},
	} {
		w := world{servers: names(c.servers)}
		if w.run(c.span, c.visits, c.answers); len(w.named) > 0 {
			t.Errorf("%s: named %v", c.what, w.named)
		}
	}
}

// A server that has forgotten its past needs new evidence. One that answers once is no suspect any more.
func TestOneAnswerEndsTheSuspicion(t *testing.T) {
	w := world{servers: names(2)}
	w.run(10, steady(20, 5), but(1))
	one, other := Peer{"1", 1}, []Peer{{"0", 1}}
	now := noon.Add(10 * time.Second)
	f, suspect := w.judge.Suspect(now, one, other)
	if !suspect || f.Unanswered != 100 || f.OthersPercent != 100 || !f.Since.Equal(noon) {
		t.Errorf("got %+v, %t, want 100 unanswered since noon, others 100 %%", f, suspect)
	}
	if _, suspect := w.judge.Suspect(now, Peer{"1", 40}, []Peer{{"0", 1}}); !suspect {
		t.Error("a server with most of the weight must be found")
	}
	if w.judge.Answers("1", noon) {
		t.Error("it has not answered")
	}
	w.judge.Add("1", Outcome{Client: client(1), Start: now}, true)
	if _, suspect := w.judge.Suspect(now, one, other); suspect || !w.judge.Answers("1", noon) {
		t.Error("it has answered")
	}
	w.run(10, steady(20, 5), but(1))
	w.judge.Forget("1")
	if _, suspect := w.judge.Suspect(now, one, other); suspect {
		t.Error("nothing is known of it")
	}
}

// A table is what looks show.
func look(lines ...string) (all []Connection) {
	for _, l := range lines {
		var port, server uint16
		var state State
		if _, err := fmt.Sscanf(l, "%d %d %d", &port, &server, &state); err != nil {
			panic(err)
		}
		all = append(all, Connection{
			Client: netip.AddrPortFrom(client(1), port), Virtual: netip.MustParseAddrPort("192.0.2.100:80"),
			Server: netip.AddrPortFrom(client(int(server)), 80), State: state,
		})
	}
	return all
}

func TestSampler(t *testing.T) {
	var s Sampler
	for second, step := range []struct {
		look  []string // client's port, server, state
		whole bool
		want  []string // server, state, second of the start
	}{
		{[]string{"1 1 1", "2 1 2"}, true, nil}, // older than the first look
		{[]string{"1 1 1", "2 1 2", "3 1 1", "4 2 2", "5 2 3"}, true, []string{"2 2 1", "2 3 1"}},
		{[]string{"1 1 2", "3 1 1", "4 2 2"}, true, nil},                                  // 1 is old, 3 may still be answered
		{[]string{"3 1 1", "6 1 1", "4 2 2"}, true, nil},                                  // 6 is new
		{[]string{"3 1 1", "6 1 2", "4 2 2"}, false, []string{"1 1 1", "1 2 3"}},          // 3 has waited for 3 s
		{[]string{"3 1 2", "7 2 2", "6 1 2", "8 2 2"}, false, []string{"1 2 1", "2 2 5"}}, // 3 at last; 8 may be old
		{[]string{"7 2 2", "9 1 2", "8 2 2", "6 1 2"}, true, []string{"1 2 6"}},
		{[]string{"9 1 2", "8 2 2", "6 1 2"}, true, nil}, // misses 7
		{[]string{"9 1 2", "8 2 2", "6 1 2"}, true, nil},
		{[]string{"7 2 2", "7 2 2", "9 1 2", "6 1 2"}, true, nil},
	} {
		now := noon.Add(time.Duration(second) * time.Second)
		var got []string
		for _, o := range s.See(now, look(step.look...), step.whole) {
			got = append(got, fmt.Sprintf("%d %d %d", o.Server.Addr().As4()[3], o.State, int(o.Start.Sub(noon).Seconds())))
		}
		if slices.Sort(got); !slices.Equal(got, step.want) {
			t.Errorf("look %d: got %v, want %v", second, got, step.want)
		}
	}
}

// A look has at most some outcomes of one server.
func TestSamplerIsBounded(t *testing.T) {
	var s Sampler
	s.See(noon, nil, true)
	var lines []string
	for i := range 500 {
		lines = append(lines, fmt.Sprintf("%d %d 2", i+1, i%2))
	}
	if got := len(s.See(noon, look(lines...), true)); got != 2*maxOutcomes {
		t.Errorf("%d outcomes, want %d for each of two servers", got, maxOutcomes)
	}
}

func BenchmarkSampler(b *testing.B) {
	var s Sampler
	var lines []string
	for i := range 4096 {
		lines = append(lines, fmt.Sprintf("%d %d 2", i+1, i%20))
	}
	all := look(lines...)
	for i := range b.N {
		s.See(noon.Add(time.Duration(i)*time.Second), all, false)
	}
}
