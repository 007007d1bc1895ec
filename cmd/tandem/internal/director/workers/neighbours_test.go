// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
)

// The neighbours are asked only while all servers are silent, on the interfaces that led to the servers before. Each change
// is posted once.
func TestNeighboursAreAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := netip.MustParseAddr("192.0.2.11")
		var mu sync.Mutex
		answers := map[string]bool{"eth0": true, "eth1": true}
		var failure error
		way := "eth1"
		var asked []string
		var told []core.Neighbours
		w := &Neighbours{
			In: NewMailbox[core.Question](), Post: func(ev core.Event) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, ev.(core.Neighbours))
			},
			Routes: func(servers, _ []netip.Addr) (map[string][]netip.Addr, error) {
				mu.Lock()
				defer mu.Unlock()
				return map[string][]netip.Addr{way: servers}, nil
			},
			Way: func(netip.Addr) []string {
				mu.Lock()
				defer mu.Unlock()
				return []string{way}
			},
			Ask: func(_ context.Context, iface string, _ []netip.Addr) (bool, error) {
				mu.Lock()
				defer mu.Unlock()
				asked = append(asked, iface)
				return answers[iface] && failure == nil, failure
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		expect := func(why string, questions int, want ...core.Neighbours) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.EqualFunc(told, want, core.Neighbours.Equal) || len(asked) != questions || slices.Contains(asked, "eth0") {
				t.Errorf("%s: asked %v, told %+v; want %d questions on eth1, %+v", why, asked, told, questions, want)
			}
			told, asked = nil, nil
		}
		w.In.Put(core.Question{Servers: []netip.Addr{server}})
		time.Sleep(10 * routesPause)
		expect("the servers answer", 0)
		set := func(change func()) {
			mu.Lock()
			defer mu.Unlock()
			change()
		}
		set(func() { way = "eth0" }) // the interface is down, and now the default route is the route to the servers
		w.In.Put(core.Question{Silence: 1, Servers: []netip.Addr{server}})
		expect("they are silent", 1, core.Neighbours{Silence: 1, Answer: true})
		time.Sleep(3 * askPause)
		expect("and stay so", 3)
		set(func() { answers["eth1"] = false })
		time.Sleep(2 * askPause)
		expect("nobody answers", 2, core.Neighbours{Silence: 1})
		set(func() { failure = errors.New("operation not permitted") })
		time.Sleep(askPause)
		expect("it cannot ask", 1, core.Neighbours{Silence: 1, Problem: "failed to ask the neighbours: operation not permitted"})
		w.In.Put(core.Question{Servers: []netip.Addr{server}})
		time.Sleep(askPause)
		expect("the servers answer again", 0)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// Of each server in doubt it is told whether a machine answers on the interface that led to it before. A server without a route is
// not reached.
func TestNeighboursOfServersInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far, own := netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("198.51.100.12"), netip.MustParseAddr("192.0.2.2")
		all := []netip.Addr{near, own, far}
		before := map[netip.Addr][]string{near: {"eth0"}, far: {"eth1"}, own: {"lo"}}
		rerouted := map[netip.Addr][]string{near: {"eth0"}, far: {"eth0"}, own: {"lo"}}
		noRoute := map[netip.Addr][]string{near: {"eth0"}, own: {"lo"}}
		for _, c := range []struct {
			why     string
			ways    map[netip.Addr][]string
			answers map[string]bool
			inDoubt []netip.Addr
			want    core.Neighbours
		}{
			{"nothing is in doubt", before, map[string]bool{"eth0": true}, nil, core.Neighbours{Answer: true}},
			{"both interfaces are well", before, map[string]bool{"eth0": true, "eth1": true}, all, core.Neighbours{Answer: true, Reached: all}},
			{"one fails", before, map[string]bool{"eth0": true}, all, core.Neighbours{Answer: true, Reached: all[:2], Unreached: all[2:]}},
			{
				"one fails, the servers that answer are on the other", before, map[string]bool{"eth0": true}, all[2:],
				core.Neighbours{Answer: true, Unreached: all[2:]},
			},
			{"one fails, and its servers get the default route", rerouted, map[string]bool{"eth0": true}, all[2:], core.Neighbours{Answer: true, Unreached: all[2:]}},
			{"a route is gone", noRoute, map[string]bool{"eth0": true, "eth1": true}, all[2:], core.Neighbours{Answer: true, Unreached: all[2:]}},
			{"nobody answers", before, nil, all[2:], core.Neighbours{Unreached: all[2:]}},
		} {
			ways := before
			var told []core.Neighbours
			w := &Neighbours{
				In: NewMailbox[core.Question](), Post: func(ev core.Event) { told = append(told, ev.(core.Neighbours)) },
				Routes: func(servers, _ []netip.Addr) (map[string][]netip.Addr, error) {
					return map[string][]netip.Addr{"eth0": {near}, "eth1": {far}}, nil
				},
				Way: func(server netip.Addr) []string { return ways[server] },
				Ask: func(_ context.Context, iface string, _ []netip.Addr) (bool, error) { return c.answers[iface], nil },
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- w.Run(ctx) }()
			w.In.Put(core.Question{Servers: all})
			synctest.Wait()
			ways, c.want.Silence = c.ways, 1
			w.In.Put(core.Question{Silence: 1, Servers: all, InDoubt: c.inDoubt})
			synctest.Wait()
			if len(told) != 1 || !told[0].Equal(c.want) {
				t.Errorf("%s: told %+v, want %+v", c.why, told, c.want)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
}
