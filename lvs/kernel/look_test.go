// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/lvs"
)

// parseTable parses the whole of /proc/net/ip_vs.
func parseTable(text string) ([]lvs.Row, error) {
	var rows []lvs.Row
	var p rowParser
	err := p.parse(text, func(r *lvs.Row) {
		rows = append(rows, lvs.Row{Service: r.Service, Servers: slices.Clone(r.Servers)})
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

const heads = "IP Virtual Server version 1.2.1 (size=4096)\n" +
	"Prot LocalAddress:Port Scheduler Flags\n" +
	"  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n"

// sample is a table as Linux 6.1 prints it. The numbers of connections are made up.
const sample = heads +
	"TCP  [2001:0db8:0000:0000:0000:0000:0000:0100]:0052 lc \n" +
	"  -> [2001:0db8:0000:0000:0000:0000:0000:0011]:0052      Tunnel  1      0          0         \n" +
	"UDP  C00002C8:0035 sh ops  \n" +
	"  -> C00002C8:0035      Masq    3      0          0         \n" +
	"TCP  C00002C8:0000 wlc  persistent 75000 FFFFFF00\n" +
	"  -> C00002C8:0000      Masq    3      1          22        \n" +
	"SCTP  C00002C8:0050 rr  \n" +
	"  -> C00002C8:0050      Masq    3      0          0         \n" +
	"TCP  C0000266:0001 rr  \n" +
	"TCP  C0000264:0050 wrr  \n" +
	"  -> C000020C:0050      Route   65535  1234567890 1         \n" +
	"  -> C000020B:0050      Local   1      0          0         \n" +
	"FWM  00000007 rr \n" +
	"  -> C000020C:0000      Masq    2      0          0         \n" +
	"  -> C000020B:0000      Route   1      0          0         \n" +
	"FWM  00000007 wlc ops persistent 90000 FFFFFFFF\n" +
	"  -> [2001:0db8:0000:0000:0000:0000:0000:0011]:0000      Route   1      0          0         \n" +
	"FWM  FFFFFFFF rr \n"

func row(s lvs.Service, f lvs.Flags, servers ...lvs.ServerRow) lvs.Row {
	s.Flags = f
	return lvs.Row{Service: s, Servers: servers}
}

func TestParseTable(t *testing.T) {
	idle := func(s lvs.Server) lvs.ServerRow { return lvs.ServerRow{Server: s} }
	want := []lvs.Row{
		row(service("tcp [2001:db8::100]:82", "lc"), 0, idle(server("[2001:db8::11]:82", lvs.Tunnel, 1))),
		row(service("udp 192.0.2.200:53", "sh"), lvs.OnePacket, idle(server("192.0.2.200:53", lvs.NAT, 3))),
		row(service("tcp 192.0.2.200:0", "wlc"), lvs.Persistent,
			lvs.ServerRow{Server: server("192.0.2.200:0", lvs.NAT, 3), Active: 1, Inactive: 22}),
		row(service("sctp 192.0.2.200:80", "rr"), 0, idle(server("192.0.2.200:80", lvs.NAT, 3))),
		row(service("tcp 192.0.2.102:1", "rr"), 0),
		row(service("tcp 192.0.2.100:80", "wrr"), 0,
			lvs.ServerRow{Server: server("192.0.2.12:80", lvs.DR, 65535), Active: 1234567890, Inactive: 1},
			idle(server("192.0.2.11:80", 0, 1))),
		row(service("fwmark 7 (ipv4)", "rr"), 0, idle(server("192.0.2.12:0", lvs.NAT, 2)), idle(server("192.0.2.11:0", lvs.DR, 1))),
		row(service("fwmark 7 (ipv6)", "wlc"), lvs.OnePacket|lvs.Persistent, idle(server("[2001:db8::11]:0", lvs.DR, 1))),
		{Service: lvs.Service{ServiceID: lvs.ServiceID{FWMark: 0xffffffff}, Scheduler: "rr"}},
	}
	got, err := parseTable(sample)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Errorf("%d services, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i].Service != want[i].Service || !slices.Equal(got[i].Servers, want[i].Servers) {
			t.Errorf("row %d:\n got %+v\nwant %+v", i, got[i], want[i])
		}
	}
	for _, empty := range []string{"", heads} {
		if rows, err := parseTable(empty); err != nil || len(rows) != 0 {
			t.Errorf("%q: %v, %v", empty, rows, err)
		}
	}
}

func TestParseTableRefuses(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"TCP  C0000264:0050", "too few fields"},
		{"TCP  C0000264 rr", "no port"},
		{"TCP  C000026:0050 rr", "8 hexadecimal digits"},
		{"TCP  C000026X:0050 rr", "invalid byte"},
		{"TCP  C0000264:10050 rr", "out of range"},
		{"TCP  [C0000264]:0050 rr", "[C0000264]"},
		{"TCP  [192.0.2.1]:0050 rr", "not a plain IPv6"},
		{"TCP  [fe80::1%eth0]:0050 rr", "not a plain IPv6"},
		{"FWM  x rr", "firewall mark"},
		{"TCP  C0000264:0050 rr\n  -> C000020B:0050 Route 1 0", "server"},
		{"TCP  C0000264:0050 rr\n  -> C000020B Route 1 0 0", "line 5: address"},
	} {
		_, err := parseTable(heads + c.line + "\n")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.line, err, c.want)
		}
	}
}

// printTable prints rows as the kernel does.
func printTable(rows []lvs.Row) string {
	var b strings.Builder
	b.WriteString(heads)
	addr := func(s lvs.ServerID) string {
		if s.Addr.Is4() {
			return fmt.Sprintf("%X:%04X", s.Addr.AsSlice(), s.Port)
		}
		return fmt.Sprintf("[%s]:%04X", s.Addr.StringExpanded(), s.Port)
	}
	for _, r := range rows {
		if r.FWMark != 0 {
			fmt.Fprintf(&b, "FWM  %08X %s ", r.FWMark, r.Scheduler)
		} else {
			fmt.Fprintf(&b, "%s  %s %s ", strings.ToUpper(r.Protocol.String()), addr(lvs.ServerID{Addr: r.Addr, Port: r.Port}), r.Scheduler)
		}
		if r.Flags&lvs.OnePacket != 0 {
			b.WriteString("ops ")
		}
		if r.Flags&lvs.Persistent != 0 {
			b.WriteString("persistent 75000 FFFFFFFF")
		}
		b.WriteString("\n")
		for _, s := range r.Servers {
			name := map[lvs.Method]string{lvs.DR: "Route", lvs.NAT: "Masq", lvs.Tunnel: "Tunnel", 0: "Local"}[s.Method]
			fmt.Fprintf(&b, "  -> %s      %-7s %-6d %-10d %-10d\n", addr(s.ServerID), name, s.Weight, s.Active, s.Inactive)
		}
	}
	return b.String()
}

func FuzzParseTable(f *testing.F) {
	f.Add(sample)
	f.Add(heads + "TCP  C0000264:0050 rr\n  -> ")
	f.Add(heads + "  -> C000020B:0050 Route 1 0 0\nFWM  1 rr\n")
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := parseTable(text)
		if err != nil {
			return
		}
		again, err := parseTable(printTable(rows))
		if err != nil || fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", rows) {
			t.Errorf("%q is\n%+v, which reads back as\n%+v, %v", text, rows, again, err)
		}
	})
}

func TestLookReadsTheFile(t *testing.T) {
	k := New(hclog.NewNullLogger())
	k.path = filepath.Join(t.TempDir(), "ip_vs")
	if _, err := k.Look(t.Context()); !errors.Is(err, ErrAbsent) {
		t.Errorf("without the file: %v, want ErrAbsent", err)
	}
	var rows []lvs.Row
	for _, e := range bigTable(3000, 2) {
		rows = append(rows, lvs.Row{Service: e.Service, Servers: []lvs.ServerRow{{Server: e.Servers[0]}, {Server: e.Servers[1]}}})
	}
	if err := os.WriteFile(k.path, []byte(printTable(rows)), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := k.Look(t.Context())
	if err != nil || fmt.Sprint(got) != fmt.Sprint(rows) {
		t.Errorf("%d services read, want the %d written: %v", len(got), len(rows), err)
	}
	if err := os.WriteFile(k.path, []byte(heads+"TCP  x rr\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Look(t.Context()); err == nil || !strings.Contains(err.Error(), k.path+": line 4") {
		t.Errorf("damaged file: %v, want path and line", err)
	}
}

// BenchmarkLook measures the look of every second at 1,000 services of 10 servers, without the kernel's share.
func BenchmarkLook(b *testing.B) {
	var rows []lvs.Row
	for _, e := range bigTable(1000, 10) {
		r := lvs.Row{Service: e.Service}
		for _, s := range e.Servers {
			r.Servers = append(r.Servers, lvs.ServerRow{Server: s})
		}
		rows = append(rows, r)
	}
	text := printTable(rows)
	b.ReportAllocs()
	for b.Loop() {
		if got, err := parseTable(text); err != nil || len(got) != len(rows) {
			b.Fatal(len(got), err)
		}
	}
}
