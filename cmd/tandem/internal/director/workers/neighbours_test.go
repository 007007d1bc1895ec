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
			if !slices.Equal(told, want) || len(asked) != questions || slices.Contains(asked, "eth0") {
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
