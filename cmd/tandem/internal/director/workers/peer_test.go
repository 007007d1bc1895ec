// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/porttest"
	"github.com/tandem-lvs/tandem/configs"
)

// A cable passes on connections to a director, until it is cut.
type cable struct {
	net.Listener
	to string

	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func newCable(t *testing.T, to string) *cable {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	w := &cable{Listener: l, to: to}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			w.pass(in)
		}
	}()
	return w
}

func (w *cable) pass(in net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out, err := net.Dial("tcp", w.to)
	if err != nil || w.cut {
		_ = in.Close()
		if out != nil {
			_ = out.Close()
		}
		return
	}
	w.conns = append(w.conns, in, out)
	for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].Close()
		}()
	}
}

// set cuts the cable or mends it.
func (w *cable) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
}

// A miniature is a director without kernel and disk: its core, and the worker of the channel.
type miniature struct {
	t       *testing.T
	inbox   chan core.Event
	asks    chan chan *core.Snapshot
	replies chan core.Reply
	weight  chan int // of the server in the table, when it changes
}

const twoDirectors = `name = "%s"
[peer]
address = "%s"
listen = "%s"
key = "hex:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
[[vrrp]]
name = "web"
interface = "eth0"
vrid = 51
priority = %d
vips = ["192.0.2.100/24"]
[[service]]
name = "www"
virtual = "192.0.2.100:80"
server = [{ address = "192.0.2.11", weight = 3 }]
`

func newMiniature(t *testing.T, name string, to net.Addr, listen netip.AddrPort, priority int) *miniature {
	cfg, err := configs.Parse("t.toml", fmt.Appendf(nil, twoDirectors, name, to, listen, priority))
	if err != nil {
		t.Fatal(err)
	}
	m := &miniature{
		t: t, inbox: make(chan core.Event, 100), asks: make(chan chan *core.Snapshot), replies: make(chan core.Reply, 10), weight: make(chan int, 100),
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	t.Cleanup(func() { cancel(); all.Wait() })
	mail := NewMailbox[PeerMail]()
	post := func(ev core.Event) {
		select {
		case m.inbox <- ev:
		case <-ctx.Done():
		}
	}
	w := &Peer{Version: "v1", Post: post, In: mail, Timing: peer.Timing{
		Alive: 50 * time.Millisecond, Silence: 5 * time.Second, Patience: 20 * time.Second, Reconnect: 200 * time.Millisecond,
	}}
	all.Go(func() { _ = w.Run(ctx) })
	all.Go(func() { m.loop(ctx, cfg, mail) })
	return m
}

func (m *miniature) loop(ctx context.Context, cfg *configs.Config, mail Mailbox[PeerMail]) {
	state := core.New()
	events := []core.Event{core.Start{Config: cfg}, core.TableRead{}}
	tick := time.NewTimer(time.Hour)
	for {
		out := state.Step(time.Now(), events...)
		events = nil
		for _, r := range out.Replies {
			m.replies <- r
		}
		if out.Config != nil || out.Peer != nil {
			mail.Merge(PeerMail{Config: out.Config, View: out.Peer}, MergePeer)
		}
		for _, f := range out.Files {
			events = append(events, core.Stored{File: f.File, Generation: f.Generation})
		}
		if out.Table != nil {
			events = append(events, core.TableDone{Generation: out.Table.Generation})
			for _, e := range out.Table.Set {
				m.weight <- e.Servers[0].Weight
			}
		}
		if tick.Stop(); !out.Next.IsZero() {
			tick.Reset(time.Until(out.Next))
		}
		if len(events) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case ev := <-m.inbox:
			events = append(events, ev)
		case q := <-m.asks:
			q <- state.Snapshot(time.Now())
		case <-tick.C:
			events = append(events, core.Tick{})
		}
	}
}

// await waits until something is true of the other director as this one knows it.
func (m *miniature) await(what string, is func(*core.Peer) bool) {
	m.t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	limit := time.After(30 * time.Second)
	for {
		q := make(chan *core.Snapshot, 1)
		m.asks <- q
		p := (<-q).Peer
		if is(p) {
			return
		}
		select {
		case <-poll.C:
		case <-limit:
			m.t.Fatalf("not %s: %+v", what, p)
		}
	}
}

func (m *miniature) awaitWeight(want int) {
	m.t.Helper()
	limit := time.After(30 * time.Second)
	for {
		select {
		case is := <-m.weight:
			if is == want {
				return
			}
		case <-limit:
			m.t.Fatalf("the weight never becomes %d", want)
		}
	}
}

func (m *miniature) order(action api.Action) core.Reply {
	m.t.Helper()
	m.inbox <- core.ServerOrder{Request: 1, Server: "www/192.0.2.11", Action: action}
	return <-m.replies
}

// TestPair: a drain on one director reaches the table of the other over TLS; while the channel is cut the answer says so, and the
// latest order arrives when it is mended.
func TestPair(t *testing.T) {
	free := [2]netip.AddrPort{porttest.Reserve(t), porttest.Reserve(t)}
	toA, toB := newCable(t, free[0].String()), newCable(t, free[1].String())
	a, b := newMiniature(t, "lb1", toB.Addr(), free[0], 150), newMiniature(t, "lb2", toA.Addr(), free[1], 150)
	up := func(p *core.Peer) bool { return p.Lost == "" && p.View != nil }
	a.await("connected", up)
	b.await("connected", up)
	a.await("told of the drift", func(p *core.Peer) bool {
		return len(p.Drift) == 1 && strings.Contains(p.Drift[0].Text, "both directors have priority 150")
	})
	a.await("told of preemption", func(p *core.Peer) bool { return p.Preempts["web"] })
	a.await("sure of the clock", func(p *core.Peer) bool { return p.Skew.Known && !p.Skewed() })
	if r := a.order(api.Drain); r.Err != nil || r.Peer == nil || *r.Peer != (core.PeerReply{Name: "lb2"}) {
		t.Errorf("%+v, %+v", r, r.Peer)
	}
	b.awaitWeight(0)
	toA.set(true)
	toB.set(true)
	a.await("cut off", func(p *core.Peer) bool { return p.Lost != "" })
	if r := a.order(api.Undrain); r.Err != nil || r.Peer == nil || !strings.Contains(r.Peer.Problem, "the channel is lost since") {
		t.Errorf("%+v, %+v", r, r.Peer)
	}
	b.await("cut off", func(p *core.Peer) bool { return p.Lost != "" })
	toA.set(false)
	toB.set(false)
	b.awaitWeight(3)
	a.await("of one mind", func(p *core.Peer) bool { return p.Lost == "" && len(p.Orders) == 0 })
}
