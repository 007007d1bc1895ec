// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"flag"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/integration/lab/report"
	"github.com/tandem-lvs/tandem/lvs/kernel"
)

// nobody watches for a time that no server is named.
func (s *trafficScene) nobody(t *testing.T, span time.Duration, while string) {
	t.Helper()
	// The director looks at its connections once a second, so a name stays for a second. And each question costs it as much as
	// a hundred looks.
	const pause = 900 * time.Millisecond
	answers := 0
	var last error
	for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(pause) {
		named, err := s.unanswered()
		switch {
		case err != nil: // the emulated machine is overloaded
			last = err
		case len(named) > 0:
			t.Errorf("while %s: named %v", while, named)
			return
		default:
			answers++
		}
	}
	if answers == 0 {
		t.Errorf("while %s: no status: %v", while, last)
	}
}

// falseNames looks for false names, while clients open connections to the first service. The floods come through a cable of their
// own from the router to the director: a switch between them would take a third of what the emulated machine carries.
func (s *trafficScene) falseNames(t *testing.T) {
	to, from, target := s.router.Cable(s.director.Host, floodCable), s.router.MAC(), netip.MustParseAddrPort(lab.VIP+":80")
	var frames [][]byte
	for i := range 1 << 16 {
		source := netip.AddrFrom4([4]byte{100, 64 + byte(i>>13), byte(i >> 5), byte(i)})
		client := netip.AddrPortFrom(source, uint16(1024+i%60000))
		frames = append(frames, lab.Segment{To: to, From: from, Source: client, Target: target}.Frame())
	}
	for _, h := range []*lab.Host{s.good, s.second} {
		// Answers to the flood end here: they would use half of what the emulated machine carries.
		h.Run("ip", "link", "add", "void0", "type", "dummy")
		h.Run("ip", "link", "set", "void0", "up")
		// Through a gateway, because the kernel does not hold that many neighbours.
		h.Run("ip", "route", "add", floodSources, "via", "100.127.255.254", "dev", "void0", "onlink")
		h.ReceiveOn("eth0", 1)
	}
	s.director.ReceiveOn(floodCable, 0)
	s.cost(t)
	for end, round := time.Now().Add(*soak), 1; round == 1 || time.Now().Before(end) && !t.Failed(); round++ {
		s.disturb(t, frames)
		s.Logf("round %d of floods and disturbances is over", round)
	}
	for cookies, rates := range s.floods {
		slices.Sort(rates)
		s.Logf("tcp_syncookies = %s: %d floods, of %.0f to %.0f SYNs a second, in the median %.0f", cookies, len(rates), rates[0],
			rates[len(rates)-1], rates[len(rates)/2])
	}
}

// soak is how long the search for false names lasts. Without it, there is one round of floods and disturbances.
var soak = flag.Duration("soak", 0, "search for false names for this `TIME`")

// disturb expects that nobody is named during floods, with slow and half-open clients and while a server flaps.
func (s *trafficScene) disturb(t *testing.T, frames [][]byte) {
	for _, cookies := range []string{"1", "0"} {
		for _, h := range []*lab.Host{s.good, s.second} {
			h.Sysctl(map[string]string{"net.ipv4.tcp_syncookies": cookies})
		}
		const rate, span = 10_000, 4 * time.Second
		const sent = rate * 115 / 100 // the emulated machine does not keep every millisecond
		rates := make(chan [2]float64)
		go func() {
			defer close(rates) // also if the flood fails
			before, began := s.director.ReceivedIP(), time.Now()
			n := s.router.FloodFrom(floodCable, sent, span, frames)
			took := time.Since(began).Seconds()
			rates <- [2]float64{float64(n) / took, float64(s.director.ReceivedIP()-before) / took}
		}()
		s.nobody(t, span, "a SYN flood runs, tcp_syncookies = "+cookies)
		is := <-rates
		s.floods[cookies] = append(s.floods[cookies], is[0])
		flood := report.AtLeast(rate)
		s.Logf("tcp_syncookies = %s: a flood of %.0f SYNs a second (%s); %.0f packets a second reached the director (%s)",
			cookies, is[0], flood.Judge(is[0]), is[1], flood.Judge(is[1]))
		if *soak > 0 && flood.Missed(is[0]) {
			t.Errorf("a flood of %.0f SYNs a second shows nothing: %s", is[0], flood.Judge(is[0]))
		}
	}
	s.cost(t)
	s.router.Impair("delay", "200ms", "150ms", "loss", "10%")
	defer s.router.Impair()
	s.router.FloodFrom(floodCable, 1000, 400*time.Millisecond, frames[:400])
	for range 2 {
		s.web80()
		s.nobody(t, 2500*time.Millisecond, "a server flaps, and clients are slow, lose packets or are half open")
		s.web80 = s.listen(s.second, ":80")
		s.nobody(t, 2*time.Second, "a server flaps, and clients are slow, lose packets or are half open")
	}
}

// cost prints what a look at the connections costs, with the table as it is now. There is at most one a second.
func (s *trafficScene) cost(t *testing.T) {
	t.Helper()
	const looks = 5
	rows, seen, sum := s.director.Connections(), 0, time.Duration(0)
	do(s.Lab, s.director.Host, func() (err error) {
		var reader kernel.Connections
		for range looks {
			look, _, cost, lookErr := reader.Look()
			seen, sum, err = len(look), sum+cost, errors.Join(err, lookErr)
		}
		return err
	})
	s.Logf("%d connections in the table: a look shows %d TCP connections of clients and takes %.1f ms of an emulated processor",
		rows, seen, float64(sum.Microseconds())/1000/looks)
}
