// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"reflect"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/tandem-lvs/tandem/lvs"
)

// syncFrame is an Ethernet frame with a message of connection sync, as the kernel sends it.
func syncFrame(six bool, port uint16, connections ...SyncedConnection) []byte {
	message := []byte{0, 7, 0, 0, byte(len(connections)), 1, 0, 0}
	for _, c := range connections {
		b := make([]byte, 24)
		b[1] = map[lvs.Protocol]byte{lvs.TCP: 6, lvs.UDP: 17}[c.Protocol]
		flags := map[lvs.Method]uint32{lvs.NAT: 0, lvs.Tunnel: 2, lvs.DR: 3}[c.Method] | 0x100 // inactive, which does not matter
		if c.template {
			flags |= syncTemplate
		}
		binary.BigEndian.PutUint32(b[4:], flags)
		binary.BigEndian.PutUint32(b[16:], c.Mark)
		for i, a := range []netip.AddrPort{c.Client, c.Virtual, c.Server} {
			binary.BigEndian.PutUint16(b[10+2*i:], a.Port())
			b = append(b, a.Addr().AsSlice()...)
		}
		if c.Virtual.Addr().Is6() {
			b[0] = syncIPv6
		}
		b = append(b, 0x01, 3, 0x11, 0x22, 0x33) // an option
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		message = append(message, b...)
		for len(message)%4 != 0 {
			message = append(message, 0)
		}
	}
	binary.BigEndian.PutUint16(message[2:], uint16(len(message)))
	udp := []byte{0x80, 0, byte(port >> 8), byte(port), 0, 0, 0, 0}
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)+len(message)))
	body := append(udp, message...)
	frame := make([]byte, ethernetLen)
	if six {
		ip := make([]byte, ipv6HeaderLen)
		ip[0], ip[6], ip[7] = 6<<4, 17, 1
		binary.BigEndian.PutUint16(ip[4:], uint16(len(body)))
		copy(ip[8:], netip.MustParseAddr("fe80::3").AsSlice())
		copy(ip[24:], netip.MustParseAddr("ff02::81").AsSlice())
		return append(append(frame, ip...), body...)
	}
	ip := make([]byte, ipv4HeaderLen+4) // with an option
	ip[0], ip[8], ip[9] = 4<<4|6, 1, 17
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+len(body)))
	copy(ip[12:], netip.MustParseAddr("192.0.2.3").AsSlice())
	copy(ip[16:], netip.MustParseAddr("224.0.0.81").AsSlice())
	return append(append(frame, ip...), body...)
}

func synced(protocol lvs.Protocol, client, virtual, server string, method lvs.Method) SyncedConnection {
	return SyncedConnection{Protocol: protocol, Client: netip.MustParseAddrPort(client), Virtual: netip.MustParseAddrPort(virtual),
		Server: netip.MustParseAddrPort(server), Method: method}
}

func TestParseSync(t *testing.T) {
	four := synced(lvs.TCP, "198.51.100.1:40000", "192.0.2.100:80", "192.0.2.11:8080", lvs.DR)
	six := synced(lvs.UDP, "[2001:db8::1]:40000", "[2001:db8::100]:53", "[2001:db8::11]:53", lvs.Tunnel)
	template := synced(lvs.TCP, "198.51.100.1:0", "192.0.2.100:80", "192.0.2.11:80", lvs.NAT)
	template.template, template.Mark = true, 9
	frame := func() []byte { return syncFrame(false, 8848, four, six, template) }
	const ip, message = ethernetLen, ethernetLen + ipv4HeaderLen + 4 + udpHeaderLen
	for _, tt := range []struct {
		name   string
		frame  []byte
		change func([]byte) []byte
		want   []SyncedConnection // nil: it is no message
	}{
		{"over IPv4", frame(), nil, []SyncedConnection{four, six, template}},
		{"over IPv6", syncFrame(true, 8848, six), nil, []SyncedConnection{six}},
		{"padded", frame(), func(b []byte) []byte { return append(b, 0, 0, 0) }, []SyncedConnection{four, six, template}},
		{"another port", syncFrame(false, 8849, four), nil, nil},
		{"version 0", frame(), func(b []byte) []byte { b[message+5] = 0; return b }, nil},
		{"a message of kernels before", frame(), func(b []byte) []byte { b[message] = 3; return b }, nil},
		{"a fragment", frame(), func(b []byte) []byte { b[ip+6] |= 0x20; return b }, nil},
		{"cut short", frame(), func(b []byte) []byte { return b[:len(b)-1] }, nil},
		{"more connections than there are", frame(), func(b []byte) []byte { b[message+4]++; return b }, nil},
		{"a connection that ends behind the message", frame(), func(b []byte) []byte { b[message+syncHeaderLen+2] |= 0x0f; return b }, nil},
		{"another version of a connection", frame(), func(b []byte) []byte { b[message+syncHeaderLen+2] |= 0x10; return b }, nil},
		{"nothing", nil, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.frame
			if tt.change != nil {
				b = tt.change(bytes.Clone(b))
			}
			got, ok := parseSync(b, 8848)
			if ok != (tt.want != nil) || ok && (got.ID != 7 || !reflect.DeepEqual(got.Connections, tt.want)) {
				t.Errorf("%t %+v, want %+v", ok, got, tt.want)
			}
		})
	}
}

// TestFilterOf: the kernel's filter lets what is asked for pass, and nothing else.
func TestFilterOf(t *testing.T) {
	c := synced(lvs.TCP, "198.51.100.1:40000", "192.0.2.100:80", "192.0.2.11:80", lvs.DR)
	advert := advertFrame("192.0.2.3", "224.0.0.18", 51)
	four, six, other := syncFrame(false, 8848, c), syncFrame(true, 8848, c), syncFrame(false, 53, c)
	for _, tt := range []struct {
		protocol byte
		port     uint16
		pass     [][]byte
		drop     [][]byte
	}{
		{protocolUDP, 8848, [][]byte{four, six}, [][]byte{other, advert}},
		{112, 0, [][]byte{advert}, [][]byte{four, six, other}},
	} {
		vm, err := bpf.NewVM(filterOf(tt.protocol, tt.port))
		if err != nil {
			t.Fatal(err)
		}
		for want, frames := range map[bool][][]byte{true: tt.pass, false: tt.drop} {
			for i, f := range frames {
				if n, err := vm.Run(f); err != nil || n > 0 != want {
					t.Errorf("protocol %d, port %d: frame %d of those that pass: %t: %d bytes, %v", tt.protocol, tt.port, i, want, n, err)
				}
			}
		}
	}
}

// FuzzSync: whatever arrives, decoding it does not end in a panic.
func FuzzSync(f *testing.F) {
	c := synced(lvs.TCP, "198.51.100.1:40000", "192.0.2.100:80", "192.0.2.11:80", lvs.DR)
	f.Add(syncFrame(false, 8848, c, c))
	f.Add(syncFrame(true, 8848, c))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, ok := parseSync(b, 8848); ok && (!m.Source.IsValid() || len(m.Connections) > 255) {
			t.Errorf("%+v", m)
		}
	})
}
