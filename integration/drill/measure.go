// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// askEvery is the time between two questions, and the error of an outage. An emulated machine has no time for more.
const askEvery = 5 * time.Millisecond

// patience is how long the drill waits for the end of an outage.
func patience() time.Duration { return 10*time.Second + 10*advert }

// settled is how long an outage may begin after a fault, unless the row says otherwise: the backup waits for its
// master-down interval, and then takes its first steps as master.
func settled() time.Duration { return masterDown() + 300*time.Millisecond }

// outage runs the fault while a client asks the VIP by UDP, and returns the longest time without answers.
func outage(over func(*site)) func(*site, func(*site)) figure {
	return func(s *site, fault func(*site)) figure {
		probe := s.client.ProbeEvery(lab.VIP+":7", askEvery)
		if !answered(probe) {
			s.attempt.Fatalf("the VIP did not answer before the fault")
		}
		fault(s)
		if over == nil {
			s.pause(settled())
		} else {
			over(s)
		}
		ended := answered(probe)
		o := probe.Stop()
		return figure{Outage: o.Longest, Open: !ended, Stall: o.Gap - askEvery,
			Note: fmt.Sprintf("%d of %d questions unanswered", o.Lost, o.Sent)}
	}
}

// answered waits until the VIP answers again.
func answered(probe *lab.Prober) bool {
	for end := time.Now().Add(patience()); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if probe.Answered(40) >= 36 {
			return true
		}
	}
	return false
}

// fromNothing runs a fault that begins a service which is not there yet, and returns the time until it answers.
func fromNothing(s *site, fault func(*site)) figure {
	probe := s.client.ProbeEvery(lab.VIP+":7", askEvery)
	fault(s)
	ended := answered(probe)
	o := probe.Stop()
	return figure{Outage: o.Longest, Open: !ended}
}

// servedAfter runs the fault, waits, and counts the clients that get a page.
func servedAfter(wait time.Duration, body string) func(*site, func(*site)) figure {
	return func(s *site, fault func(*site)) figure {
		fault(s)
		s.pause(wait)
		return s.count(func(int) error { return s.page(body) })
	}
}

// page asks for the page, whose text must begin with a body.
func (s *site) page(body string) error {
	text, err := s.client.Get("http://" + lab.VIP + "/")
	if err == nil && !strings.HasPrefix(text, body) {
		err = fmt.Errorf("%q answers, want %s", text, body)
	}
	return err
}

// servedThroughout counts the clients of 40 that get a page from the moment of the fault on, one every 100 ms.
func servedThroughout(body string) func(*site, func(*site)) figure {
	return func(s *site, fault func(*site)) figure {
		var done sync.WaitGroup
		done.Go(func() { s.attempt.Keep(func() { fault(s) }) })
		errs := make([]error, clients)
		for i := range clients {
			done.Go(func() { errs[i] = s.page(body) })
			s.pause(100 * time.Millisecond)
		}
		done.Wait()
		return tally(errs)
	}
}

// count has 40 clients ask at the same time, and counts those who are served.
func (s *site) count(ask func(client int) error) figure {
	var done sync.WaitGroup
	errs := make([]error, clients)
	for i := range clients {
		done.Go(func() { errs[i] = ask(i) })
	}
	done.Wait()
	return tally(errs)
}

// tally counts the clients without an error.
func tally(errs []error) figure {
	n, note := 0, ""
	for _, err := range errs {
		if err == nil {
			n++
		} else {
			note = err.Error()
		}
	}
	return figure{Served: &n, Note: note}
}

// clientAddresses are those of the client's host. Before pools each of the 40 clients has its own.
func clientAddresses(n network) []string {
	all := []string{"192.0.2.1/24"}
	for i := 0; n == pools && i < clients; i++ {
		all = append(all, fmt.Sprintf("192.0.2.%d/24", 151+i))
	}
	return all
}

// A caller is the socket of one client.
type caller struct {
	conn   net.Conn
	server string // that answered last
}

// callLimit is how long an answer may take. It covers the second attempt of TCP.
const callLimit = 3 * time.Second

func (v service) address() string { return net.JoinHostPort(lab.VIP, strconv.Itoa(v.port)) }

// call connects a client to a service of pools.
func (s *site) call(v service, client int) (c *caller, err error) {
	local := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(151 + client)}), 0)
	d := net.Dialer{Timeout: callLimit, LocalAddr: net.TCPAddrFromAddrPort(local)}
	if v.protocol == "udp" {
		d.LocalAddr = net.UDPAddrFromAddrPort(local)
	}
	c = &caller{}
	err = s.client.Do(func() (err error) {
		c.conn, err = d.Dial(v.protocol, v.address())
		return err
	})
	return c, err
}

// ask asks for the server's name.
func (c *caller) ask() error {
	if err := c.conn.SetDeadline(time.Now().Add(callLimit)); err != nil {
		return err
	}
	if _, err := c.conn.Write([]byte("?")); err != nil {
		return err
	}
	var buf [32]byte
	n, err := c.conn.Read(buf[:])
	c.server = string(buf[:n])
	return err
}

// close ends a conversation by a reset, which the kernel forgets soon.
func (c *caller) close() {
	if c.conn == nil {
		return
	}
	if conn, ok := c.conn.(*net.TCPConn); ok {
		_ = conn.SetLinger(0)
	}
	_ = c.conn.Close()
}

// answerCalls says the host's name to each question at the services of pools, until the site ends.
func answerCalls(s *site, h *lab.Host) {
	var running sync.WaitGroup
	var open []interface{ Close() error }
	err := h.Do(func() error {
		for _, v := range poolServices {
			address := v.address()
			if v.protocol == "udp" {
				l, err := net.ListenPacket("udp4", address)
				if err != nil {
					return err
				}
				open = append(open, l)
				running.Go(func() { answerDatagrams(l, h.Name) })
				continue
			}
			l, err := net.Listen("tcp4", address)
			if err != nil {
				return err
			}
			open = append(open, l)
			running.Go(func() { answerConnections(l, h.Name) })
		}
		return nil
	})
	s.attempt.Cleanup(func() {
		for _, l := range open {
			_ = l.Close()
		}
		running.Wait()
	})
	if err != nil {
		s.attempt.Fatalf("failed to answer on %s: %v", h.Name, err)
	}
}

func answerDatagrams(l net.PacketConn, name string) {
	var buf [32]byte
	for {
		_, from, err := l.ReadFrom(buf[:])
		if err != nil {
			return
		}
		_, _ = l.WriteTo([]byte(name), from)
	}
}

func answerConnections(l net.Listener, name string) {
	var open sync.WaitGroup
	defer open.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		open.Go(func() {
			defer conn.Close()
			var buf [32]byte
			for {
				// A client that is gone without a word does not keep the drill from ending.
				_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
				if _, err := conn.Read(buf[:]); err != nil {
					return
				}
				if _, err := conn.Write([]byte(name)); err != nil {
					return
				}
			}
		})
	}
}

// setClock moves the machine's wall clock.
func setClock(by time.Duration) error {
	ts := unix.NsecToTimespec(time.Now().Add(by).UnixNano())
	return unix.ClockSettime(unix.CLOCK_REALTIME, &ts)
}
