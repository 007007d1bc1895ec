// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/internal/nstest"
	"github.com/tandem-lvs/tandem/vrrp/link"
)

// twins are two machines, each connected to two switches.
type twins struct {
	t        testing.TB
	switches *nstest.NS
	a, b     *peer
	down     time.Duration // the bound of b
	interval time.Duration
}

// newTwins starts a master and its backup. eth0 is at the one switch and eth1 at the other.
func newTwins(t testing.TB, change func(i int, c *vrrp.Config)) *twins {
	t.Helper()
	s := &twins{t: t, switches: nstest.New(t)}
	for i := range 2 {
		nstest.Command(t, s.switches, func() error {
			attrs := netlink.NewLinkAttrs()
			attrs.Name = fmt.Sprintf("br%d", i)
			return errors.Join(netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}), nstest.Device(attrs.Name, netlink.LinkSetUp)())
		})
	}
	s.a = s.plug(0, change)
	s.a.awaitState(51, vrrp.Master)
	s.b = s.plug(1, change)
	s.b.await(51, "backup of a", func(s vrrp.Status) bool { return s.State == vrrp.Backup && s.Master == addrA })
	return s
}

func (s *twins) plug(machine int, change func(i int, c *vrrp.Config)) *peer {
	s.t.Helper()
	p := &peer{t: s.t, ns: nstest.New(s.t), port: fmt.Sprint(machine), over: make(chan struct{})}
	// The addresses of the second switch are in the other order.
	for i, addr := range []string{fmt.Sprintf("192.0.2.%d/24", 1+machine), fmt.Sprintf("10.0.0.%d/24", 9-machine)} {
		nstest.Veth(s.t, p.ns, fmt.Sprintf("eth%d", i), s.switches, p.portOf(i))
		nstest.Command(s.t, s.switches, nstest.Device(p.portOf(i), func(l netlink.Link) error {
			br, err := netlink.LinkByName(fmt.Sprintf("br%d", i))
			if err != nil {
				return err
			}
			return netlink.LinkSetMaster(l, br)
		}))
		nstest.Command(s.t, p.ns, nstest.AddTo(fmt.Sprintf("eth%d", i), addr))
	}
	c := fastConfig(51, uint8(150-50*machine))
	change(machine, &c)
	s.down, s.interval = bound(c), c.AdvertInterval
	p.loop = New("eth0", Options{Notify: p.note})
	p.loop.Configure([]vrrp.Config{c})
	w := link.NewWatcher(nil, func(l vrrp.Link) {
		if l.Name == "eth0" {
			p.loop.SetLink(l)
			return
		}
		p.loop.SetPathLink(l)
	})
	w.Watch([]string{"eth0", "eth1"})
	nstest.RunIn(s.t, p.ns, w.Run)
	p.kill = nstest.RunIn(s.t, p.ns, func(ctx context.Context) error {
		defer close(p.over)
		p.err = p.loop.Run(ctx)
		return p.err
	})
	return p
}

// portOf is the name of a switch's port.
func (p *peer) portOf(i int) string { return fmt.Sprintf("m%s-%d", p.port, i) }

// cut lets a switch pass nothing between the machines. They still have a carrier.
func (s *twins) cut(i int, on bool) {
	s.t.Helper()
	for _, p := range []*peer{s.a, s.b} {
		nstest.Command(s.t, s.switches, nstest.Device(p.portOf(i), func(l netlink.Link) error { return netlink.LinkSetIsolated(l, on) }))
	}
}

func pathOf(s vrrp.Status, name string) vrrp.PathStatus {
	for _, p := range s.Paths {
		if p.Name == name {
			return p
		}
	}
	return vrrp.PathStatus{}
}

// TestTwoPaths: one switch passes nothing, then the other: nobody takes over, and the status names the path. Then none of them
// does: the backup takes over.
func TestTwoPaths(t *testing.T) {
	for name, beat := range map[string][2]vrrp.Path{
		"multicast": {{Interface: "eth1"}, {Interface: "eth1"}},
		"unicast":   {{Peer: netip.MustParseAddr("10.0.0.8")}, {Peer: netip.MustParseAddr("10.0.0.9")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nstest.Undisturbed(t, func(t testing.TB) {
				s := newTwins(t, func(i int, c *vrrp.Config) { c.Heartbeat = []vrrp.Path{beat[i]} })
				second := beat[1].Name()
				heard := s.b.await(51, "both paths are heard", func(st vrrp.Status) bool {
					return pathOf(st, "eth0").State == vrrp.PathHeard && pathOf(st, second).State == vrrp.PathHeard
				})
				if from := pathOf(heard.Status, second).Master; from != netip.MustParseAddr("10.0.0.9") {
					t.Errorf("%s is heard from %s", second, from)
				}
				for i, path := range []string{"eth0", second} {
					s.cut(i, true)
					s.b.await(51, path+" is silent", func(st vrrp.Status) bool {
						return pathOf(st, path).State == vrrp.PathSilent && strings.Contains(strings.Join(st.Warnings, "\n"), "not heard over "+path)
					})
					s.cut(i, false)
					s.b.await(51, path+" is heard again", func(st vrrp.Status) bool {
						return pathOf(st, path).State == vrrp.PathHeard && len(st.Warnings) == 0
					})
				}
				for _, st := range s.b.notified(51) {
					if st.State == vrrp.Master {
						t.Fatalf("the backup became master: %s", st.Reason)
					}
					if st.Master.IsValid() && st.Master != addrA {
						t.Errorf("the master is called %s", st.Master)
					}
				}
				if st := s.a.loop.Status()[0]; len(st.Paths) != 2 || st.Paths[1].Sent == 0 || st.Paths[1].SendErrors > 0 || st.Paths[0].Sent < st.Paths[1].Sent {
					t.Errorf("the master's paths: %+v", st.Paths)
				}
				if st := s.b.loop.Status()[0]; st.Paths[0].Received == 0 || st.Paths[1].Received == 0 || st.Counters.Drops != (vrrp.Drops{}) {
					t.Errorf("the backup's paths: %+v, drops %v", st.Paths, st.Counters.Drops)
				}
				started := time.Now()
				s.cut(0, true)
				s.cut(1, true)
				cut := time.Now() // a command to a switch waits for those of other tests
				took := s.b.awaitState(51, vrrp.Master)
				doubted := took.at.Sub(took.Doubted)
				if i := slices.IndexFunc(s.b.notified(51), func(st sighting) bool { return st.Doubted.Equal(took.Doubted) }); i < 0 || took.Doubted.Before(started) ||
					s.b.notified(51)[i].State != vrrp.Backup || doubted < s.interval/2 {
					t.Errorf("it doubted its master %s before it took over", doubted)
				}
				if took.Cause.Kind != vrrp.CauseSilence || took.at.Sub(cut) > s.down {
					t.Errorf("%s, %s after the second cut", took.Reason, took.at.Sub(cut))
				}
			})
		})
	}
}

// TestPathDown: a path whose interface is missing or down is named, and is no fault. A master whose own interface fails says so over
// the other one: the backup does not wait for silence.
func TestPathDown(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		s := newTwins(t, func(_ int, c *vrrp.Config) { c.Heartbeat = []vrrp.Path{{Interface: "eth1"}, {Interface: "eth7"}} })
		s.b.await(51, "eth7 is missing", func(st vrrp.Status) bool {
			return strings.Contains(pathOf(st, "eth7").Fault, "not known yet") && pathOf(st, "eth1").State == vrrp.PathHeard
		})
		s.b.loop.SetPathLink(vrrp.Link{Name: "eth7"})
		s.b.await(51, "eth7 is missing", func(st vrrp.Status) bool {
			p := pathOf(st, "eth7")
			return p.State == vrrp.PathDown && p.Fault == "interface eth7 is missing" && st.State == vrrp.Backup
		})
		nstest.Command(t, s.b.ns, nstest.Device("eth1", netlink.LinkSetDown))
		s.b.await(51, "eth1 is down", func(st vrrp.Status) bool { return pathOf(st, "eth1").State == vrrp.PathDown && st.State == vrrp.Backup })
		nstest.Command(t, s.b.ns, nstest.Device("eth1", netlink.LinkSetUp))
		s.b.await(51, "eth1 is heard again", func(st vrrp.Status) bool { return pathOf(st, "eth1").State == vrrp.PathHeard })

		nstest.Command(t, s.a.ns, nstest.Device("eth0", netlink.LinkSetDown))
		took := s.b.awaitState(51, vrrp.Master)
		if took.Cause.Kind != vrrp.CauseMasterLeft || took.Cause.Peer != addrA {
			t.Errorf("the backup took over: %s", took.Reason)
		}
		// A reload that removes the paths disturbs nobody.
		c := fastConfig(51, 100)
		s.b.loop.Configure([]vrrp.Config{c})
		last := s.b.await(51, "no paths", func(st vrrp.Status) bool { return len(st.Paths) == 0 })
		if last.State != vrrp.Master || !last.Since.Equal(took.Since) {
			t.Errorf("%s since %s", last.State, last.Since)
		}
	})
}

// A path whose route is gone is down from the next advertisement on, although nothing else has changed.
func TestRouteToPeerIsGone(t *testing.T) {
	c := fastConfig(51, 150)
	c.Heartbeat = []vrrp.Path{{Peer: netip.AddrFrom4([4]byte{255, 255, 255, 255})}} // nobody may send there: there never is a source
	l, r := New("eth0", Options{}), newRouter(c)
	p := &r.paths[0]
	p.carrier = &carrier{iface: routedPaths, conn: newConn(routedPaths, 0)}
	p.carrier.conn.all[socket4].fd = 0                       // as if it were open: nothing is sent
	p.source, p.looked = addrA, time.Now().Add(-time.Minute) // there was a route
	before := r.pathFaults
	if l.sendByPaths(r, time.Now()) || !strings.Contains(p.fault, "there is no route to 255.255.255.255") || r.pathFaults == before {
		t.Errorf("fault %q, changed %d times", p.fault, r.pathFaults-before)
	}
}
