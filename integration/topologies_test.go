// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/integration/lab"
)

// A topology is a network that is set up by its shipped files.
type topology struct {
	*lab.Lab
	name   string
	vip    string
	client *lab.Host
	a, b   *lab.Director
	own    []netip.Addr // of the directors
	webs   []*lab.Host
}

// isDirector tells whether an address is a director's own. Answers to a director's checks through the VIP go there.
func (n *topology) isDirector(a netip.Addr) bool { return slices.Contains(n.own, a) }

func newTopology(t *testing.T, name, vip string) *topology {
	return &topology{Lab: lab.New(t), name: name, vip: vip}
}

func (n *topology) file(t *testing.T, name string) string {
	t.Helper()
	text, err := fs.ReadFile(configs.Shipped, "topologies/"+n.name+"/"+name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// directors makes the pair with its shipped files.
func (n *topology) directors(t *testing.T, addrA, addrB string) {
	t.Helper()
	for _, addr := range []string{addrA, addrB} {
		n.own = append(n.own, netip.MustParsePrefix(addr).Addr())
	}
	n.a = n.Director("director-a", addrA, n.file(t, "director-a.toml"))
	n.b = n.Director("director-b", addrB, n.file(t, "director-b.toml"))
}

// sysctls makes the settings of a shipped file of sysctl.d on a host.
func (n *topology) sysctls(t *testing.T, h *lab.Host, name string) {
	t.Helper()
	values := make(map[string]string)
	for line := range strings.Lines(n.file(t, name)) {
		if key, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			values[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	h.Sysctl(values)
}

// web makes a web server, and prepares it with the shipped file.
func (n *topology) web(t *testing.T, h *lab.Host) {
	t.Helper()
	realServer(t, h, "apply", "-c", h.WriteFile("tandem.toml", n.file(t, "realserver.toml")))
	h.HTTPServer(h.Name)
	n.webs = append(n.webs, h)
}

// launch starts the pair and waits until A is master alone and both have all servers in use.
func (n *topology) launch() {
	n.a.Launch()
	n.b.Launch()
	n.awaitMaster(n.a, n.b)
	for _, d := range []*lab.Director{n.a, n.b} {
		n.Eventually(20*time.Second, "all servers of "+d.Name+" are in use", func() error {
			weights := d.Weights()
			maps.DeleteFunc(weights, func(server string, _ int) bool { return !strings.HasPrefix(server, "tcp ") }) // those of probes
			if len(weights) != 2 || slices.Contains(values(weights), 0) {
				return fmt.Errorf("weights %v", weights)
			}
			return nil
		})
	}
}

// wantClean checks that the doctor finds nothing on any machine.
func (n *topology) wantClean(t *testing.T) {
	t.Helper()
	hosts := n.directorsToExamine()
	for _, w := range n.webs {
		hosts = append(hosts, examined{w, filepath.Join(w.Dir(), "tandem.toml")})
	}
	n.wantFindings(hosts)
}

// An examined host is a machine that the doctor examines, with its configuration.
type examined struct {
	*lab.Host
	file string
}

func (n *topology) directorsToExamine() []examined {
	return []examined{{n.a.Host, n.a.File}, {n.b.Host, n.b.File}}
}

// wantFindings checks that the doctor finds these and nothing else on each machine. All machines are examined at the same time. It
// tries again, because a stall of the machine may disturb the election for a while.
func (n *topology) wantFindings(hosts []examined, want ...string) (found map[string][]lab.Finding) {
	n.Eventually(20*time.Second, fmt.Sprintf("the doctor finds %v on each machine", want), func() error {
		found = make(map[string][]lab.Finding)
		doctors := make([]lab.Doctor, len(hosts))
		for i, p := range hosts {
			doctors[i] = p.StartDoctor("-c", p.file)
		}
		var wrong []error
		for i, p := range hosts {
			all, _ := doctors[i].Findings()
			var ids []string
			for _, f := range all {
				ids = append(ids, f.ID)
			}
			if !slices.Equal(ids, want) {
				wrong = append(wrong, fmt.Errorf("on %s it finds %+v", p.Name, all))
			}
			found[p.Name] = all
		}
		return errors.Join(wrong...)
	})
	return found
}

func values(m map[string]int) (all []int) {
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

func (n *topology) awaitMaster(d, other *lab.Director) {
	n.Eventually(30*time.Second, d.Name+" is master", func() error {
		if !d.Has(n.vip) || d.State() != "master" {
			return fmt.Errorf("it is %q, has the VIP: %t, the other has it: %t", d.State(), d.Has(n.vip), other.Has(n.vip))
		}
		return nil
	})
}

func (n *topology) url() string { return "http://" + n.vip + "/" }

// wantTurns checks that requests are answered by the web servers in turn.
func (n *topology) wantTurns(t *testing.T) {
	t.Helper()
	var got []string
	for range 6 {
		body, err := n.client.Get(n.url())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, body)
	}
	if turn := got[0] + got[1]; got[0] == got[1] || strings.Join(got, "") != turn+turn+turn {
		t.Errorf("six requests were answered by %v, want two servers by turns", got)
		for _, d := range []*lab.Director{n.a, n.b} {
			t.Logf("%s's connections:\n%s", d.Name, d.Run("cat", "/proc/net/ip_vs_conn"))
		}
	}
}

// wantFailover cuts the master off and checks on the wire that the other director takes over within VRRP's bound: three
// advertisement intervals of 1 s and the skew of priority 100. The client may miss the VIP for this time and one request.
func (n *topology) wantFailover(t *testing.T) {
	t.Helper()
	const every, request = 50 * time.Millisecond, 500 * time.Millisecond // which an emulated machine needs
	bound := 3*time.Second + (256-lab.PriorityB)*time.Second/256
	heard := n.b.Capture("eth0", lab.Frame.IsVRRP)
	load := n.client.Load(n.url(), every)
	awaitServed(n.Lab, load, time.Now())
	n.a.Cut()
	cut := time.Now()
	n.awaitMaster(n.b, n.a)
	awaitServed(n.Lab, load, time.Now())
	requests := load.Stop()
	stall := longestPause(requests) - every
	last, next := turnOver(heard.Frames(), n.b.MAC())
	took, outage := next.Sub(last), longestSilence(requests, cut)
	n.Logf("%s: taken over %s after the last advertisement, the bound is %s; the client went without an answer for %s, and itself stalled for %s",
		n.name, took.Round(time.Millisecond), bound.Round(time.Millisecond), outage.Round(time.Millisecond), stall.Round(time.Millisecond))
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
func (n *topology) wantDirectRouting(t *testing.T, frames []lab.Frame) {
	t.Helper()
	servers := make(map[string]bool)
	for _, w := range n.webs {
		servers[w.MAC()] = true
	}
	forwarded := 0
	clients := make(map[netip.Addr]bool)
	for _, raw := range frames {
		f := ipFrame{raw}
		switch {
		case f.target().String() == n.vip && f.Destination().String() == n.a.MAC():
			clients[f.source()] = true
		case f.source().String() == n.vip && !n.isDirector(f.target()):
			t.Errorf("an answer crossed the director: % x", f.Data[:34])
		case f.target().String() == n.vip && f.Source().String() == n.a.MAC() && servers[f.Destination().String()] && clients[f.source()]:
			forwarded++
		}
	}
	if forwarded < 6 {
		t.Errorf("%d frames went on to a web server's MAC address with the VIP as their target, want one a request at least", forwarded)
	}
}

// oneSegment makes the network that two of the topologies are.
func oneSegment(t *testing.T, name string) *topology {
	n := newTopology(t, name, "192.168.73.100")
	n.client = n.Host("client", "192.168.73.200/24")
	n.directors(t, "192.168.73.88/24", "192.168.73.89/24")
	n.web(t, n.Host("web1", "192.168.73.188/24"))
	n.web(t, n.Host("web2", "192.168.73.166/24"))
	return n
}

func TestTopologyOneSegment(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"one-segment", "arp-filter"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := oneSegment(t, name)
			n.launch()
			n.wantClean(t)
			seen := n.a.Capture("eth0", isWeb)
			n.wantTurns(t)
			n.wantDirectRouting(t, seen.Frames())
			if who := n.client.WhoHas(n.vip); len(who) != 1 || who[0] != n.a.MAC() {
				t.Errorf("%v answer for the VIP, want director-a alone, %s", who, n.a.MAC())
			}
			n.wantFailover(t)
		})
	}
}

func TestTopologyOnePublicAddress(t *testing.T) {
	t.Parallel()
	n := newTopology(t, "one-public-address", "172.10.0.9")
	router := n.Host("router", "172.10.0.1/24", "192.168.60.1/24")
	router.Join("outside", "10.10.0.1/16")
	n.sysctls(t, router, "router-sysctl.conf")
	n.client = outsider(t, n.Lab, "client", "outside", "10.10.0.2/16", "10.10.0.1")
	n.directors(t, "192.168.60.4/24", "192.168.60.5/24")
	for i, name := range []string{"web1", "web2"} {
		h := n.Host(name, fmt.Sprintf("192.168.60.%d/24", 8+i))
		h.Run("ip", "route", "add", "default", "via", "192.168.60.1")
		n.web(t, h)
	}
	for _, d := range []*lab.Director{n.a, n.b} {
		d.Run("ip", "route", "add", "default", "via", "192.168.60.1")
	}
	n.launch()
	n.wantClean(t)
	seen := n.a.Capture("eth0", isWeb)
	n.wantTurns(t)
	n.wantDirectRouting(t, seen.Frames())
	if got := neighbourOf(router, n.vip); got != n.a.MAC() {
		t.Errorf("the router knows the VIP at %s, want director-a's, %s", got, n.a.MAC())
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

// newTunnels makes the topology of tunnels, without its directors' programs: the real servers are behind a router.
func newTunnels(t *testing.T) (n *topology, router *lab.Host) {
	n = newTopology(t, "tunnel", "192.0.2.100")
	router = n.Host("router", "192.0.2.254/24")
	router.Join("farm", "198.51.100.254/24")
	router.Sysctl(map[string]string{"net.ipv4.conf.all.rp_filter": "1"}) // as distributions set it
	n.sysctls(t, router, "router-sysctl.conf")
	n.client = n.Host("client", "192.0.2.1/24")
	n.directors(t, "192.0.2.2/24", "192.0.2.3/24")
	for _, d := range []*lab.Director{n.a, n.b} {
		d.Run("ip", "route", "add", "198.51.100.0/24", "via", "192.0.2.254")
	}
	for i, name := range []string{"web1", "web2"} {
		n.web(t, outsider(t, n.Lab, name, "farm", fmt.Sprintf("198.51.100.%d/24", 11+i), "198.51.100.254"))
	}
	return n, router
}

func TestTopologyTunnel(t *testing.T) {
	t.Parallel()
	n, _ := newTunnels(t)
	n.launch()
	n.wantClean(t)
	seen := n.a.Capture("eth0", func(f lab.Frame) bool { return f.EtherType() == 0x0800 && len(f.Data) >= 34 })
	n.wantTurns(t)
	wrapped := 0
	const ipip = 4
	for _, raw := range seen.Frames() {
		f := ipFrame{raw}
		switch {
		case f.source().String() == n.vip && f.Data[23] == 6 && !n.isDirector(f.target()):
			t.Errorf("an answer crossed the director: % x", f.Data[:34])
		case f.Data[23] == ipip && f.Source().String() == n.a.MAC() && strings.HasPrefix(f.target().String(), "198.51.100."):
			wrapped++
		}
	}
	if wrapped < 6 {
		t.Errorf("%d packets went to a web server in a tunnel, want one a request at least", wrapped)
	}
	n.wantFailover(t)
	for _, w := range n.webs {
		realServer(t, w, "remove")
		if w.Has(n.vip) {
			t.Errorf("%s has the VIP after the removal", w.Name)
		}
	}
}
