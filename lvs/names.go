// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

var (
	protocolNames = []string{TCP: "tcp", UDP: "udp", SCTP: "sctp"}
	methodNames   = []string{DR: "dr", NAT: "nat", Tunnel: "tunnel"}
	familyNames   = []string{IPv4: "ipv4", IPv6: "ipv6"}
	tunnelNames   = []string{IPIP: "ipip", GUE: "gue", GRE: "gre"}
	checksumNames = []string{NoChecksum: "none", Csum: "csum", RemCsum: "remcsum"}
)

// enumName returns the name of an enum's value, or its kind and number if it has no name.
func enumName[E ~uint8](kind string, names []string, e E) string {
	if int(e) < len(names) && names[e] != "" {
		return names[e]
	}
	return kind + " " + strconv.Itoa(int(e))
}

// parseEnum is the inverse of enumName. Its error lists the known names.
func parseEnum[E ~uint8](kind string, names []string, s string) (E, error) {
	if i := slices.Index(names, s); i > 0 && s != "" {
		return E(i), nil
	}
	return 0, fmt.Errorf("unknown %s %q: want one of %s", kind, s, strings.Join(names[1:], ", "))
}

// marshalEnum does what enumName does, for text formats, where a value without a name is an error.
func marshalEnum[E ~uint8](kind string, names []string, e E) ([]byte, error) {
	if int(e) < len(names) && names[e] != "" {
		return []byte(names[e]), nil
	}
	return nil, fmt.Errorf("%s %d has no name", kind, e)
}

func (p Protocol) String() string { return enumName("protocol", protocolNames, p) }

// ParseProtocol is the inverse of String: tcp, udp, sctp.
func ParseProtocol(s string) (Protocol, error) {
	return parseEnum[Protocol]("protocol", protocolNames, s)
}

// MarshalText implements encoding.TextMarshaler.
func (p Protocol) MarshalText() ([]byte, error) { return marshalEnum("protocol", protocolNames, p) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Protocol) UnmarshalText(b []byte) (err error) {
	*p, err = ParseProtocol(string(b))
	return err
}

func (m Method) String() string { return enumName("method", methodNames, m) }

// ParseMethod is the inverse of String: dr, nat, tunnel.
func ParseMethod(s string) (Method, error) { return parseEnum[Method]("method", methodNames, s) }

// MarshalText implements encoding.TextMarshaler.
func (m Method) MarshalText() ([]byte, error) { return marshalEnum("method", methodNames, m) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *Method) UnmarshalText(b []byte) (err error) {
	*m, err = ParseMethod(string(b))
	return err
}

func (f Family) String() string { return enumName("family", familyNames, f) }

// ParseFamily is the inverse of String: ipv4, ipv6.
func ParseFamily(s string) (Family, error) { return parseEnum[Family]("family", familyNames, s) }

func (t TunnelType) String() string { return enumName("tunnel type", tunnelNames, t) }

// ParseTunnelType is the inverse of String: ipip, gue, gre.
func ParseTunnelType(s string) (TunnelType, error) {
	return parseEnum[TunnelType]("tunnel type", tunnelNames, s)
}

// MarshalText implements encoding.TextMarshaler.
func (t TunnelType) MarshalText() ([]byte, error) {
	return marshalEnum("tunnel type", tunnelNames, t)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *TunnelType) UnmarshalText(b []byte) (err error) {
	*t, err = ParseTunnelType(string(b))
	return err
}

func (c Checksum) String() string { return enumName("checksum", checksumNames, c) }

// ParseChecksum is the inverse of String: none, csum, remcsum.
func ParseChecksum(s string) (Checksum, error) {
	return parseEnum[Checksum]("checksum", checksumNames, s)
}

// MarshalText implements encoding.TextMarshaler.
func (c Checksum) MarshalText() ([]byte, error) {
	return marshalEnum("checksum", checksumNames, c)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Checksum) UnmarshalText(b []byte) (err error) {
	*c, err = ParseChecksum(string(b))
	return err
}

// String returns "tcp 192.0.2.100:80", "udp [2001:db8::100]:53" or "fwmark 1 (ipv4)".
func (id ServiceID) String() string {
	if id.FWMark != 0 {
		return fmt.Sprintf("fwmark %d (%s)", id.FWMark, id.Family)
	}
	return fmt.Sprintf("%s %s", id.Protocol, netip.AddrPortFrom(id.Addr, id.Port))
}

// ParseServiceID is the inverse of String.
func ParseServiceID(s string) (ServiceID, error) {
	kind, rest, ok := strings.Cut(s, " ")
	if !ok {
		return ServiceID{}, fmt.Errorf("failed to parse service %q: want protocol and address, or fwmark and number", s)
	}
	if kind == "fwmark" {
		return parseFWMark(s, rest)
	}
	protocol, err := ParseProtocol(kind)
	if err != nil {
		return ServiceID{}, fmt.Errorf("failed to parse service %q: %w", s, err)
	}
	addr, err := netip.ParseAddrPort(rest)
	if err != nil {
		return ServiceID{}, fmt.Errorf("failed to parse service %q: %w", s, err)
	}
	return ServiceID{Protocol: protocol, Addr: addr.Addr(), Port: addr.Port()}, nil
}

func parseFWMark(s, rest string) (ServiceID, error) {
	number, family, _ := strings.Cut(rest, " ")
	mark, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return ServiceID{}, fmt.Errorf("failed to parse service %q: %w", s, err)
	}
	if mark == 0 {
		return ServiceID{}, fmt.Errorf("failed to parse service %q: a firewall mark is 1 to 4294967295", s)
	}
	f, err := ParseFamily(strings.TrimSuffix(strings.TrimPrefix(family, "("), ")"))
	if err != nil {
		return ServiceID{}, fmt.Errorf("failed to parse service %q: %w", s, err)
	}
	return ServiceID{FWMark: uint32(mark), Family: f}, nil
}

// Compare orders services by address, port and protocol. Firewall marks come after them.
func (id ServiceID) Compare(other ServiceID) int {
	return cmp.Or(
		cmp.Compare(id.FWMark, other.FWMark),
		cmp.Compare(id.Family, other.Family),
		id.Addr.Compare(other.Addr),
		cmp.Compare(id.Port, other.Port),
		cmp.Compare(id.Protocol, other.Protocol),
	)
}

// String returns "192.0.2.11:80" or "[2001:db8::11]:80".
func (id ServerID) String() string { return netip.AddrPortFrom(id.Addr, id.Port).String() }

// Compare orders real servers by address and port.
func (id ServerID) Compare(other ServerID) int {
	return cmp.Or(id.Addr.Compare(other.Addr), cmp.Compare(id.Port, other.Port))
}

// String returns "tcp 192.0.2.100:80 (wrr)".
func (s Service) String() string { return fmt.Sprintf("%s (%s)", s.ServiceID, s.Scheduler) }

// String returns "192.0.2.11:80 (dr, weight 1)".
func (s Server) String() string { return fmt.Sprintf("%s (%s)", s.ServerID, s.attributes()) }

// attributes returns "dr, weight 1" and "tunnel gue port 6080, weight 1, at most 100 connections".
func (s Server) attributes() string {
	var b strings.Builder
	b.WriteString(s.Method.String())
	if t := s.Canonical().Tunnel; t != (Encapsulation{}) {
		fmt.Fprintf(&b, " %s", t)
	}
	fmt.Fprintf(&b, ", weight %d", s.Weight)
	if s.UpperThreshold != 0 {
		fmt.Fprintf(&b, ", at most %d connections", s.UpperThreshold)
	}
	return b.String()
}

// String returns "ipip", "gue port 6080" or "gre csum".
func (e Encapsulation) String() string {
	s := max(e.Type, IPIP).String()
	if e.Port != 0 {
		s += fmt.Sprintf(" port %d", e.Port)
	}
	if e.Checksum > NoChecksum {
		s += " " + e.Checksum.String()
	}
	return s
}

// prefixName returns "24" or, without a prefix, "whole address".
func (s Service) prefixName() string {
	switch s.Prefix {
	case 0:
		return "whole address"
	case OtherPrefix:
		return "no prefix"
	}
	return strconv.Itoa(int(s.Prefix))
}

// String returns the service and, in brackets, its servers.
func (e Entry) String() string { return fmt.Sprintf("%s %v", e.Service, e.Servers) }
