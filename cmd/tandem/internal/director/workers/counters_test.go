// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/lvs"
)

// The worker reads the counters of the services that it was asked for, at an interval. If a reading takes long, the next one
// comes later.
func TestCountersAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		posted := 0
		w := &Counters{Log: hclog.NewNullLogger(), In: NewMailbox[[]lvs.ServiceID](),
			Post: func(ev core.Event) { posted += len(ev.(core.Counters).Services) },
			Status: func(_ context.Context, ids []lvs.ServiceID) ([]lvs.ServiceStatus, error) {
				at = append(at, time.Since(start))
				switch len(at) {
				case 2:
					return nil, errors.New("no")
				case 3:
					time.Sleep(time.Second)
				}
				return make([]lvs.ServiceStatus, len(ids)), nil
			}}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = w.Run(ctx) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(at) > 0 {
			t.Errorf("read at %v without being asked to", at)
		}
		start = time.Now()
		w.In.Put(make([]lvs.ServiceID, 2))
		time.Sleep(4 * time.Minute)
		w.In.Put(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		slow := 3*countersInterval + time.Second + trafficPause*time.Second
		want := []time.Duration{countersInterval, 2 * countersInterval, 3 * countersInterval, slow, slow + countersInterval}
		if len(at) < len(want) || !slices.Equal(at[:len(want)], want) || at[len(at)-1] > 4*time.Minute || posted != 2*(len(at)-1) {
			t.Errorf("read at %v, %d services posted", at, posted)
		}
	})
}
