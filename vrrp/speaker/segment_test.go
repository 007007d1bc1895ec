// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/internal/nstest"
	"github.com/tandem-lvs/tandem/vrrp/link"
)

// fastConfig is a virtual router at an interval that a test can wait for.
func fastConfig(vrid, priority uint8) vrrp.Config {
	c := testConfig(priority)
	c.Name, c.VRID, c.AdvertInterval = fmt.Sprintf("router %d", vrid), vrid, 100*time.Millisecond
	c.VIPs = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, vrid}), 24)}
	return c
}

// bound is the longest time in which a router replaces a silent master, with room for a slow machine.
func bound(c vrrp.Config) time.Duration {
	return 3*c.AdvertInterval + vrrp.Skew(c.Priority, c.AdvertInterval) + 200*time.Millisecond
}

// A segment is a bridge in a namespace of its own. Peers are connected to it.
type segment struct {
	t  testing.TB
	ns *nstest.NS
}

func newBridge(t testing.TB) *segment {
	t.Helper()
	s := &segment{t, nstest.New(t)}
	nstest.Command(t, s.ns, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "br0"
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
			return err
		}
		return nstest.Device("br0", netlink.LinkSetUp)()
	})
	return s
}

// A peer is a loop on eth0 of a namespace of its own, with a Watcher of eth0.
type peer struct {
	t    testing.TB
	ns   *nstest.NS
	port string // the bridge's side of the cable
	loop *Loop
	kill func() error  // ends Run's context and waits
	over chan struct{} // closed when Run has returned
	err  error         // of Run, once over

	mu   sync.Mutex
	told []sighting
	seen func(vrrp.Status) // nil: none; is called on the loop's thread
}

type sighting struct {
	at time.Time
	vrrp.Status
}

// plug makes a machine with the address addr, "" for none, and starts its loop.
func (s *segment) plug(addr string, routers ...vrrp.Config) *peer {
	s.t.Helper()
	return s.plugWith(addr, nil, routers...)
}

// plugWith is plug with an observer, which is called on the loop's thread.
func (s *segment) plugWith(addr string, observe func(vrrp.Status), routers ...vrrp.Config) *peer {
	s.t.Helper()
	return s.plugLoop(addr, Options{Notify: observe}, func(l *Loop) { l.Configure(routers) })
}

// plugLoop is plug with options, and with a function that is called before the loop runs.
func (s *segment) plugLoop(addr string, o Options, first func(*Loop)) *peer {
	s.t.Helper()
	p := &peer{t: s.t, ns: nstest.New(s.t), port: "to-" + addr, over: make(chan struct{})}
	nstest.Veth(s.t, p.ns, "eth0", s.ns, p.port)
	nstest.Command(s.t, s.ns, nstest.Device(p.port, func(l netlink.Link) error {
		br, err := netlink.LinkByName("br0")
		if err != nil {
			return err
		}
		return netlink.LinkSetMaster(l, br)
	}))
	if addr != "" {
		nstest.Command(s.t, p.ns, nstest.AddTo("eth0", addr+"/24"))
	}
	observe := o.Notify
	o.Notify = func(st vrrp.Status) {
		p.note(st)
		if observe != nil {
			observe(st)
		}
	}
	p.loop = New("eth0", o)
	first(p.loop)
	w := link.NewWatcher(nil, p.loop.SetLink)
	w.Watch([]string{"eth0"})
	nstest.RunIn(s.t, p.ns, w.Run)
	p.kill = nstest.RunIn(s.t, p.ns, func(ctx context.Context) error {
		defer close(p.over)
		p.err = p.loop.Run(ctx)
		return p.err
	})
	return p
}

func (p *peer) note(s vrrp.Status) {
	p.mu.Lock()
	p.told = append(p.told, sighting{time.Now(), s})
	seen := p.seen
	p.mu.Unlock()
	if seen != nil {
		seen(s)
	}
}

// whenTold calls f with each status from now on, on the loop's thread. What must be done while a router is in a state that does
// not last is done there: a test's goroutine may run too late.
func (p *peer) whenTold(f func(vrrp.Status)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = f
}

// notified returns the statuses of a router so far.
func (p *peer) notified(vrid uint8) (all []sighting) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.told {
		if s.VRID == vrid {
			all = append(all, s)
		}
	}
	return all
}

// await waits for a status of the router that satisfies ok.
func (p *peer) await(vrid uint8, what string, ok func(vrrp.Status) bool) sighting {
	p.t.Helper()
	var last sighting
	nstest.Eventually(p.t, what, func() bool {
		if all := p.notified(vrid); len(all) > 0 {
			last = all[len(all)-1]
		}
		return last.VRID == vrid && ok(last.Status)
	})
	return last
}

// awaitAny waits for a status of the router that satisfies ok, of those after the first n. The router may have another status
// by then. It returns how many there were up to this one.
func (p *peer) awaitAny(vrid uint8, n int, what string, ok func(vrrp.Status) bool) (found sighting, upTo int) {
	p.t.Helper()
	nstest.Eventually(p.t, what, func() bool {
		all := p.notified(vrid)
		for ; n < len(all); n++ {
			if ok(all[n].Status) {
				found = all[n]
				return true
			}
		}
		return false
	})
	return found, n + 1
}

func (p *peer) awaitState(vrid uint8, s vrrp.State) sighting {
	p.t.Helper()
	return p.await(vrid, fmt.Sprintf("%s is %s", p.port, s), func(now vrrp.Status) bool { return now.State == s })
}

func (p *peer) counters(vrid uint8) vrrp.Counters {
	for _, s := range p.loop.Status() {
		if s.VRID == vrid {
			return s.Counters
		}
	}
	return vrrp.Counters{}
}

func (s *segment) setPort(p *peer, set func(netlink.Link) error) {
	s.t.Helper()
	nstest.Command(s.t, s.ns, nstest.Device(p.port, set))
}

// pair returns a master at priority 150 and then its backup at 100, for each of the VRIDs.
func pair(t testing.TB, vrids ...uint8) (s *segment, a, b *peer) {
	t.Helper()
	return pairWith(t, vrrp.HMAC{}, vrids...)
}

// pairWith is pair with signatures.
func pairWith(t testing.TB, signing vrrp.HMAC, vrids ...uint8) (s *segment, a, b *peer) {
	t.Helper()
	var strong, weak []vrrp.Config
	for _, vrid := range vrids {
		strong, weak = append(strong, fastConfig(vrid, 150)), append(weak, fastConfig(vrid, 100))
	}
	for i := range vrids {
		strong[i].HMAC, weak[i].HMAC = signing, signing
	}
	s = newBridge(t)
	a = s.plug("192.0.2.1", strong...)
	for _, vrid := range vrids {
		a.awaitState(vrid, vrrp.Master)
	}
	b = s.plug("192.0.2.2", weak...)
	for _, vrid := range vrids {
		b.await(vrid, "backup of a", func(s vrrp.Status) bool { return s.State == vrrp.Backup && s.Master == addrA })
	}
	return s, a, b
}
