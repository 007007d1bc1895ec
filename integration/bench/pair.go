// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A network is the settings that are the same for all subjects.
type network struct {
	advert  time.Duration
	routers int // virtual routers: 1 for the one of lab.VIP
}

// perInterface is how many virtual routers share an interface. There are 255 VRIDs.
const perInterface = 200

func (n network) interfaces() int { return (n.routers + perInterface - 1) / perInterface }

// each calls f for every virtual router, with its interface, VRID and VIP.
func (n network) each(f func(ifi string, vrid int, vip string)) {
	if n.routers == 1 {
		f("eth0", 51, lab.VIP+"/24")
		return
	}
	for i := range n.routers {
		ifi, vrid := i/perInterface, 1+i%perInterface
		f(fmt.Sprintf("eth%d", ifi), vrid, fmt.Sprintf("10.%d.%d.1/32", ifi, vrid))
	}
}

// A pair is two directors that run the same subject, and a client. Each director answers at the VIP itself, by UDP echo.
type pair struct {
	*lab.Lab
	attempt *lab.Attempt
	client  *lab.Host
	a, b    *lab.Director // a has the higher priority
	net     network
}

// newPair starts a subject on both and waits until a is master of all and b of nothing.
func newPair(t *lab.Attempt, s subject, n network) *pair {
	p := &pair{Lab: lab.New(t), attempt: t, net: n}
	p.client = p.Host("client", "192.0.2.1/24")
	p.a = p.Director("director-a", "192.0.2.2/24", "")
	p.b = p.Director("director-b", "192.0.2.3/24", "")
	for i, d := range []*lab.Director{p.a, p.b} {
		for k := 1; k < n.interfaces(); k++ {
			d.Join(fmt.Sprintf("lan%d", k), fmt.Sprintf("172.16.%d.%d/24", k, 2+i))
		}
		if n.routers == 1 {
			d.EchoServer("0.0.0.0:7")
		}
	}
	// An orderly stop would take time, and is not needed.
	t.Cleanup(func() {
		p.signal(p.a, syscall.SIGKILL)
		p.signal(p.b, syscall.SIGKILL)
	})
	s.launch(p.a, n, lab.PriorityA)
	s.launch(p.b, n, lab.PriorityB)
	p.Eventually(20*time.Second+8*n.advert, "director-a is master of all", func() error {
		if a, b := p.held(p.a), p.held(p.b); a != n.routers || b != 0 {
			return fmt.Errorf("of %d VIPs director-a has %d and director-b %d", n.routers, a, b)
		}
		return nil
	})
	return p
}

// held counts the VIPs on a director.
func (p *pair) held(d *lab.Director) int {
	if p.net.routers == 1 {
		if d.Has(lab.VIP) {
			return 1
		}
		return 0
	}
	return strings.Count(d.Run("ip", "-oneline", "-4", "address"), " 10.")
}

// signal sends a signal to all processes of a director.
func (p *pair) signal(d *lab.Director, sig syscall.Signal) {
	for _, pid := range d.Pids() {
		_ = syscall.Kill(pid, sig)
	}
}

// masterDown returns how long b waits after an advertisement of a (RFC 9568, section 6.1).
func (p *pair) masterDown() time.Duration {
	return 3*p.net.advert + time.Duration(256-lab.PriorityB)*p.net.advert/256
}

// pause lets time pass in which the subject is left alone.
func (p *pair) pause(d time.Duration) {
	p.Throughout(d, "nothing is done", func() error { return nil })
}

// fail ends the measurement without a number.
func (p *pair) fail(format string, args ...any) { p.attempt.Fatalf(format, args...) }
