// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestConnectionsSurvive: 200 established connections exchange data through the master. They all continue, and none is reset,
// in a planned hand-over, when the first director takes over again, and when its cable is cut.
func TestConnectionsSurvive(t *testing.T) {
	const many = 200
	p := newLinedPair(t, `scheduler = "wrr"`)
	talk := converse(t, openLines(t, p.Client, many), 250*time.Millisecond)
	talk.goesOn(t, p.Lab, "at first", 4)
	p.Eventually(10*time.Second, "director-b knows the connections", func() error {
		if n, err := established(p.B); err != nil || n < many {
			return fmt.Errorf("it knows %d, %v", n, err)
		}
		return nil
	})

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
