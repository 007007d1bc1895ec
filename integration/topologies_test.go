// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/integration/topology"
)

// A followed is a topology that was set up by the commands that its page prints.
type followed struct{ *topology.Network }

// follow does what the page of a topology says: the set-up, the look at it, and the failover by hand, with a connection that stays
// open.
func follow(t *testing.T, name string, before func(*topology.Network)) *followed {
	t.Helper()
	n := &followed{topology.Build(t, name)}
	if before != nil {
		before(n.Network)
	}
	n.SetUp()
	n.Look()
	open := n.openRequest(t)
	n.FailOver()
	open()
	return n
}

// openRequest connects to the service and sends half a request. The function sends the rest and wants the answer.
func (n *followed) openRequest(t *testing.T) (finish func()) {
	t.Helper()
	var conn net.Conn
	err := n.Client.Do(func() (err error) {
		conn, err = net.DialTimeout("tcp", n.VIP.String(), 5*time.Second)
		return err
	})
	if err == nil {
		_, err = io.WriteString(conn, "GET / HTTP/1.1\r\n")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return func() {
		t.Helper()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, err := io.WriteString(conn, "Host: www\r\nConnection: close\r\n\r\n")
		if err != nil {
			t.Errorf("a connection that was open during the failover: %v", err)
			return
		}
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("a connection that was open during the failover: %+v, %v", resp, err)
		}
	}
}

// isDirector tells whether an address is a director's own. Answers to a director's checks through the VIP go there.
func (n *followed) isDirector(a netip.Addr) bool { return slices.Contains(n.Own, a) }

func (n *followed) vip() string { return n.VIP.Addr().String() }

// wantClean checks that the doctor finds nothing on any machine.
func (n *followed) wantClean() {
	for _, m := range append([]*topology.Machine{n.A, n.B}, n.Webs...) {
		n.wantFindings(m)
	}
}

// wantFindings checks that the doctor finds these and nothing else. It tries again, because a stall of the machine may disturb the
// election for a while.
func (n *followed) wantFindings(m *topology.Machine, want ...string) (all []lab.Finding) {
	n.Eventually(20*time.Second, fmt.Sprintf("the doctor finds %v on %s", want, m.Name), func() error {
		all = m.Doctor()
		var ids []string
		for _, f := range all {
			ids = append(ids, f.ID)
		}
		if !slices.Equal(ids, want) {
			return fmt.Errorf("it finds %+v", all)
		}
		return nil
	})
	return all
}

// wantTurns checks that requests are answered by the web servers in turn.
func (n *followed) wantTurns(t *testing.T) {
	t.Helper()
	var got []string
	for range 6 {
		body, err := n.Client.Get(n.URL())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, body)
	}
	if turn := got[0] + got[1]; got[0] == got[1] || strings.Join(got, "") != turn+turn+turn {
		t.Errorf("six requests were answered by %v, want two servers by turns", got)
	}
}

// wantFailover cuts the master off and checks on the wire that the other director takes over within VRRP's bound: three
// advertisement intervals of 1 s and the skew of priority 100. The client may miss the VIP for this time and one request.
func (n *followed) wantFailover(t *testing.T) {
	t.Helper()
	const every, request = 50 * time.Millisecond, 500 * time.Millisecond // which an emulated machine needs
	bound := n.TakeOver()
	heard := n.B.Capture("eth0", lab.Frame.IsVRRP)
	load := n.Client.Load(n.URL(), every)
	awaitServed(n.Lab, load, time.Now())
	n.A.Cut()
	cut := time.Now()
	n.AwaitMaster(n.B)
	awaitServed(n.Lab, load, time.Now())
	requests := load.Stop()
	stall := longestPause(requests) - every
	last, next := turnOver(heard.Frames(), n.B.MAC())
	took, outage := next.Sub(last), longestSilence(requests, cut)
	n.Logf("%s: taken over %s after the last advertisement, the bound is %s; the client went without an answer for %s, and itself stalled for %s",
		n.Name, took.Round(time.Millisecond), bound.Round(time.Millisecond), outage.Round(time.Millisecond), stall.Round(time.Millisecond))
	// Stalls of the machine are not tandem's fault.
	if took > bound+50*time.Millisecond+stall {
		t.Errorf("the other director took over after %s, want at most %s", took, bound)
	}
	if outage > took+request+stall {
		t.Errorf("the client went without an answer for %s, want at most %s and a request", outage, took)
	}
	n.wantTurns(t)
}

// turnOver returns when the last advertisement came before the first of the host with the hardware address, and that one.
func turnOver(heard []lab.Frame, successor string) (last, next time.Time) {
	for _, f := range heard {
		if f.Source().String() == successor {
			return last, f.When
		}
		last = f.When
	}
	return last, time.Time{}
}

// longestSilence is the longest time between two answers, the second of them after a moment.
func longestSilence(requests []lab.Request, after time.Time) (longest time.Duration) {
	var last time.Time
	for _, r := range requests {
		if r.Err != nil {
			continue
		}
		if !last.IsZero() && r.End.After(after) {
			longest = max(longest, r.End.Sub(last))
		}
		last = r.End
	}
	return longest
}

// longestPause is the longest time between the beginnings of two requests.
func longestPause(requests []lab.Request) time.Duration {
	starts := make([]time.Time, len(requests))
	for i, r := range requests {
		starts[i] = r.Start
	}
	slices.SortFunc(starts, time.Time.Compare)
	longest := time.Duration(0)
	for i := 1; i < len(starts); i++ {
		longest = max(longest, starts[i].Sub(starts[i-1]))
	}
	return longest
}

// An ipFrame is a captured frame of IPv4.
type ipFrame struct{ lab.Frame }

func (f ipFrame) source() netip.Addr { return netip.AddrFrom4([4]byte(f.Data[26:30])) }
func (f ipFrame) target() netip.Addr { return netip.AddrFrom4([4]byte(f.Data[30:34])) }

// wantDirectRouting checks by a capture at the master that requests leave it with changed MAC addresses and no other change,
// and that no answer passes the master.
func (n *followed) wantDirectRouting(t *testing.T, frames []lab.Frame) {
	t.Helper()
	servers := make(map[string]bool)
	for _, w := range n.Webs {
		servers[w.MAC()] = true
	}
	forwarded := 0
	clients := make(map[netip.Addr]bool)
	for _, raw := range frames {
		f := ipFrame{raw}
		switch {
		case f.target().String() == n.vip() && f.Destination().String() == n.A.MAC():
			clients[f.source()] = true
		case f.source().String() == n.vip() && !n.isDirector(f.target()):
			t.Errorf("an answer crossed the director: % x", f.Data[:34])
		case f.target().String() == n.vip() && f.Source().String() == n.A.MAC() && servers[f.Destination().String()] && clients[f.source()]:
			forwarded++
		}
	}
	if forwarded < 6 {
		t.Errorf("%d frames went on to a web server's MAC address with the VIP as their target, want one a request at least", forwarded)
	}
}

func TestTopologyOneSegment(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"one-segment", "arp-filter", "behind-a-router"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := follow(t, name, nil)
			seen := n.A.Capture("eth0", isWeb)
			n.wantTurns(t)
			n.wantDirectRouting(t, seen.Frames())
			asker := n.Client
			if n.Router != nil {
				asker = n.Router
			}
			if who := asker.WhoHas(n.vip()); len(who) != 1 || who[0] != n.A.MAC() {
				t.Errorf("%v answer for the VIP, want lb1 alone, %s", who, n.A.MAC())
			}
			n.wantFailover(t)
		})
	}
}

func TestTopologyOnePublicAddress(t *testing.T) {
	t.Parallel()
	n := follow(t, "one-public-address", nil)
	seen := n.A.Capture("eth0", isWeb)
	n.wantTurns(t)
	n.wantDirectRouting(t, seen.Frames())
	if got := neighbourOf(n.Router.Host, n.vip()); got != n.A.MAC() {
		t.Errorf("the router knows the VIP at %s, want lb1's, %s", got, n.A.MAC())
	}
	n.wantFailover(t)
}

// outsider makes a host whose only cable with an address leads to another switch.
func outsider(t *testing.T, l *lab.Lab, name, sw, addr, gateway string) *lab.Host {
	t.Helper()
	h := l.Host(name)
	h.Join(sw, addr)
	h.Run("ip", "link", "set", "eth0", "down")
	h.Run("ip", "route", "add", "default", "via", gateway)
	return h
}

func TestTopologyTunnel(t *testing.T) {
	t.Parallel()
	n := follow(t, "tunnel", func(n *topology.Network) {
		n.Router.Sysctl(map[string]string{"net.ipv4.conf.all.rp_filter": "1"}) // as distributions set it
	})
	n.wantTunnelFaults(t)
	seen := n.A.Capture("eth0", func(f lab.Frame) bool { return f.EtherType() == 0x0800 && len(f.Data) >= 34 })
	n.wantTurns(t)
	wrapped := 0
	const ipip = 4
	for _, raw := range seen.Frames() {
		f := ipFrame{raw}
		switch {
		case f.source().String() == n.vip() && f.Data[23] == 6 && !n.isDirector(f.target()):
			t.Errorf("an answer crossed the director: % x", f.Data[:34])
		case f.Data[23] == ipip && f.Source().String() == n.A.MAC() && strings.HasPrefix(f.target().String(), "198.51.100."):
			wrapped++
		}
	}
	if wrapped < 6 {
		t.Errorf("%d packets went to a web server in a tunnel, want one a request at least", wrapped)
	}
	n.wantFailover(t)
	n.Undo()
	for _, m := range append(n.Webs, n.A, n.B) {
		if m.Has(n.vip()) {
			t.Errorf("%s has the VIP after the removal", m.Name)
		}
	}
}

// wantSilentCable makes the master's outside cable silent: its carrier stays, and the peer still hears the master on the inside.
// The peer takes over both addresses.
func (n *followed) wantSilentCable(t *testing.T) {
	t.Helper()
	began := time.Now()
	n.A.Isolate()
	n.Eventually(30*time.Second, "the other director serves instead of the one with a silent cable", func() error {
		_, err := n.Client.Get(n.URL())
		return err
	})
	n.Logf("the master's outside cable is silent: served again after %s", time.Since(began).Round(time.Millisecond))
	if n.A.Has("10.0.0.1") || !n.B.Has("10.0.0.1") {
		t.Error("the servers' gateway stayed at the director with a silent cable")
	}
	if s, err := n.A.Director().Status(); err != nil || !strings.Contains(strings.Join(s.Warnings, "\n"), "eth0: no other machine answers there") {
		t.Errorf("the director does not warn of its silent cable: %q, %v", s.Warnings, err)
	}
	n.Eventually(15*time.Second, "the director with a silent cable gives up the address that nobody there can reach", func() error {
		if n.A.Has(n.vip()) {
			return errors.New("it has not")
		}
		return nil
	})
	n.A.Rejoin()
	n.AwaitPair()
	n.wantTurns(t)
}

// wantForwarding checks that the doctor sets what a director of NAT needs, where the page was not followed, and is content then.
func (n *followed) wantForwarding(t *testing.T) {
	t.Helper()
	for _, m := range []*topology.Machine{n.A, n.B} {
		m.Must("sysctl -w net.ipv4.ip_forward=0")
		out, err := m.Shell("tandem doctor --fix")
		if !strings.Contains(out, "fixed forwarding-off") {
			t.Errorf("%s, which did not forward: %v\n%s", m.Name, err, out)
		}
	}
	n.AwaitPair()
	n.wantClean()
}

func TestTopologyNAT(t *testing.T) {
	t.Parallel()
	n := follow(t, "nat", func(n *topology.Network) {
		for _, w := range n.Webs {
			w.Must("ip route add default via 10.0.0.254") // which nobody has
		}
	})
	n.wantForwarding(t)
	n.wantTurns(t)
	n.wantSilentCable(t)
	n.wantFailover(t)
	if !n.B.Has("10.0.0.1") {
		t.Error("the servers' gateway did not follow the master")
	}
	n.Undo()
	for _, w := range n.Webs {
		if route := w.Run("ip", "route", "show", "default"); !strings.Contains(route, "via 10.0.0.254 ") {
			t.Errorf("%s has the default route %q after the removal", w.Name, route)
		}
	}
}
