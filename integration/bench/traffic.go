// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/integration/lab/report"
	"github.com/tandem-lvs/tandem/lvs/kernel"
)

const (
	// manyConnections is how many connections the large table has.
	manyConnections = 100_000
	// newConnections is how many of them begin in a second, where they come and go.
	newConnections = 100
	trafficServers = 10
	// A figure is the least of so many times.
	trafficWindows = 9
	trafficWindow  = 5 * time.Second
)

// measureTraffic measures the processor time of a master whose kernel has no connections, and the same director with many. The
// clients' packets are made on the director, a SYN and an ACK for each connection. The way to the servers ends there too. So
// almost all that the machine does is the kernel's table and the director.
func measureTraffic(b *bench) {
	b.measure(fmt.Sprintf("%d connections", manyConnections), tandem.name, func(t *lab.Attempt) {
		p := &pair{Lab: lab.New(t), attempt: t}
		p.a = p.Director("director", "192.0.2.2/24", "")
		p.a.Run("ip", "link", "add", "void0", "type", "dummy")
		p.a.Run("ip", "link", "set", "void0", "up")
		p.a.Run("ip", "route", "add", "10.9.0.0/24", "dev", "void0")
		config := fmt.Sprintf("[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nvips = [\"%s/24\"]\n"+
			"[[service]]\nname = \"www\"\nvirtual = \"%[1]s:80\"\nscheduler = \"wlc\"\n", lab.VIP)
		for i := range trafficServers {
			config += fmt.Sprintf("[[service.server]]\naddress = \"10.9.0.%d\"\n", 1+i)
		}
		p.a.Configure(config)
		p.a.Launch()
		p.awaitTable(time.Minute, trafficServers)
		p.pause(15 * time.Second) // as in measureIdle

		nothing := func() {}
		none := b.traffic(t, p, "no connections", nothing)
		began, c := time.Now(), new(connector)
		for p.a.Connections() < manyConnections {
			if time.Since(began) > 10*time.Minute {
				t.Fatalf("the table has only %d connections after 10 minutes", p.a.Connections())
			}
			c.connect(t, p.a.Host, manyConnections-p.a.Connections())
		}
		b.progress("%d connections were made in %.1f s", c.made, time.Since(began).Seconds())
		p.pause(5 * time.Second)
		many := b.traffic(t, p, fmt.Sprintf("%d connections", manyConnections), nothing)
		b.judge("the looks at them", tandem.name, many-none, "% of a core", "what the connections add", report.AtMost(1))
		b.traffic(t, p, fmt.Sprintf("%d connections and %d new ones a second", manyConnections, newConnections), func() {
			c.connect(t, p.a.Host, newConnections/10)
		})
		looks(b, t, p)
	})
}

// traffic reports the processor time of the director while clients do something each tenth of a second. It is the least of some
// short times: while the machine itself is busy, what runs in an emulated processor seems to use more.
func (b *bench) traffic(t *lab.Attempt, p *pair, what string, clients func()) (percent float64) {
	const tick, ticks = time.Second / 10, int(trafficWindow / (time.Second / 10))
	var shares []float64
	for range trafficWindows {
		pids := p.a.Pids()
		before, began := processorTime(t, p.a.Host), time.Now()
		for i := range ticks {
			clients()
			time.Sleep(time.Until(began.Add(time.Duration(i+1) * tick)))
		}
		used := processorTime(t, p.a.Host) - before
		if slices.Equal(pids, p.a.Pids()) {
			shares = append(shares, 100*used.Seconds()/time.Since(began).Seconds())
		}
	}
	if len(shares) < trafficWindows/2 {
		t.Fatalf("%s: the director's processes were replaced again and again: the machine is too busy", what)
	}
	slices.Sort(shares)
	percent = shares[0]
	b.report(what, tandem.name, percent, "% of a core",
		fmt.Sprintf("all its processes; the least of %d × %s, the most is %.2f %%", len(shares), trafficWindow, shares[len(shares)-1]))
	return percent
}

// looks reports what one look at the connections costs. The director makes one a second, or fewer.
func looks(b *bench, t *lab.Attempt, p *pair) {
	var costs []time.Duration
	seen := 0
	err := p.a.Do(func() error {
		var reader kernel.Connections
		for range 21 {
			look, _, cost, err := reader.Look()
			if err != nil {
				return err
			}
			seen, costs = len(look), append(costs, cost)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	slices.Sort(costs)
	b.report("one look", tandem.name, 1000*costs[0].Seconds(), "ms",
		fmt.Sprintf("processor time, the least of %d, the most is %s; it shows %d connections", len(costs), costs[len(costs)-1], seen))
}

// A connector makes connections of ever new clients.
type connector struct{ made int }

// connect makes more connections. The packets leave from the director itself.
func (c *connector) connect(t *lab.Attempt, director *lab.Host, n int) {
	err := director.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		vip := netip.MustParseAddr(lab.VIP)
		to := &unix.SockaddrInet4{Addr: vip.As4()}
		for range n {
			const ports, ethernet, anyone = 50_000, 14, "02:00:00:00:00:01"
			source := netip.AddrPortFrom(nth("10.64.0.0", c.made/ports), uint16(1024+c.made%ports))
			s := lab.Segment{To: anyone, From: anyone, Source: source, Target: netip.AddrPortFrom(vip, 80)}
			for _, s.ACK = range []bool{false, true} {
				if err := unix.Sendto(fd, s.Frame()[ethernet:], 0, to); err != nil {
					return err
				}
			}
			c.made++
		}
		return nil
	})
	if err != nil {
		t.Fatalf("connections of clients: %v", err)
	}
}
