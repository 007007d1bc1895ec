// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestValidateService(t *testing.T) {
	good := service("tcp 192.0.2.100:80", "wrr")
	with := func(f func(*Service)) Service { s := good; f(&s); return s }
	for _, c := range []struct {
		name string
		in   Service
		want string // in the error; empty: valid
	}{
		{"as it should be", good, ""},
		{"firewall mark", service("fwmark 1 (ipv6)", "sh"), ""},
		{"firewall mark without family", Service{ServiceID: ServiceID{FWMark: 1}, Scheduler: "rr"}, "family"},
		{"no address", with(func(s *Service) { s.Addr = netip.Addr{} }), "not a plain"},
		{"unspecified address", with(func(s *Service) { s.Addr = netip.IPv4Unspecified() }), "not a plain"},
		{"IPv4 in IPv6", with(func(s *Service) { s.Addr = netip.MustParseAddr("::ffff:192.0.2.100") }), "not a plain"},
		{"zone", with(func(s *Service) { s.Addr = netip.MustParseAddr("fe80::1%eth0") }), "not a plain"},
		{"no protocol", with(func(s *Service) { s.Protocol = 0 }), "want tcp, udp or sctp"},
		{"port 0", with(func(s *Service) { s.Port = 0 }), "port 0"},
		{"no scheduler", with(func(s *Service) { s.Scheduler = "" }), "scheduler"},
		{"scheduler longer than the kernel's field", with(func(s *Service) { s.Scheduler = "sixteenletters16" }), "scheduler"},
		{"scheduler as long as the kernel's field", with(func(s *Service) { s.Scheduler = "fifteenletter15" }), ""},
		{"sctp", service("sctp 192.0.2.100:80", "wrr"), ""},
		{"persistent", with(func(s *Service) { s.Persist(300*time.Second, 24) }), ""},
		{"persistent on all ports", with(func(s *Service) { s.Port = 0; s.Persist(time.Second, 0) }), ""},
		{"persistent for too long", with(func(s *Service) { s.Persist(MaxTimeout+time.Second, 0) }), "whole seconds up to 744h"},
		{"persistent for a fraction", with(func(s *Service) { s.Persist(1500*time.Millisecond, 0) }), "whole seconds"},
		{"persistent by too many bits", with(func(s *Service) { s.Persist(time.Second, 33) }), "prefix 33: want 1 to 32"},
		{"128 bits of IPv6", func() Service { s := service(six, "rr"); s.Persist(time.Second, 128); return s }(), ""},
		{"flag without timeout", with(func(s *Service) { s.Flags = Persistent }), "timeout of 0s is not persistence"},
		{"timeout without flag", with(func(s *Service) { s.Timeout = time.Second }), "not persistence"},
		{"prefix without persistence", with(func(s *Service) { s.Prefix = 24 }), "with persistence"},
		{"unknown flag", with(func(s *Service) { s.Flags = 0x20 }), "flags 0x20: unknown"},
		{"the kernel's own flag", with(func(s *Service) { s.Flags = 0x2 }), "unknown"},
		{"one packet, tcp", with(func(s *Service) { s.Flags = OnePacket }), "one-packet scheduling is for udp"},
		{"one packet, udp", with(func(s *Service) { s.Protocol, s.Flags = UDP, OnePacket }), ""},
		{"one packet, mark", func() Service { s := service("fwmark 1 (ipv4)", "rr"); s.Flags = OnePacket; return s }(), ""},
		{"sh-port", with(func(s *Service) { s.Scheduler, s.Flags = "sh", SourcePort }), ""},
		{"mh-fallback", with(func(s *Service) { s.Scheduler, s.Flags = "mh", Fallback }), ""},
		{"fallback of wrr", with(func(s *Service) { s.Flags = Fallback }), "for the schedulers sh and mh"},
		{"sip", with(func(s *Service) { s.Protocol, s.Engine = UDP, "sip"; s.Persist(time.Minute, 0) }), ""},
		{"sip, tcp", with(func(s *Service) { s.Engine = "sip"; s.Persist(time.Minute, 0) }), "persistent udp"},
		{"sip, not persistent", with(func(s *Service) { s.Protocol, s.Engine = UDP, "sip" }), "persistent udp"},
		{"no such engine", with(func(s *Service) { s.Engine = "h323" }), `unknown engine "h323": want sip`},
	} {
		check(t, c.name, c.in.Validate(), c.want)
	}
}

func TestValidateServer(t *testing.T) {
	for _, c := range []struct {
		name, in string
		server   Server
		want     string
	}{
		{"dr", "tcp 192.0.2.100:80", server("192.0.2.11:80", DR, 1), ""},
		{"nat maps ports", "tcp 192.0.2.100:80", server("192.0.2.11:8080", NAT, 1), ""},
		{"dr cannot map ports", "tcp 192.0.2.100:80", server("192.0.2.11:8080", DR, 1), "only nat can map port 80 to 8080"},
		{"tunnel cannot map ports", "tcp 192.0.2.100:80", server("192.0.2.11:8080", Tunnel, 1), "only nat"},
		{"firewall mark has no port", "fwmark 1 (ipv4)", server("192.0.2.11:0", DR, 1), ""},
		{"port 0", "tcp 192.0.2.100:80", server("192.0.2.11:0", NAT, 1), "port 0"},
		{"IPv6 in IPv6", "tcp [2001:db8::100]:80", server("[2001:db8::11]:80", Tunnel, 1), ""},
		{"IPv6 in IPv4 tunnel", "tcp 192.0.2.100:80", server("[2001:db8::11]:80", Tunnel, 1), ""},
		{"IPv4 in IPv6 mark", "fwmark 1 (ipv6)", server("192.0.2.11:80", Tunnel, 1), ""},
		{"IPv6 in IPv4 by dr", "tcp 192.0.2.100:80", server("[2001:db8::11]:80", DR, 1), "only tunnel"},
		{"IPv4 in IPv6 by nat", "fwmark 1 (ipv6)", server("192.0.2.11:80", NAT, 1), "only tunnel"},
		{"gue", "tcp 192.0.2.100:80", through(GUE, 6080, RemCsum), ""},
		{"gue without port", "tcp 192.0.2.100:80", through(GUE, 0, NoChecksum), "gue needs a port"},
		{"gre", "tcp 192.0.2.100:80", through(GRE, 0, Csum), ""},
		{"gre with port", "tcp 192.0.2.100:80", through(GRE, 1, Csum), "no other has one"},
		{"gre with remcsum", "tcp 192.0.2.100:80", through(GRE, 0, RemCsum), "remcsum is for gue"},
		{"ipip", "tcp 192.0.2.100:80", through(IPIP, 0, NoChecksum), ""},
		{"ipip by default", "tcp 192.0.2.100:80", through(0, 0, 0), ""},
		{"ipip with checksum", "tcp 192.0.2.100:80", through(IPIP, 0, Csum), "no checksum"},
		{"no such tunnel", "tcp 192.0.2.100:80", through(4, 0, 0), "unknown"},
		{"tunnel of dr", "tcp 192.0.2.100:80",
			Server{ServerID: serverID("192.0.2.11:80"), Method: DR, Tunnel: Encapsulation{Type: GRE}}, "dr has no tunnel"},
		{"thresholds", "tcp 192.0.2.100:80", limited(100, 50), ""},
		{"upper threshold alone", "tcp 192.0.2.100:80", limited(100, 0), ""},
		{"lower threshold above", "tcp 192.0.2.100:80", limited(100, 101), "lower threshold 101 is above the upper one, 100"},
		{"all ports", "tcp 192.0.2.100:0", server("192.0.2.11:0", DR, 1), ""},
		{"largest weight", "tcp 192.0.2.100:80", server("192.0.2.11:80", DR, 65535), ""},
		{"weight that wraps", "tcp 192.0.2.100:80", server("192.0.2.11:80", DR, 65536), "weight 65536: want 0 to 65535"},
		{"negative weight", "tcp 192.0.2.100:80", server("192.0.2.11:80", DR, -1), "weight -1"},
		{"no method", "tcp 192.0.2.100:80", server("192.0.2.11:80", 0, 1), "want dr, nat or tunnel"},
		{"no address", "tcp 192.0.2.100:80", Server{Method: DR}, "not a plain"},
	} {
		check(t, c.name, c.server.Validate(id(c.in)), c.want)
	}
}

func through(kind TunnelType, port uint16, sum Checksum) Server {
	s := server("192.0.2.11:80", Tunnel, 1)
	s.Tunnel = Encapsulation{Type: kind, Port: port, Checksum: sum}
	return s
}

func limited(upper, lower uint32) Server {
	s := server("192.0.2.11:80", DR, 1)
	s.UpperThreshold, s.LowerThreshold = upper, lower
	return s
}

func TestValidateSync(t *testing.T) {
	good := Sync{Interface: "eth0", ID: 51, Roles: SyncBoth}
	with := func(f func(*Sync)) Sync { s := good; f(&s); return s }
	six := netip.MustParseAddr("ff02::81")
	for _, c := range []struct {
		name string
		in   Sync
		want string
	}{
		{"as it should be", good, ""},
		{"none", Sync{}, ""},
		{"everything", Sync{"eth0", 255, six, 1, 255, 65487, SyncMaster}, ""},
		{"no interface", with(func(s *Sync) { s.Interface = "" }), "interface"},
		{"long interface", with(func(s *Sync) { s.Interface = "sixteen-letters-" }), "want a name of 1 to 15"},
		{"no role", with(func(s *Sync) { s.Roles = 0 }), "master, backup or both"},
		{"another role", with(func(s *Sync) { s.Roles = 4 }), "master, backup or both"},
		{"no group", with(func(s *Sync) { s.Group = netip.MustParseAddr("192.0.2.1") }), "want a multicast address"},
		{"too short", with(func(s *Sync) { s.MaxLen = 1023 }), "length 1023: want 1024 to 65507"},
		{"too long for IPv6", Sync{"eth0", 1, six, 0, 0, 65488, SyncBoth}, "1024 to 65487"},
	} {
		check(t, c.name, c.in.Validate(), c.want)
	}
}

func TestValidateEntryReportsAll(t *testing.T) {
	e := entry("tcp 192.0.2.100:80", "", server("192.0.2.11:81", DR, 1), server("192.0.2.12:80", DR, -1))
	err := e.Validate()
	for _, want := range []string{"scheduler", "192.0.2.11:81", "192.0.2.12:80"} {
		check(t, want, err, want)
	}
	if err := entry("tcp 192.0.2.100:80", "rr", server("192.0.2.11:80", DR, 1)).Validate(); err != nil {
		t.Errorf("valid entry: %v", err)
	}
}

// check compares an error with a part of its text, and wants it to be ErrInvalid.
func check(t *testing.T, name string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v, want none", name, err)
	case want != "" && (!errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: error %v, want ErrInvalid with %q", name, err, want)
	}
}
