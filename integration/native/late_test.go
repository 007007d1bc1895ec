// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"

	"github.com/tandem-lvs/tandem/integration/lab"
)

const (
	// late is how much later than usual the successor must get the VIP, for the scene to prove something.
	late = 100 * time.Millisecond

	// takesOver is when director-b takes over after the command: its skew time is 609 ms. The kernel is busy from a moment
	// before.
	takesOver, before = 609 * time.Millisecond, 150 * time.Millisecond
)

// TestHandOverToALateSuccessor: the kernel of the successor is busy with other links when it takes over, so that it gets the VIP
// only after some hundred milliseconds. Nobody notices a hand-over on command: the former master keeps the VIP until the
// successor announces it. Containers that start and end keep a kernel busy in this way.
//
// It does not run in parallel: it keeps the kernel of all namespaces from changing links.
func TestHandOverToALateSuccessor(t *testing.T) {
	d := lab.NewDuo(t, lab.DuoSettings{Advert: time.Second})
	crowd := d.Host("crowd")
	d.Launch()
	atA, atB := d.A.WatchAddress(lab.VIP), d.B.WatchAddress(lab.VIP)
	for links := 40; ; links *= 2 {
		remove, removed := occupy(t, crowd, links), make(chan error, 1)
		probe := d.Steady()
		commanded := time.Now()
		time.AfterFunc(takesOver-before, func() { removed <- remove() })
		out, err := tandem(d.A, "failover")
		if err != nil {
			t.Fatalf("tandem failover: %q, %v", out, err)
		}
		d.AwaitMaster(d.B)
		if err := <-removed; err != nil {
			t.Fatal(err)
		}
		s, err := d.B.Status()
		if err != nil {
			t.Fatal(err)
		}
		added, gone := last(atB, true), last(atA, false)
		delay := added.Sub(s.VRRP[0].Since)
		d.Logf("%d links: director-b was master %s after the command, had the VIP %s later; director-a removed it %s after that",
			links, s.VRRP[0].Since.Sub(commanded), delay, gone.Sub(added))
		wantUnnoticed(t, d, "tandem failover to a late successor", probe)
		if delay >= late || t.Failed() {
			return
		}
		if links == 160 {
			t.Fatalf("director-b got the VIP after %s: its kernel was not busy, and the scene proves nothing", delay)
		}
		if out, err := tandem(d.A, "release"); err != nil {
			t.Fatalf("tandem release: %q, %v", out, err)
		}
		d.AwaitMaster(d.A)
	}
}

// occupy makes bridges on a host. The function that it returns removes them, a few at a time. For each, the kernel holds its lock
// of links and addresses, which all namespaces share, for about 15 ms, and whoever else wants to change an address has to queue.
func occupy(t *testing.T, h *lab.Host, bridges int) (remove func() error) {
	t.Helper()
	links := make(chan netlink.Link, bridges)
	err := h.Do(func() error {
		for i := range bridges {
			attrs := netlink.NewLinkAttrs()
			attrs.Name = fmt.Sprintf("crowd%d", i)
			bridge := &netlink.Bridge{LinkAttrs: attrs}
			if err := netlink.LinkAdd(bridge); err != nil {
				return err
			}
			links <- bridge
		}
		return nil
	})
	if err != nil {
		t.Fatalf("failed to add bridges on %s: %v", h.Name, err)
	}
	close(links)
	return func() error {
		const queue = 8
		var g errgroup.Group
		for range queue {
			g.Go(func() error {
				return h.Do(func() error {
					for l := range links {
						if err := netlink.LinkDel(l); err != nil {
							return err
						}
					}
					return nil
				})
			})
		}
		return g.Wait()
	}
}

// last returns when an address was last added, or removed.
func last(w *lab.AddressWatch, added bool) (when time.Time) {
	for _, c := range w.Changes() {
		if c.Added == added {
			when = c.When
		}
	}
	return when
}
