// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"encoding/json"
	"net/netip"
	"slices"
	"testing"
)

// id parses the name of a service. serverID, service, server and entry do the same for the other types, so that the tables of
// the tests are readable.
func id(s string) ServiceID {
	id, err := ParseServiceID(s)
	if err != nil {
		panic(err)
	}
	return id
}

func serverID(addr string) ServerID {
	a := netip.MustParseAddrPort(addr)
	return ServerID{Addr: a.Addr(), Port: a.Port()}
}

func service(name, scheduler string) Service {
	return Service{ServiceID: id(name), Scheduler: scheduler}
}

func server(addr string, m Method, weight int) Server {
	return Server{ServerID: serverID(addr), Method: m, Weight: weight}
}

func entry(name, scheduler string, servers ...Server) Entry {
	return Entry{Service: service(name, scheduler), Servers: servers}
}

func TestServiceIDHasOneSpelling(t *testing.T) {
	for _, c := range []struct {
		text string
		want ServiceID
	}{
		{"tcp 192.0.2.100:80", ServiceID{Protocol: TCP, Addr: netip.MustParseAddr("192.0.2.100"), Port: 80}},
		{"udp [2001:db8::100]:53", ServiceID{Protocol: UDP, Addr: netip.MustParseAddr("2001:db8::100"), Port: 53}},
		{"fwmark 1 (ipv4)", ServiceID{FWMark: 1, Family: IPv4}},
		{"fwmark 4294967295 (ipv6)", ServiceID{FWMark: 4294967295, Family: IPv6}},
	} {
		got, err := ParseServiceID(c.text)
		if err != nil || got != c.want {
			t.Errorf("ParseServiceID(%q) = %#v, %v, want %#v", c.text, got, err, c.want)
		}
		if got := c.want.String(); got != c.text {
			t.Errorf("String() = %q, want %q", got, c.text)
		}
	}
}

func TestParseServiceIDRefuses(t *testing.T) {
	for _, text := range []string{
		"", "tcp", "tcp ", "tcp 192.0.2.100", "icmp 192.0.2.100:80", "tcp 192.0.2.100:65536", "fwmark x (ipv4)",
		"fwmark 1", "fwmark 0 (ipv4)", "fwmark 1 (ipv5)", "fwmark 4294967296 (ipv4)",
	} {
		if got, err := ParseServiceID(text); err == nil {
			t.Errorf("ParseServiceID(%q) = %v, want an error", text, got)
		}
	}
}

func FuzzParseServiceID(f *testing.F) {
	for _, s := range []string{"tcp 192.0.2.100:80", "udp [2001:db8::100]:53", "fwmark 1 (ipv4)", "fwmark", "tcp [::]:0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, err := ParseServiceID(s)
		if err != nil {
			return
		}
		again, err := ParseServiceID(first.String())
		if err != nil || again != first {
			t.Errorf("%q is %v, which reads back as %v, %v", s, first, again, err)
		}
	})
}

func TestEnumsAreTextInJSON(t *testing.T) {
	type all struct {
		P []Protocol
		M []Method
		F []OnFailure
		T []TunnelType
		C []Checksum
	}
	in := all{[]Protocol{TCP, UDP, SCTP}, []Method{DR, NAT, Tunnel}, []OnFailure{WeightZero, Remove},
		[]TunnelType{IPIP, GUE, GRE}, []Checksum{NoChecksum, Csum, RemCsum}}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"P":["tcp","udp","sctp"],"M":["dr","nat","tunnel"],"F":["weight-zero","remove"],` +
		`"T":["ipip","gue","gre"],"C":["none","csum","remcsum"]}`; string(b) != want {
		t.Errorf("got %s, want %s", b, want)
	}
	var out all
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(out.P, in.P) || !slices.Equal(out.M, in.M) || !slices.Equal(out.F, in.F) ||
		!slices.Equal(out.T, in.T) || !slices.Equal(out.C, in.C) {
		t.Errorf("read back as %v", out)
	}
	for _, bad := range []string{`{"P":["icmp"]}`, `{"M":["DR"]}`, `{"M":[""]}`, `{"F":["weight"]}`,
		`{"T":["vxlan"]}`, `{"C":["yes"]}`} {
		if err := json.Unmarshal([]byte(bad), &out); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
	if b, err := json.Marshal(Method(0)); err == nil {
		t.Errorf("a method without a name became %s", b)
	}
}

func TestStringsForTheLog(t *testing.T) {
	for _, c := range []struct {
		got  any
		want string
	}{
		{Protocol(9), "protocol 9"},
		{Method(0), "method 0"},
		{HealthUnchecked, "unchecked"},
		{SetServer, "set server"},
		{Flags(0), "none"},
		{Persistent | OnePacket | 0x20, "persistent, one-packet, 0x20"},
		{Fallback | SourcePort, "fallback, port"},
		{Encapsulation{}, "ipip"},
		{Encapsulation{Type: GUE, Port: 6080, Checksum: RemCsum}, "gue port 6080 remcsum"},
		{through(GRE, 0, Csum), "192.0.2.11:80 (tunnel gre csum, weight 1)"},
		{limited(100, 0), "192.0.2.11:80 (dr, weight 1, at most 100 connections)"},
		{serverID("[2001:db8::11]:80"), "[2001:db8::11]:80"},
		{entry("tcp 192.0.2.100:80", "wrr", server("192.0.2.11:80", DR, 1)),
			"tcp 192.0.2.100:80 (wrr) [192.0.2.11:80 (dr, weight 1)]"},
	} {
		if got := c.got.(interface{ String() string }).String(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestParseSchedulerFlag(t *testing.T) {
	for _, name := range SchedulerFlags() {
		flag, scheduler, err := ParseSchedulerFlag(name)
		s := service(www, scheduler)
		s.Flags = flag
		if err != nil || s.Validate() != nil || scheduler+"-"+flag.String() != name {
			t.Errorf("%s: %s of %s, %v, %v", name, flag, scheduler, err, s.Validate())
		}
	}
	if _, _, err := ParseSchedulerFlag("sh-ports"); err == nil {
		t.Error("sh-ports was accepted")
	}
}

func TestSchedulersAreTheCallersToChange(t *testing.T) {
	Schedulers()[0] = "x"
	if got := Schedulers()[0]; got != "rr" {
		t.Errorf("first scheduler is %q, want rr", got)
	}
}
