// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"maps"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestDirectorStopped: the director process of the master stands still for ten seconds. Its election continues, clients are
// served, and no server's weight changes, neither meanwhile nor afterwards.
func TestDirectorStopped(t *testing.T) {
	t.Parallel()
	// A stall of the machine is no failover at these intervals.
	p := lab.NewPair(t, lab.PairSettings{Advert: time.Second})
	p.Launch()
	election, err := p.A.ElectionPid()
	if err != nil {
		t.Fatal(err)
	}
	weights := p.A.Weights()
	watch := p.Client.WatchARP(vip, askEvery)
	load := p.Client.Load(vipURL, 50*time.Millisecond)
	moves := []*lab.AddressWatch{p.A.WatchAddress(vip), p.B.WatchAddress(vip)}
	awaitServed(p.Lab, load, time.Now())
	tap := p.A.TapNetlink()

	asBefore := func() error {
		if pid, err := p.A.ElectionPid(); err != nil || pid != election {
			return fmt.Errorf("the election was process %d and is %d, %v", election, pid, err)
		}
		if !p.A.Has(vip) || p.B.Has(vip) {
			return fmt.Errorf("VIP on director-a: %t, on director-b: %t", p.A.Has(vip), p.B.Has(vip))
		}
		if now := p.A.Weights(); !maps.Equal(weights, now) {
			return fmt.Errorf("weights %v, want %v", now, weights)
		}
		return nil
	}
	p.A.Process().Signal(syscall.SIGSTOP)
	p.Throughout(10*time.Second, "director-a is as before", asBefore)
	p.A.Process().Signal(syscall.SIGCONT)
	// This is longer than the time in which checks that were not made would count as failures.
	p.Throughout(p.ChecksFail()+time.Second, "director-a is as before after it woke", asBefore)
	p.A.AwaitState(5*time.Second, "master")

	wantServed(t, p, load.Stop())
	for _, a := range watch.Stop() {
		if len(a.MACs) > 1 {
			t.Errorf("%v answered for the VIP at %.3f", a.MACs, p.At(a.Asked).Seconds())
		}
	}
	for _, w := range moves {
		if n := len(w.Changes()); n > 0 {
			t.Errorf("the VIP came to a director or went from it %d times, want never", n)
		}
	}
	if got := tableWrites(tap); len(got) > 0 {
		t.Errorf("the director wrote %v to the IPVS table, want nothing", got)
	}
}
