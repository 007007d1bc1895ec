// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"
)

// TestReplayOnAnotherPath: a sender that has the same address on two paths is no replay on the second one. What was recorded on one
// path is a replay on another one, also if that one has been silent since.
func TestReplayOnAnotherPath(t *testing.T) {
	p := newSignedPair(func(c *Config) {
		c.HMAC = testHMAC(HMACEnforce, 1, 1)
		c.HMAC.AntiReplay = AntiReplayMonotonic
		c.Heartbeat = []Path{{Interface: "eth1"}}
	})
	by := func(path uint8, now time.Time, msg []byte) Drop {
		p.h.Path = path
		return p.hear(now, msg)
	}
	first := p.sign(epoch)
	for path := range uint8(2) {
		if d := by(path, epoch, first); d != 0 {
			t.Errorf("path %d drops the first advertisement: %s", path, d)
		}
		if d := by(path, epoch, first); d != DropReplayed {
			t.Errorf("path %d, again: %s, want a replay", path, d)
		}
	}
	// From here on, the second path is silent, and somebody records the first one.
	var recorded [][]byte
	for i := range 60 {
		now := epoch.Add(time.Duration(i+1) * time.Second)
		msg := p.sign(now)
		recorded = append(recorded, msg)
		if d := by(0, now, msg); d != 0 {
			t.Fatalf("second %d: %s", i, d)
		}
	}
	hour := epoch.Add(time.Hour)
	for i, msg := range recorded[:50] {
		if d := by(1, hour, msg); d != DropReplayed {
			t.Errorf("what was recorded in second %d is good on the other path an hour later (%s)", i, d)
		}
	}
	p.to.Restore(Sequences{Heard: p.to.Sequences().Heard})
	if got := len(p.to.Sequences().Heard); got != 2 {
		t.Errorf("%d sequences after a restart, want one for each path", got)
	}
}

// TestPathOf: each packet belongs to the path on which it came, and to one socket.
func TestPathOf(t *testing.T) {
	peer, own := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.1")
	c := testConfig(100)
	c.Heartbeat = []Path{{Interface: "eth1"}, {Peer: peer, TTLMin: 254}}
	r := NewRouter(c)
	r.Machine.Step(epoch, Event{Kind: EventUp, Source: addrA})
	for name, tt := range map[string]struct {
		iface string
		h     Header
		path  int
		ok    bool
		drop  Drop
	}{
		"multicast on the interface":    {"eth0", Header{Source: addrB, Destination: Group4, TTL: TTL}, 0, true, 0},
		"multicast on another":          {"eth1", Header{Source: peer, Destination: Group4, TTL: TTL}, 1, true, 0},
		"from another network":          {"eth1", Header{Source: peer, Destination: Group4, TTL: 254}, 1, true, DropWrongTTL},
		"multicast on a third":          {"eth2", Header{Source: peer, Destination: Group4, TTL: TTL}, 0, false, 0},
		"unicast from the peer":         {"", Header{Source: peer, Destination: own, TTL: 254}, 2, true, 0},
		"unicast over too many routers": {"", Header{Source: peer, Destination: own, TTL: 253}, 2, true, DropLowTTL},
		"unicast from somebody":         {"", Header{Source: addrB, Destination: own, TTL: TTL}, 0, false, 0},
		"the same on the interface":     {"eth0", Header{Source: peer, Destination: own, TTL: TTL}, 0, false, 0},
		"unicast by mistake":            {"eth0", Header{Source: addrB, Destination: addrA, TTL: TTL}, 0, true, DropWrongDestination},
	} {
		path, ok := c.PathOf(tt.iface, tt.h)
		if ok != tt.ok || ok && path != tt.path {
			t.Errorf("%s: path %d %t, want %d %t", name, path, ok, tt.path, tt.ok)
		}
		if tt.h.Path = uint8(path); ok {
			if d := r.checkHeader(tt.h); d != tt.drop {
				t.Errorf("%s: %s, want %s", name, d, tt.drop)
			}
		}
	}
}

// TestReloadedPaths: what is known of a path outlives a change of the others.
func TestReloadedPaths(t *testing.T) {
	c := testConfig(100)
	c.Heartbeat = []Path{{Interface: "eth1"}, {Interface: "eth2"}}
	m := NewMachine(c)
	m.Step(epoch, Event{Kind: EventUp, Source: addrA})
	for path := range uint8(3) {
		m.Step(epoch, Event{Kind: EventAdvert, Path: path, Source: netip.AddrFrom4([4]byte{10, 0, path, 2}), Priority: 150, Interval: time.Second})
	}
	c.Heartbeat = []Path{{Interface: "eth2"}, {Interface: "eth3"}}
	m.Step(epoch, Event{Kind: EventConfig, Config: &c})
	for path, want := range []PathState{PathHeard, PathHeard, PathUnknown} {
		if state, _, _ := m.PathStatus(path); state != want {
			t.Errorf("path %s is %s, want %s", c.PathName(path), state, want)
		}
	}
	m.Step(epoch, Event{Kind: EventAdvert, Path: 7, Source: addrB, Priority: 150, Interval: time.Second}) // no such path: no effect
	if _, _, from := m.PathStatus(1); from != netip.AddrFrom4([4]byte{10, 0, 2, 2}) {
		t.Errorf("eth2 has heard %s", from)
	}
}

// TestPathStateText: a state is what it was after a conversation between two processes.
func TestPathStateText(t *testing.T) {
	for s := PathUnknown; s <= PathDown; s++ {
		b, err := json.Marshal(PathStatus{Name: "eth1", State: s})
		var got PathStatus
		if err == nil {
			err = json.Unmarshal(b, &got)
		}
		if err != nil || got.State != s {
			t.Errorf("%s became %s (%v)", s, got.State, err)
		}
	}
}

// TestOneNameForAMaster: whichever path is faster, a master is called by its address on the first one, and counts once.
func TestOneNameForAMaster(t *testing.T) {
	c := testConfig(100)
	c.Heartbeat = []Path{{Interface: "eth1"}}
	m := NewMachine(c)
	m.Step(epoch, Event{Kind: EventUp, Source: addrB})
	there := netip.MustParseAddr("10.0.0.1")
	for i, tt := range []struct {
		path   uint8
		from   netip.Addr
		master netip.Addr
	}{{1, there, there}, {0, addrA, addrA}, {1, there, addrA}, {0, addrA, addrA}, {0, addrA, addrA}, {1, there, addrA}} {
		now := epoch.Add(time.Duration(i/2)*time.Second + time.Duration(i%2)*time.Millisecond)
		m.Step(now, Event{Kind: EventAdvert, Path: tt.path, Source: tt.from, Priority: 150, Interval: time.Second})
		if m.Master() != tt.master || m.Repeated() != (i%2 == 1) {
			t.Errorf("%d: the master is %s, repeated %t; want %s", i, m.Master(), m.Repeated(), tt.master)
		}
	}
}
