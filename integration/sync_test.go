// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// halfOpen makes connections of clients that never send an ACK.
func halfOpen(p *lab.Pair) {
	var frames [][]byte
	for i := range 20 {
		frames = append(frames, lab.Segment{To: p.A.MAC(), From: p.Client.MAC(), Target: netip.MustParseAddrPort(lab.VIP + ":2000"),
			Source: netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i)}), 1024)}.Frame())
	}
	p.Client.Flood(1000, 20*time.Millisecond, frames)
}

// TestConnectionsSurvive: 200 established connections exchange data through the master. They all continue, and none is reset,
// in a planned hand-over, when the first director takes over again, and when its cable is cut.
func TestConnectionsSurvive(t *testing.T) {
	const many = 200
	p := newLinedPair(t, `scheduler = "wrr"`)
	talk := converse(t, openLines(t, p.Client, many), 250*time.Millisecond)
	halfOpen(p)
	talk.goesOn(t, p.Lab, "at first", 4)
	p.Eventually(10*time.Second, "director-b knows the connections", func() error {
		if n, err := established(p.B); err != nil || n < many {
			return fmt.Errorf("it knows %d, %v", n, err)
		}
		return nil
	})
	// What package traffic says of the other director: it is told of no connection that waits for its client.
	const waiting = "SYN_RECV"
	own, err := inState(p.A, waiting)
	peers, errPeer := inState(p.B, waiting)
	if err := errors.Join(err, errPeer); err != nil || own == 0 || peers > 0 {
		t.Errorf("director-a knows %d half-open connections and director-b %d, want some and none; %v", own, peers, err)
	}

	talk.phase()
	tandem(t, p.A, "failover")
	p.AwaitMaster(p.B)
	p.Logf("planned hand-over: %d connections went on, longest stall %s", many,
		talk.goesOn(t, p.Lab, "after the hand-over", 4).Round(time.Millisecond))

	talk.phase()
	tandem(t, p.A, "release")
	p.AwaitMaster(p.A)
	p.Logf("taken over again: %d connections went on, longest stall %s", many,
		talk.goesOn(t, p.Lab, "after the first is master again", 4).Round(time.Millisecond))

	talk.phase()
	p.A.Cut()
	p.AwaitMaster(p.B)
	p.Logf("cable cut: %d connections went on, longest stall %s", many,
		talk.goesOn(t, p.Lab, "after the cut", 4).Round(time.Millisecond))
	talk.end()

	// Sync has started once on either side and run through all of this.
	for _, d := range []string{p.A.Process().Output(), p.B.Process().Output()} {
		if n := strings.Count(d, "started connection sync"); n != 2 {
			t.Errorf("connection sync was started %d times, want 2: as master and as backup", n)
		}
	}
}
