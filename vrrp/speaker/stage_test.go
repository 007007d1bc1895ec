// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/vrrp"
)

// A stage is a loop without sockets, at 192.0.2.2 and fe80::ff:fe00:2. A test passes packets to its only router.
type stage struct {
	t    testing.TB
	l    *Loop
	r    *router
	now  time.Time
	told []vrrp.Status
	log  bytes.Buffer
}

func newStage(t testing.TB, change func(*vrrp.Config)) *stage {
	t.Helper()
	s := &stage{t: t, now: epoch}
	s.l = New("eth0", Options{
		Log:    hclog.New(&hclog.LoggerOptions{Output: &s.log}),
		Notify: func(st vrrp.Status) { s.told = append(s.told, st) },
	})
	s.l.applied = &desired{}
	c := testConfig(100)
	if change != nil {
		change(&c)
	}
	if why := c.Problem(); why != "" {
		t.Fatal(why)
	}
	s.l.add(c)
	s.r = s.l.routers[0]
	from := addrB
	if c.Family() == 6 {
		from = linkLocalB
	}
	s.l.step(s.r, s.now, vrrp.Event{Kind: vrrp.EventUp, Source: from})
	return s
}

// lead lets time pass until the router is master.
func (s *stage) lead() {
	s.t.Helper()
	for range 3 {
		s.now = s.r.Machine.Deadline()
		if s.l.step(s.r, s.now, vrrp.Event{Kind: vrrp.EventTimer}); s.r.Machine.State() == vrrp.Master {
			return
		}
	}
	s.t.Fatal("not master")
}

// packet returns what the router itself would send.
func (s *stage) packet() vrrp.Packet {
	p := s.r.Packet
	p.Priority, p.VIPs = 90, slices.Clone(p.VIPs)
	return p
}

// hear passes on a packet from src: to the group, or to us if there are unicast peers.
func (s *stage) hear(p vrrp.Packet, src netip.Addr, pass uint8) {
	h := s.header(src, pass)
	s.l.accept(s.now, h, p.AppendTo(nil, h.Source, h.Destination), 0)
}

// header returns the header of a packet from src. For an IPv6 router linkLocalA replaces an IPv4 src.
func (s *stage) header(src netip.Addr, ttl uint8) vrrp.Header {
	h := vrrp.Header{Source: src, Destination: s.r.Destinations()[0], TTL: ttl}
	switch {
	case s.r.Config.Family() == 6 && src.Is4():
		h.Source = linkLocalA
	case len(s.r.Config.UnicastPeers) > 0:
		h.Destination = s.r.Machine.Source()
	}
	return h
}

func (s *stage) wantWarnings(want ...string) {
	s.t.Helper()
	if got := s.l.Status()[0].Warnings; !slices.Equal(got, want) {
		s.t.Errorf("warnings %q, want %q", got, want)
	}
	if last := s.told[len(s.told)-1].Warnings; !slices.Equal(last, want) {
		s.t.Errorf("told %q, want %q", last, want)
	}
}

func (s *stage) pass(d time.Duration) {
	s.now = s.now.Add(d)
	s.l.advanceDiagnosis(s.now)
}
