// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	peermessage "github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

func prefixes(all ...string) (list []netip.Prefix) {
	for _, p := range all {
		list = append(list, netip.MustParsePrefix(p))
	}
	return list
}

// A syncScene is a director with preempt = "synced", whose time passes as it wants to be woken.
type syncScene struct {
	t   *testing.T
	s   *State
	now time.Time
	out Effects
}

func newSyncScene(t *testing.T, change func(*configs.Config)) *syncScene {
	cfg := directorNamed("lb1")
	cfg.Routers = []configs.Router{{Config: vrrp.Config{Name: "web", Interface: "eth0", Preempt: true, VIPs: prefixes("192.0.2.100/32")}, PreemptSyncLimit: time.Minute}}
	if change != nil {
		change(cfg)
	}
	p := &syncScene{t: t, s: New(), now: noon}
	p.step(Start{Config: cfg})
	p.step(TableRead{})
	p.step(TableDone{Generation: p.s.generation})
	p.step(channelTo("lb2", ""))
	return p
}

func (p *syncScene) step(events ...Event) { p.out = p.s.Step(p.now, events...) }

// hears reports the states of routers: held, lower or other.
func (p *syncScene) hears(states map[string]string) {
	var r message.Report
	for _, router := range p.s.cfg.Routers {
		is := states[router.Name]
		r.Routers = append(r.Routers, vrrp.Status{
			Name: router.Name, Interface: router.Interface, State: vrrp.Backup, Held: is == "held", Preempts: is == "held" || is == "lower",
		})
	}
	p.step(Report{r})
}

// counts tells the numbers of connections here and there, by service and last part of the address: "www11".
func (p *syncScene) counts(here, there map[string]int) {
	v := &peermessage.View{Counted: true}
	var rows []lvs.Row
	for _, svc := range p.s.services {
		row := lvs.Row{Service: svc.Virtuals[0]}
		for _, srv := range svc.servers {
			key := fmt.Sprint(svc.Name, srv.Addr.As4()[3])
			row.Servers = append(row.Servers, lvs.ServerRow{Server: srv.In(svc.Virtuals[0]), Active: here[key]})
			v.Servers = append(v.Servers, peermessage.Server{Name: srv.id, Established: there[key]})
		}
		rows = append(rows, row)
	}
	p.step(PeerHeard{Message: peermessage.Message{View: v}}, Connections{Rows: rows})
}

// sleep lets the director sleep until it wants to be woken, or for that time.
func (p *syncScene) sleep(d time.Duration) {
	end := p.now.Add(d)
	for n := 0; ; n++ {
		next := p.out.Next
		if next.IsZero() || next.After(end) {
			p.now = end
			return
		}
		if n > 1000 {
			p.t.Fatalf("it wants to be woken again and again at %s", next)
		}
		p.now = later(p.now, next)
		p.step(Tick{})
	}
}

func (p *syncScene) unsynced(router string) bool { return p.s.tracking[router].Unsynced }

// TestFewConnectionsMayBeMissing: what is missing may be new, if it is little and does not become less.
func TestFewConnectionsMayBeMissing(t *testing.T) {
	for _, tt := range []struct {
		name        string
		here, there int
		after       time.Duration // when the wait ends
	}{
		{"all are there", 200, 200, 0},
		{"more than all", 250, 200, 0},
		{"there are none", 0, 0, 0},
		{"few are missing", 196, 200, fewFor},
		{"more are missing", 195, 200, time.Minute},
		{"one of few is missing", 9, 10, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newSyncScene(t, nil)
			p.hears(map[string]string{"web": "held"})
			if !p.unsynced("web") || !p.out.Draining {
				t.Fatal("it does not wait, or nobody counts")
			}
			p.counts(map[string]int{"www11": tt.here}, map[string]int{"www11": tt.there})
			if tt.after > 0 {
				p.sleep(tt.after - time.Millisecond)
				if !p.unsynced("web") {
					t.Errorf("it waits no longer after %s", p.now.Sub(noon))
				}
				p.sleep(time.Millisecond)
			}
			if p.unsynced("web") || p.out.Draining {
				t.Errorf("after %s it still waits (%t) or counts (%t)", tt.after, p.unsynced("web"), p.out.Draining)
			}
		})
	}
}

// TestFewMustNotFall: while the number of missing connections falls, the kernel still copies.
func TestFewMustNotFall(t *testing.T) {
	p := newSyncScene(t, nil)
	p.hears(map[string]string{"web": "held"})
	for missing := 10; missing > 4; missing-- {
		p.counts(map[string]int{"www11": 1000 - missing}, map[string]int{"www11": 1000})
		p.sleep(fewFor - time.Second)
		if !p.unsynced("web") {
			t.Fatalf("it takes over with %d missing, although they become fewer", missing)
		}
	}
	p.sleep(time.Second)
	if p.unsynced("web") {
		t.Error("it waits for the newest connections")
	}
}

// TestOnlyItsOwnServicesCount: in a pair where each director is master of one virtual router, connections of the other one's services
// may never be equal. A service whose address nobody has counts for all.
func TestOnlyItsOwnServicesCount(t *testing.T) {
	p := newSyncScene(t, func(cfg *configs.Config) {
		mail, mark := www(false, lvs.WeightZero), www(false, lvs.WeightZero)
		mail.Name, mail.Virtuals[0].Addr = "mail", netip.MustParseAddr("192.0.2.101")
		mark.Name, mark.Virtuals[0].ServiceID = "mark", lvs.ServiceID{FWMark: 5}
		cfg.Services = append(cfg.Services, mail, mark)
		cfg.Routers = append(cfg.Routers, configs.Router{Config: vrrp.Config{Name: "post", Interface: "eth0", Preempt: true, VIPs: prefixes("192.0.2.101/32")}})
	})
	p.hears(map[string]string{"web": "held"})
	p.counts(map[string]int{"www11": 10, "mark12": 2}, map[string]int{"www11": 10, "mail11": 70, "mark12": 3})
	if is := p.s.SyncWaits(); len(is) != 1 || is[0].Have != 12 || is[0].Of != 13 {
		t.Errorf("with a missing connection of the firewall mark: %+v", is)
	}
	p.now = p.now.Add(time.Second)
	p.counts(map[string]int{"www11": 10, "mark12": 3}, map[string]int{"www11": 10, "mail11": 70, "mark12": 3})
	if p.unsynced("web") || p.unsynced("post") {
		t.Error("it waits for the connections of another virtual router, or the other one waits")
	}
}

// TestAGroupWaitsAsOne: the members of a sync group wait together, for the longest of their limits, and count as one.
func TestAGroupWaitsAsOne(t *testing.T) {
	p := newSyncScene(t, func(cfg *configs.Config) {
		in := configs.Router{Config: vrrp.Config{Name: "in", Interface: "eth1", Preempt: true, SyncGroup: "all"}}
		cfg.Routers[0].SyncGroup = "all"
		slower := configs.Router{Config: vrrp.Config{Name: "third", Interface: "eth2", Preempt: true, SyncGroup: "all"}, PreemptSyncLimit: 2 * time.Minute}
		cfg.Routers = append(cfg.Routers, in, slower)
	})
	if !p.unsynced("in") || !p.unsynced("web") || !p.unsynced("third") {
		t.Fatal("not all of them wait")
	}
	p.hears(map[string]string{"in": "held"})
	if is := p.s.SyncWaits(); len(is) != 3 || !is[0].Until.Equal(noon.Add(2*time.Minute)) {
		t.Errorf("%+v", is)
	}
	p.sleep(2*time.Minute - 1)
	if !p.unsynced("in") {
		t.Error("it takes over too soon")
	}
	p.sleep(1)
	if p.unsynced("in") || p.unsynced("web") || p.unsynced("third") {
		t.Error("not all of them take over")
	}
	p.hears(nil)
	if !p.unsynced("in") {
		t.Error("the next time it would not wait")
	}
}

// TestOldNumbersDoNotCount: numbers from before the wait, and those of an earlier connection, say nothing.
func TestOldNumbersDoNotCount(t *testing.T) {
	p := newSyncScene(t, nil)
	p.counts(nil, nil)
	p.now = p.now.Add(time.Second)
	p.hears(map[string]string{"web": "held"})
	if !p.unsynced("web") {
		t.Fatal("it uses the numbers from before")
	}
	p.now = p.now.Add(time.Second)
	p.counts(map[string]int{"www11": 1}, map[string]int{"www11": 100})
	p.step(channelTo("lb2", "it fell silent"))
	p.step(channelTo("lb2", ""))
	p.now = p.now.Add(time.Second)
	svc := p.s.services[0]
	p.step(Connections{Rows: []lvs.Row{{Service: svc.Virtuals[0], Servers: []lvs.ServerRow{{Server: svc.servers[0].In(svc.Virtuals[0]), Active: 100}}}}})
	if !p.unsynced("web") {
		t.Error("it compares with the numbers of before the channel was lost")
	}
}

// TestAReloadGoesOnWaiting: a wait outlives a reload, and a reload can end it.
func TestAReloadGoesOnWaiting(t *testing.T) {
	p := newSyncScene(t, nil)
	p.hears(map[string]string{"web": "held"})
	p.now = p.now.Add(10 * time.Second)
	cfg := *p.s.cfg
	rehearsed := cfg
	rehearsed.Routers = []configs.Router{cfg.Routers[0]}
	rehearsed.Routers[0].PreemptSyncLimit = time.Second
	r, err := p.s.Rehearse(p.now)
	if err != nil {
		t.Fatal(err)
	}
	r.Reload(&rehearsed, nil, nil, TableRead{})
	if is := p.s.SyncWaits(); len(is) != 1 || !is[0].Until.Equal(noon.Add(time.Minute)) {
		t.Errorf("a rehearsal of a reload has changed the wait: %+v", is)
	}
	p.step(Reload{Config: &cfg})
	if is := p.s.SyncWaits(); len(is) != 1 || !is[0].Since.Equal(noon) {
		t.Errorf("after a reload: %+v", is)
	}
	cfg.Routers = slices.Clone(cfg.Routers)
	cfg.Routers[0].PreemptSyncLimit = 0
	p.step(Reload{Config: &cfg})
	if p.unsynced("web") || len(p.s.SyncWaits()) > 0 || p.out.Draining {
		t.Error("without preempt = synced it still waits")
	}
}

// TestAQuestionBeforeTheChannelWorks: the other director asks for the connections when only its direction of the channel works. It
// gets its answer when both do.
func TestAQuestionBeforeTheChannelWorks(t *testing.T) {
	p := newSyncScene(t, nil)
	p.step(PeerChannel{Name: "lb2", From: PeerHalf{Up: true}})
	p.step(PeerHeard{Message: peermessage.Message{View: &peermessage.View{Routers: []peermessage.Router{{Name: "web", Waits: &peermessage.Waits{}}}}}})
	if p.step(channelTo("lb2", "")); !p.out.Draining {
		t.Error("the connections are not counted")
	}
}

// TestBothCount: a director that waits asks the other one, which counts as long as it is asked. A director of an older version ignores
// the question: then only the limit counts.
func TestBothCount(t *testing.T) {
	for _, older := range []bool{false, true} {
		a, b := newSyncScene(t, nil), newSyncScene(t, func(cfg *configs.Config) { cfg.Name = "lb2" })
		b.step(channelTo("lb1", ""))
		a.hears(map[string]string{"web": "held"})
		kernels := map[*syncScene]int{a: 0, b: 200} // established connections
		tell := func(from, to *syncScene) {
			v := from.out.Peer
			if v == nil {
				return
			}
			octets, err := peermessage.Encode(peermessage.Message{Kind: peermessage.KindView, View: v})
			if err != nil {
				t.Fatal(err)
			}
			if older { // its keys are unknown there
				octets = []byte(strings.NewReplacer(`"waits":`, `"w":`, `"counted":`, `"c":`).Replace(string(octets)))
			}
			m, err := peermessage.Decode(octets[4:])
			if err != nil {
				t.Fatal(err)
			}
			to.step(PeerHeard{Message: m})
		}
		took := time.Duration(0)
		counted := 0
		for took = 0; a.unsynced("web") && took < 2*time.Minute; took += 500 * time.Millisecond {
			tell(a, b)
			tell(b, a)
			for _, p := range []*syncScene{a, b} {
				p.now = p.now.Add(500 * time.Millisecond)
				p.out.Peer = nil
				if !p.out.Draining {
					p.step(Tick{})
					continue
				}
				if p == b {
					counted++
				}
				svc := p.s.services[0]
				p.step(Connections{Rows: []lvs.Row{{Service: svc.Virtuals[0], Servers: []lvs.ServerRow{{Server: svc.servers[0].In(svc.Virtuals[0]), Active: kernels[p]}}}}})
			}
			kernels[a] = min(200, kernels[a]+40) // the kernel copies them
		}
		tell(a, b)
		if want := map[bool]time.Duration{false: 5 * time.Second, true: time.Minute}[older]; took > want || older && (took < want || counted > 0) {
			t.Errorf("older %t: it took over after %s, want %s; the other one counted %d times", older, took, want, counted)
		}
		for range 4 { // the next view says that nobody waits
			b.now, a.now, a.out.Peer = b.now.Add(time.Second), a.now.Add(time.Second), nil
			a.step(Tick{})
			tell(a, b)
		}
		if b.out.Draining || a.out.Draining {
			t.Errorf("older %t: they go on counting: %t, %t", older, a.out.Draining, b.out.Draining)
		}
	}
}
