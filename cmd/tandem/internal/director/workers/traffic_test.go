// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/lvs/kernel"
	"github.com/tandem-lvs/tandem/lvs/traffic"
)

// The worker reads the connections only while the director asks for it. It leaves out this machine's own connections. It looks
// less often if a look costs much, if there is nothing to see, and if it fails.
func TestTrafficLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		of := func(client string, state traffic.State) traffic.Connection {
			return traffic.Connection{Client: netip.MustParseAddrPort(client), State: state}
		}
		steps := []struct {
			look []traffic.Connection
			cost time.Duration
			err  error
			at   time.Duration // of this look, since the first
		}{
			{err: fmt.Errorf("open: %w", kernel.ErrAbsent)},
			{look: nil, at: emptyInterval},
			{look: []traffic.Connection{of("198.51.100.7:1", traffic.Answered), of("127.0.0.1:2", traffic.Answered)}, at: 2 * emptyInterval},
			{look: []traffic.Connection{of("198.51.100.7:1", traffic.Answered)}, cost: 10 * time.Millisecond, at: 2*emptyInterval + trafficInterval},
			{err: errors.New("no"), at: 2*emptyInterval + trafficInterval + trafficPause*10*time.Millisecond},
			{look: make([]traffic.Connection, 1), cost: time.Second, at: 2*emptyInterval + trafficInterval + trafficPause*10*time.Millisecond + ownInterval},
			{look: nil, at: 2*emptyInterval + trafficInterval + trafficPause*10*time.Millisecond + ownInterval + longestTrafficPause},
		}
		var posted []core.Traffic
		looks, done := 0, make(chan struct{})
		w := &Traffic{Log: hclog.NewNullLogger(), In: NewMailbox[bool](), Post: func(ev core.Event) { posted = append(posted, ev.(core.Traffic)) },
			Look: func() ([]traffic.Connection, bool, time.Duration, error) {
				if looks == len(steps) {
					t.Error("it looks although it need not")
					return nil, true, 0, nil
				}
				s := steps[looks]
				if at := time.Since(start); at != s.at {
					t.Errorf("look %d after %s, want %s", looks, at, s.at)
				}
				if looks++; looks == len(steps) {
					close(done)
				}
				return s.look, true, s.cost, s.err
			}}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = w.Run(ctx) }()
		w.In.Put(true)
		<-done
		w.In.Put(false)
		time.Sleep(time.Minute)
		cancel()
		synctest.Wait()
		if len(posted) != 1 || len(posted[0].Outcomes) != 1 || posted[0].Outcomes[0].Client != netip.MustParseAddr("198.51.100.7") {
			t.Errorf("posted %+v", posted)
		}
	})
}

// Whatever a look costs, the looks take less than 1 % of a core. A single one that costs much makes no long pause.
func TestCostOfTrafficLooks(t *testing.T) {
	always := func(cost time.Duration) func(int) time.Duration { return func(int) time.Duration { return cost } }
	for _, c := range []struct {
		name    string
		cost    func(look int) time.Duration
		least   time.Duration
		longest time.Duration // pause
	}{
		{"a small table", always(time.Millisecond), trafficInterval, trafficInterval},
		{"a full look", always(10 * time.Millisecond), trafficInterval, trafficPause * 10 * time.Millisecond},
		{"a slow processor", always(40 * time.Millisecond), trafficInterval, trafficPause * 40 * time.Millisecond},
		{"a slow processor, and others' connections alone", always(40 * time.Millisecond), emptyInterval, trafficPause * 40 * time.Millisecond},
		{"a very slow processor", always(400 * time.Millisecond), trafficInterval, longestTrafficPause},
		{"looks that fail", always(400 * time.Millisecond), ownInterval, longestTrafficPause},
		{"a look of many lacks a processor", func(look int) time.Duration {
			if look%50 == 49 {
				return 150 * time.Millisecond
			}
			return 2 * time.Millisecond
		}, trafficInterval, maxTrafficPause},
	} {
		var d trafficDebt
		var cost, elapsed, longest time.Duration
		for look := 0; elapsed < 2*time.Hour; look++ {
			is := c.cost(look)
			pause := d.pause(is, c.least)
			cost, elapsed, longest = cost+is, elapsed+pause, max(longest, pause)
			if pause < c.least {
				t.Fatalf("%s: a pause of %s, want at least %s", c.name, pause, c.least)
			}
		}
		if share := float64(cost) / float64(elapsed); share > 0.0068 {
			t.Errorf("%s: the looks take %.2f %% of a core, want less than 0.68 %%", c.name, 100*share)
		}
		if longest > c.longest {
			t.Errorf("%s: a pause of %s, want at most %s", c.name, longest, c.longest)
		}
	}
}
