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
			{look: nil, at: 2*emptyInterval + trafficInterval + trafficPause*10*time.Millisecond + ownInterval + maxTrafficPause},
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
