// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/lvs"
)

// A way is a service that traffic passes, and how that shows.
type way struct {
	name    string
	address string   // that the client connects to
	config  string   // further keys of the service
	servers []string // tables of servers
	row     string   // of ipvsadm -Ln, up to the first server
}

// The servers of the usual service.
var bothWebs = []string{`address = "192.0.2.11"`, `address = "192.0.2.12"`}

// ways are the methods, families and marks, and DR by every scheduler that the kernel has.
func ways(t *testing.T) []way {
	t.Helper()
	schedulers, err := lvs.AvailableSchedulers()
	if err != nil || len(schedulers) < 10 {
		t.Fatalf("the kernel's schedulers: %v, %v", schedulers, err)
	}
	var all []way
	for i, s := range schedulers {
		address := fmt.Sprintf("192.0.2.%d:2000", 120+i)
		all = append(all, way{"dr-" + s, address, fmt.Sprintf("scheduler = %q", s), bothWebs, "TCP " + address + " " + s})
	}
	tunnel := func(name, address, keys string) way {
		return way{name, address, "scheduler = \"rr\"\nmethod = \"tunnel\"\n" + keys, bothWebs,
			"TCP " + address + " rr\n  -> 192.0.2.11:2000 Tunnel 1"}
	}
	return append(all,
		tunnel("ipip", "192.0.2.150:2000", ""),
		tunnel("gre", "192.0.2.151:2000", `tunnel = { type = "gre" }`),
		tunnel("gue", "192.0.2.152:2000", `tunnel = { type = "gue", port = 6080 }`),
		way{"nat", "192.0.2.153:80", "scheduler = \"rr\"\nmethod = \"nat\"", []string{`address = "10.0.0.11", port = 2000`},
			"TCP 192.0.2.153:80 rr\n  -> 10.0.0.11:2000 Masq 1"},
		way{"mixed", "192.0.2.154:2000", `scheduler = "rr"`,
			[]string{bothWebs[0], `address = "192.0.2.12", method = "tunnel"`, `address = "10.0.0.11", method = "nat"`},
			"TCP 192.0.2.154:2000 rr\n  -> 192.0.2.11:2000 Route 1\n  -> 192.0.2.12:2000 Tunnel 1\n  -> 10.0.0.11:2000 Masq 1"},
		way{"ipv6", "[2001:db8::100]:2000", `scheduler = "rr"`, []string{`address = "2001:db8::11"`, `address = "2001:db8::12"`},
			"TCP [2001:db8::100]:2000 rr\n  -> [2001:db8::11]:2000 Route 1"},
		way{"mark", "192.0.2.155:2000", `scheduler = "rr"`, bothWebs, "FWM 1 rr\n  -> 192.0.2.11:0 Route 1"},
	)
}

// TestEveryWay: each forwarding method, family, scheduler that the kernel has, and a firewall mark carry traffic, and
// stand in the kernel's table as ipvsadm prints it.
func TestEveryWay(t *testing.T) {
	all := ways(t)
	var config strings.Builder
	fmt.Fprintf(&config, "name = \"director\"\n")
	var vips []string
	for _, w := range all {
		virtual := fmt.Sprintf("%q", w.address)
		if w.name == "mark" {
			virtual = "{ fwmark = 1 }"
		}
		host, _, err := net.SplitHostPort(w.address)
		if err != nil {
			t.Fatal(err)
		}
		vips = append(vips, host)
		fmt.Fprintf(&config, "[[service]]\nname = %q\nvirtual = %s\n%s\nserver = [{ %s }]\n", w.name, virtual, w.config, strings.Join(w.servers, " }, { "))
	}
	l := lab.New(t)
	client := l.Host("client", "192.0.2.1/24", "2001:db8::1/64")
	director := l.Director("director", "192.0.2.2/24", config.String())
	director.Join("inner", "10.0.0.1/24")
	director.Run("ip", "addr", "add", "2001:db8::2/64", "dev", "eth0", "nodad")
	director.Sysctl(map[string]string{"net.ipv4.ip_forward": "1"})
	if err := director.Do(func() error { return mark(netip.MustParseAddr("192.0.2.155"), 1) }); err != nil {
		t.Fatal(err)
	}
	for _, v := range vips {
		director.Run("ip", "addr", "add", v, "dev", "eth0")
	}
	for i := 1; i <= 2; i++ {
		web := l.Host(fmt.Sprintf("web%d", i), fmt.Sprintf("192.0.2.1%d/24", i), fmt.Sprintf("2001:db8::1%d/64", i))
		web.RealServer(vips...)
		unwrap(web)
		serveLines(t, web)
	}
	inner := l.Host("web3")
	inner.Join("inner", "10.0.0.11/24")
	inner.Run("ip", "route", "add", "default", "via", "10.0.0.1")
	serveLines(t, inner)

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
			line, err := dialLineAt(client, w.address)
			if err != nil {
				t.Errorf("%s: %v", w.name, err)
				break
			}
			if err := line.ask("a line"); err != nil {
				t.Errorf("%s: %v", w.name, err)
			}
			answered[line.server] = true
			_ = line.conn.Close()
		}
		if all := len(answered) == len(w.servers); !all && strings.Contains(w.config, `"rr"`) {
			t.Errorf("%s: answered by %v, want all of its %d servers by turns", w.name, answered, len(w.servers))
		}
	}
	l.Logf("%d ways; ipvsadm -Ln:\n%s", len(all), director.Table())
}

// unwrap makes a real server take packets out of tunnels of every kind.
func unwrap(h *lab.Host) {
	for _, module := range []string{"ipip", "ip_gre", "fou"} {
		h.Run("modprobe", module)
	}
	for _, dev := range []string{"tunl0", "gre0"} {
		h.Run("ip", "link", "set", dev, "up")
		h.Sysctl(map[string]string{"net.ipv4.conf." + dev + ".rp_filter": "0"})
	}
	h.Sysctl(map[string]string{"net.ipv4.conf.all.rp_filter": "0"})
	h.Run("ip", "fou", "add", "port", "6080", "gue")
}

// mark has the kernel mark the packets to an address, in this thread's namespace.
func mark(to netip.Addr, mark uint32) error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "lab"})
	chain := conn.AddChain(&nftables.Chain{
		Name: "mark", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityFilter,
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		// The destination in the IPv4 header.
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4},
		&expr.Cmp{Register: 1, Op: expr.CmpOpEq, Data: to.AsSlice()},
		&expr.Immediate{Register: 1, Data: binary.NativeEndian.AppendUint32(nil, mark)},
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1, SourceRegister: true},
	}})
	return conn.Flush()
}
