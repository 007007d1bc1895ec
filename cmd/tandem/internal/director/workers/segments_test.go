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

// Each result is posted once. Machines that have answered are asked again when the kernel has forgotten them. While nobody
// answers, it asks more often. A frame that was received is a sign of others too.
func TestSegmentsAreAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, gateway := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.254")
		var mu sync.Mutex
		known, answers := []netip.Addr{}, []netip.Addr{}
		var failure error
		asked := 0
		frames := uint64(7)
		var told []core.SegmentAnswer
		w := &Segments{
			In: NewMailbox[core.Segments](), Post: func(ev core.Event) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, ev.(core.SegmentAnswer))
			},
			Known: func(_ string, peers []netip.Addr) ([]netip.Addr, error) {
				mu.Lock()
				defer mu.Unlock()
				return slices.Concat(peers, known), nil
			},
			Ask: func(_ context.Context, _ string, who []netip.Addr) ([]netip.Addr, error) {
				mu.Lock()
				defer mu.Unlock()
				asked++
				return slices.DeleteFunc(slices.Clone(who), func(a netip.Addr) bool { return !slices.Contains(answers, a) }), failure
			},
			Received: func(string) (uint64, error) {
				mu.Lock()
				defer mu.Unlock()
				return frames, nil
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		expect := func(why string, questions int, want ...core.Reach) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			var got []core.Reach
			for _, a := range told {
				got = append(got, a.Reach)
			}
			if !slices.Equal(got, want) || asked != questions {
				t.Errorf("%s: told %v after %d questions, want %v after %d", why, got, asked, want, questions)
			}
			told, asked = nil, 0
		}
		set := func(change func()) {
			mu.Lock()
			defer mu.Unlock()
			change()
		}
		time.Sleep(time.Minute)
		expect("there is no segment", 0)
		w.In.Put(core.Segments{"eth0": nil})
		time.Sleep(time.Second + time.Millisecond)
		expect("nobody is known", 0, core.ReachUnknown)
		set(func() { known, answers = []netip.Addr{client}, []netip.Addr{client} })
		time.Sleep(doubtPause)
		expect("a client answers", 1, core.Reached)
		set(func() { known, answers = nil, nil })
		time.Sleep(signLasts + 2*doubtPause)
		expect("it does not, and the kernel has forgotten it", 3, core.Isolated)
		set(func() { frames++ })
		time.Sleep(doubtPause)
		expect("a frame is received", 1, core.Reached)
		time.Sleep(signLasts)
		expect("and no other", 1, core.Isolated)
		w.In.Put(core.Segments{"eth0": {gateway}})
		synctest.Wait()
		expect("a peer was heard", 1, core.Isolated)
		set(func() { answers = []netip.Addr{gateway} })
		time.Sleep(doubtPause)
		expect("the peer answers", 1, core.Reached)
		set(func() { answers, failure = nil, errors.New("operation not permitted") })
		time.Sleep(3 * segmentPause)
		expect("it cannot ask", 3)
		set(func() { failure = nil })
		time.Sleep(segmentPause)
		expect("it can, and nobody answers", 1, core.Isolated)
		w.In.Put(core.Segments{})
		time.Sleep(time.Minute)
		expect("it need not ask", 0)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
