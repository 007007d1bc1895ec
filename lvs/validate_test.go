// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
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
		{"no protocol", with(func(s *Service) { s.Protocol = 0 }), "want tcp or udp"},
		{"port 0", with(func(s *Service) { s.Port = 0 }), "port 0"},
		{"no scheduler", with(func(s *Service) { s.Scheduler = "" }), "scheduler"},
		{"scheduler longer than the kernel's field", with(func(s *Service) { s.Scheduler = "sixteenletters16" }), "scheduler"},
		{"scheduler as long as the kernel's field", with(func(s *Service) { s.Scheduler = "fifteenletter15" }), ""},
		{"flags", with(func(s *Service) { s.Flags = Persistent }), "persistent"},
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
		{"IPv6 in IPv4 tunnel", "tcp 192.0.2.100:80", server("[2001:db8::11]:80", Tunnel, 1), "differ in address family"},
		{"IPv4 in IPv6 mark", "fwmark 1 (ipv6)", server("192.0.2.11:80", Tunnel, 1), "differ in address family"},
		{"largest weight", "tcp 192.0.2.100:80", server("192.0.2.11:80", DR, 65535), ""},
		{"weight that wraps", "tcp 192.0.2.100:80", server("192.0.2.11:80", DR, 65536), "weight 65536: want 0 to 65535"},
		{"negative weight", "tcp 192.0.2.100:80", server("192.0.2.11:80", DR, -1), "weight -1"},
		{"no method", "tcp 192.0.2.100:80", server("192.0.2.11:80", 0, 1), "want dr, nat or tunnel"},
		{"no address", "tcp 192.0.2.100:80", Server{Method: DR}, "not a plain"},
	} {
		check(t, c.name, c.server.Validate(id(c.in)), c.want)
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
