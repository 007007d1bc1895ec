// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/lvs/kernel"
)

// A way is one combination of method, family, protocol and scheduler: a service, and its row in the table.
type way struct {
	name    string
	address string   // that the client connects to
	config  string   // further keys of the service
	servers []string // tables of servers
	row     string   // of ipvsadm -Ln, up to the first server

	protocol string // tcp unless given
	mark     uint32 // on the packets to the address
}

// in returns the same way by another protocol.
func (w way) in(protocol string) way {
	w.name += "-" + protocol
	w.config += fmt.Sprintf("\nprotocol = %q", protocol)
	w.row = strings.Replace(w.row, "TCP", strings.ToUpper(protocol), 1)
	w.protocol = protocol
	return w
}

// The servers of the usual service.
var bothWebs = []string{`address = "192.0.2.11"`, `address = "192.0.2.12"`}

// ways returns the methods, families and marks, and DR by every scheduler that the kernel has.
func ways(t *testing.T) []way {
	t.Helper()
	schedulers, err := kernel.AvailableSchedulers()
	if err != nil || len(schedulers) < 10 {
		t.Fatalf("the kernel's schedulers: %v, %v", schedulers, err)
	}
	var all []way
	for i, s := range schedulers {
		address := fmt.Sprintf("192.0.2.%d:2000", 120+i)
		all = append(all, way{name: "dr-" + s, address: address, config: fmt.Sprintf("scheduler = %q", s),
			servers: bothWebs, row: "TCP " + address + " " + s})
	}
	tunnel := func(name, address, keys string) way {
		return way{name: name, address: address, config: "scheduler = \"rr\"\nmethod = \"tunnel\"\n" + keys, servers: bothWebs,
			row: "TCP " + address + " rr\n  -> 192.0.2.11:2000 Tunnel 1"}
	}
	dr := func(address string) way {
		return way{name: "dr", address: address, config: `scheduler = "rr"`, servers: bothWebs,
			row: "TCP " + address + " rr\n  -> 192.0.2.11:2000 Route 1"}
	}
	nat := func(address string) way {
		return way{name: "nat", address: address, config: "scheduler = \"rr\"\nmethod = \"nat\"",
			servers: []string{`address = "10.0.0.11", port = 2000`}, row: "TCP " + address + " rr\n  -> 10.0.0.11:2000 Masq 1"}
	}
	all = append(all,
		tunnel("ipip", "192.0.2.150:2000", ""),
		tunnel("gre", "192.0.2.151:2000", `tunnel = { type = "gre" }`),
		tunnel("gue", "192.0.2.152:2000", `tunnel = { type = "gue", port = 6080 }`),
		nat("192.0.2.153:80"),
		way{name: "mixed", address: "192.0.2.154:2000", config: `scheduler = "rr"`,
			servers: []string{bothWebs[0], `address = "192.0.2.12", method = "tunnel"`, `address = "10.0.0.11", method = "nat"`},
			row:     "TCP 192.0.2.154:2000 rr\n  -> 192.0.2.11:2000 Route 1\n  -> 192.0.2.12:2000 Tunnel 1\n  -> 10.0.0.11:2000 Masq 1"},
		way{name: "mark", address: "192.0.2.155:2000", config: `scheduler = "rr"`, servers: bothWebs, mark: 1,
			row: "FWM 1 rr\n  -> 192.0.2.11:0 Route 1"},
		way{name: "all-ports", address: "192.0.2.163:2000", config: "scheduler = \"wlc\"\npersistence = {}", servers: bothWebs,
			row: "TCP 192.0.2.163:0 wlc persistent 300\n  -> 192.0.2.11:0 Route 1"},
	)
	for i, protocol := range []string{"udp", "sctp"} {
		all = append(all,
			dr(fmt.Sprintf("192.0.2.%d:2000", 156+i)).in(protocol),
			nat(fmt.Sprintf("192.0.2.%d:80", 158+i)).in(protocol),
			tunnel("ipip", fmt.Sprintf("192.0.2.%d:2000", 160+i), "").in(protocol))
	}
	return append(all, waysOfIPv6()...)
}

// waysOfIPv6 are methods, protocols and the mark in the other family.
func waysOfIPv6() []way {
	webs := []string{`address = "2001:db8::11"`, `address = "2001:db8::12"`}
	six := func(name, address, keys, row string) way {
		return way{name: name + "-ipv6", address: address, config: "scheduler = \"rr\"\n" + keys, servers: webs,
			row: "TCP " + address + " rr\n  -> " + row}
	}
	nat := six("nat", "[2001:db8::102]:80", `method = "nat"`, "[fd00::11]:2000 Masq 1")
	nat.servers = []string{`address = "fd00::11", port = 2000`}
	mark := six("mark", "[2001:db8::103]:2000", "", "")
	mark.mark, mark.row = 2, "FWM 2 IPv6 rr\n  -> [2001:db8::11]:0 Route 1"
	const direct = "[2001:db8::11]:2000 Route 1"
	return []way{
		nat, mark,
		six("dr", "[2001:db8::100]:2000", "", direct),
		six("ipip", "[2001:db8::101]:2000", `method = "tunnel"`, "[2001:db8::11]:2000 Tunnel 1"),
		six("dr", "[2001:db8::104]:2000", "", direct).in("udp"),
		six("dr", "[2001:db8::105]:2000", "", direct).in("sctp"),
	}
}

// TestEveryWay: every forwarding method, address family, protocol, scheduler of the kernel, and a firewall mark pass traffic.
// ipvsadm shows each of them as configured.
func TestEveryWay(t *testing.T) {
	t.Parallel()
	all := ways(t)
	l := lab.New(t)
	client := l.Host("client", "192.0.2.1/24", "2001:db8::1/64")
	director := l.Director("director", "192.0.2.2/24", configured(all))
	stageWays(t, l, director, all)
	director.Launch()
	l.Eventually(30*time.Second, "the table is complete", func() error {
		table := director.Table()
		for _, w := range all {
			if !strings.Contains(table, w.row) {
				return fmt.Errorf("it does not show %q:\n%s", w.row, table)
			}
		}
		return nil
	})
	for _, w := range all {
		answered := map[string]bool{}
		for range 2 * len(w.servers) {
			server, err := askName(client, cmp.Or(w.protocol, "tcp"), w.address)
			if err != nil {
				t.Errorf("%s: %v", w.name, err)
				break
			}
			answered[server] = true
		}
		if all := len(answered) == len(w.servers); !all && strings.Contains(w.config, `"rr"`) {
			t.Errorf("%s: answered by %v, want all of its %d servers by turns", w.name, answered, len(w.servers))
		}
	}
	l.Logf("%d ways; ipvsadm -Ln:\n%s", len(all), director.Table())
}

// configured returns the configuration of a director with services for all ways.
func configured(all []way) string {
	var config strings.Builder
	fmt.Fprintf(&config, "name = \"director\"\n")
	for _, w := range all {
		virtual := fmt.Sprintf("%q", w.address)
		switch {
		case strings.Contains(w.config, "persistence"):
			virtual = strings.Replace(virtual, ":2000", ":0", 1)
		case w.mark != 0 && strings.HasPrefix(w.address, "["):
			virtual = fmt.Sprintf("{ fwmark = %d, family = \"ipv6\" }", w.mark)
		case w.mark != 0:
			virtual = fmt.Sprintf("{ fwmark = %d }", w.mark)
		}
		fmt.Fprintf(&config, "[[service]]\nname = %q\nvirtual = %s\n%s\nserver = [{ %s }]\n", w.name, virtual, w.config, strings.Join(w.servers, " }, { "))
	}
	return config.String()
}

// stageWays gives the director the addresses of all ways, and makes two servers beside it and one in a network behind it.
func stageWays(t *testing.T, l *lab.Lab, director *lab.Director, all []way) {
	t.Helper()
	director.Run("ip", "addr", "add", "2001:db8::2/64", "dev", "eth0", "nodad")
	director.Join("inner", "10.0.0.1/24", "fd00::1/64")
	inner := l.Host("web3")
	inner.Join("inner", "10.0.0.11/24", "fd00::11/64")
	inner.Run("ip", "route", "add", "default", "via", "10.0.0.1")
	inner.Run("ip", "-6", "route", "add", "default", "via", "fd00::1")
	director.Sysctl(map[string]string{"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"})

	webs := []*lab.Host{inner}
	for i := 1; i <= 2; i++ {
		webs = append(webs, l.Host(fmt.Sprintf("web%d", i), fmt.Sprintf("192.0.2.1%d/24", i), fmt.Sprintf("2001:db8::1%d/64", i)))
		unwrap(webs[i])
	}
	var vips []string
	for _, w := range all {
		to := netip.MustParseAddrPort(w.address)
		vips = append(vips, to.Addr().String())
		// The address is as on a master: the director must not use it as the source of its own packets, for example of
		// tunnels.
		director.Run("ip", "addr", "add", to.Addr().String(), "dev", "eth0", "nodad", "preferred_lft", "0")
		if w.mark != 0 {
			if err := director.Do(func() error { return mark(to.Addr(), w.mark) }); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, web := range webs[1:] {
		web.RealServer(vips...)
	}
	for _, web := range webs {
		serveLines(t, web)
	}
	for _, w := range all {
		switch to := netip.MustParseAddrPort(w.address); {
		case w.protocol == "":
		case to.Port() == 80:
			serveName(t, inner, w.protocol, "10.0.0.11:2000")
		default:
			serveName(t, webs[1], w.protocol, w.address)
			serveName(t, webs[2], w.protocol, w.address)
		}
	}
}

// unwrap makes a real server accept packets from tunnels of every kind.
func unwrap(h *lab.Host) {
	for _, module := range []string{"ipip", "ip_gre", "fou", "ip6_tunnel"} {
		h.Run("modprobe", module)
	}
	for _, dev := range []string{"tunl0", "gre0"} {
		h.Run("ip", "link", "set", dev, "up")
		h.Sysctl(map[string]string{"net.ipv4.conf." + dev + ".rp_filter": "0"})
	}
	h.Run("ip", "link", "set", "ip6tnl0", "up")
	h.Sysctl(map[string]string{"net.ipv4.conf.all.rp_filter": "0"})
	h.Run("ip", "fou", "add", "port", "6080", "gue")
}

// mark makes the kernel mark the packets to an address, in this thread's namespace.
func mark(to netip.Addr, mark uint32) error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	// The destination in the header.
	family, offset := nftables.TableFamilyIPv4, uint32(16)
	if to.Is6() {
		family, offset = nftables.TableFamilyIPv6, 24
	}
	table := conn.AddTable(&nftables.Table{Family: family, Name: "lab"})
	chain := conn.AddChain(&nftables.Chain{
		Name: "mark", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityFilter,
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(to.BitLen() / 8)},
		&expr.Cmp{Register: 1, Op: expr.CmpOpEq, Data: to.AsSlice()},
		&expr.Immediate{Register: 1, Data: binary.NativeEndian.AppendUint32(nil, mark)},
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1, SourceRegister: true},
	}})
	return conn.Flush()
}
