// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
)

// An xrule is what a test says of a rule of iptables.
type xrule struct {
	six             bool
	source, to      string // prefixes
	in, out         string // a name, or the beginning of one with +
	protocol        byte
	inverted, flags byte
	checks          []xmatch
	target          string // extension; empty: standard
	verdict         int32
}

// encode writes a rule as the kernel keeps it.
func (r xrule) encode() []byte {
	size, flagsAt, offsetsAt, header := 4, 82, 88, 112
	if r.six {
		size, flagsAt, offsetsAt, header = 16, 131, 140, 168
	}
	b := make([]byte, header)
	prefix := func(at int, text string) {
		if text == "" {
			return
		}
		p := netip.MustParsePrefix(text)
		copy(b[at:], p.Addr().AsSlice())
		for i := range p.Bits() {
			b[at+2*size+i/8] |= 0x80 >> (i % 8)
		}
	}
	prefix(0, r.source)
	prefix(size, r.to)
	name := func(at int, text string) {
		if text == "" {
			return
		}
		length := len(text) + 1
		if text[len(text)-1] == '+' {
			text, length = text[:len(text)-1], len(text)-1
		}
		copy(b[at:], text)
		copy(b[at+32:], slices.Repeat([]byte{0xff}, length))
	}
	name(4*size, r.in)
	name(4*size+16, r.out)
	binary.NativeEndian.PutUint16(b[4*size+64:], uint16(r.protocol))
	b[flagsAt], b[flagsAt+1] = r.flags, r.inverted
	if r.six && r.protocol != 0 {
		b[flagsAt] |= xtProtocol6
	}
	for _, c := range r.checks {
		b = append(b, c.encode()...)
	}
	target := len(b)
	t := xmatch{name: r.target, data: make([]byte, 8)}
	if r.target == "" {
		binary.NativeEndian.PutUint32(t.data, uint32(r.verdict))
	}
	b = append(b, t.encode()...)
	binary.NativeEndian.PutUint16(b[offsetsAt:], uint16(target))
	binary.NativeEndian.PutUint16(b[offsetsAt+2:], uint16(len(b)))
	return b
}

func (m xmatch) encode() []byte {
	b := make([]byte, xtHeader, xtHeader+len(m.data))
	binary.NativeEndian.PutUint16(b, uint16(xtHeader+len(m.data)))
	copy(b[2:], m.name)
	b[2+xtNameSize] = m.revision
	return append(b, m.data...)
}

// ports is a match of TCP or UDP. last: the match has more fields than the ports.
func portsOf(name string, source, to [2]uint16, inverted byte) xmatch {
	var d []byte
	for _, n := range []uint16{source[0], source[1], to[0], to[1]} {
		d = binary.NativeEndian.AppendUint16(d, n)
	}
	if name == "tcp" {
		return xmatch{name: name, data: append(d, 0, 0, 0, inverted)}
	}
	return xmatch{name: name, data: append(d, inverted, 0)}
}

var anyPort = [2]uint16{0, 0xffff}

func multiport(which, inverted byte, ranges ...uint16) xmatch {
	d := make([]byte, 48)
	d[0], d[1], d[47] = which, byte(len(ranges)), inverted
	for i, n := range ranges {
		if n == 0 { // the port before it begins a range
			d[1] = byte(i)
			break
		}
		binary.NativeEndian.PutUint16(d[2+2*i:], n)
	}
	return xmatch{name: "multiport", revision: 1, data: d}
}

func conntrack(revision byte, flags, inverted, states uint16) xmatch {
	d := make([]byte, 160)
	for i, n := range []uint16{flags, inverted, states} {
		binary.NativeEndian.PutUint16(d[146+2*i:], n)
	}
	return xmatch{name: "conntrack", revision: revision, data: d}
}

// TestXtableDroppedBy: a packet that a table of iptables drops for certain is named, and no other.
func TestXtableDroppedBy(t *testing.T) {
	const accept, drop, back, more = xtAccept, xtDrop, xtReturn, 1 << 20 // more: a chain of the site's own
	tcp := func(port uint16) []xmatch { return []xmatch{portsOf("tcp", anyPort, [2]uint16{port, port}, 0)} }
	packet := ipPacket{protocol: 6, dport: 80, in: "eth0", to: netip.MustParseAddr("192.0.2.100"), state: ctNew}
	six := ipPacket{protocol: 6, dport: 80, in: "eth0", to: netip.MustParseAddr("2001:db8::100"), six: true, state: ctNew}
	vrrp := ipPacket{protocol: 112, in: "eth0", to: netip.MustParseAddr("224.0.0.18"), state: ctNew}
	for _, tt := range []struct {
		name   string
		policy int32
		rules  []xrule
		own    []xrule
		packet ipPacket
		want   bool
	}{
		{"no rules", accept, nil, nil, packet, false},
		{"policy drop", drop, nil, nil, packet, true},
		{"policy drop, for the other family", drop, nil, nil, six, false},
		{"policy drop, IPv6", drop, []xrule{{six: true, to: "2001:db8::/64", protocol: 17, verdict: accept}}, nil, six, true},
		{"accepted, IPv6", drop, []xrule{{six: true, to: "2001:db8::/64", protocol: 6, verdict: accept}}, nil, six, false},
		{"VRRP dropped", accept, []xrule{{protocol: 112, verdict: drop}}, nil, vrrp, true},
		{"VRRP dropped by its group", accept, []xrule{{to: "224.0.0.0/4", verdict: drop}}, nil, vrrp, true},
		{"all but VRRP dropped", accept, []xrule{{protocol: 112, inverted: notProtocol, verdict: drop}}, nil, vrrp, false},
		{"from a source, which is not known", accept, []xrule{{source: "192.0.2.3/32", verdict: drop}}, nil, vrrp, false},
		{"accepted by port", drop, []xrule{{protocol: 6, checks: tcp(80), verdict: accept}}, nil, packet, false},
		{"another port accepted", drop, []xrule{{protocol: 6, checks: tcp(443), verdict: accept}}, nil, packet, true},
		{"all ports but this one accepted", drop,
			[]xrule{{protocol: 6, checks: []xmatch{portsOf("tcp", anyPort, [2]uint16{80, 80}, 2)}, verdict: accept}}, nil, packet, true},
		{"a source port, which is not known", drop,
			[]xrule{{protocol: 6, checks: []xmatch{portsOf("tcp", [2]uint16{1024, 65535}, anyPort, 0)}, verdict: accept}}, nil, packet, false},
		{"ports of UDP", drop, []xrule{{protocol: 17, checks: []xmatch{portsOf("udp", anyPort, anyPort, 0)}, verdict: accept}}, nil, packet, true},
		{"one of many ports", drop, []xrule{{protocol: 6, checks: []xmatch{multiport(1, 0, 22, 80, 443)}, verdict: accept}}, nil, packet, false},
		{"none of many ports", drop, []xrule{{protocol: 6, checks: []xmatch{multiport(1, 0, 22, 443)}, verdict: accept}}, nil, packet, true},
		{"all but many ports", drop, []xrule{{protocol: 6, checks: []xmatch{multiport(1, 1, 22, 443)}, verdict: accept}}, nil, packet, false},
		{"by interface", accept, []xrule{{in: "eth0", verdict: drop}}, nil, packet, true},
		{"by the beginning of its name", accept, []xrule{{in: "eth+", verdict: drop}}, nil, packet, true},
		{"by another interface", accept, []xrule{{in: "eth01", verdict: drop}}, nil, packet, false},
		{"by all interfaces but this", accept, []xrule{{in: "eth0", inverted: notIn, verdict: drop}}, nil, packet, false},
		{"known connections accepted", drop, []xrule{{checks: []xmatch{conntrack(3, 1, 0, ctEstablished|4)}, verdict: accept}}, nil, packet, true},
		{"new connections accepted", drop, []xrule{{checks: []xmatch{conntrack(2, 1, 0, ctNew)}, verdict: accept}}, nil, packet, false},
		{"all but known connections accepted", drop, []xrule{{checks: []xmatch{conntrack(3, 1, 1, ctEstablished)}, verdict: accept}}, nil, packet, false},
		{"something else of connection tracking", drop, []xrule{{checks: []xmatch{conntrack(3, 3, 0, 0)}, verdict: accept}}, nil, packet, false},
		{"a match that is not known", drop, []xrule{{checks: []xmatch{{name: "u32", data: make([]byte, 8)}}, verdict: accept}}, nil, packet, false},
		{"a match that is not known, of another protocol", drop,
			[]xrule{{protocol: 17, checks: []xmatch{{name: "u32", data: make([]byte, 8)}}, verdict: accept}}, nil, packet, true},
		{"a comment", accept, []xrule{{checks: []xmatch{{name: "comment", data: make([]byte, 256)}}, verdict: drop}}, nil, packet, true},
		{"rejected", accept, []xrule{{target: "REJECT"}}, nil, packet, true},
		{"logged, then dropped", accept, []xrule{{target: "LOG"}, {verdict: drop}}, nil, packet, true},
		{"a target that is not known", drop, []xrule{{target: "TARPIT"}}, nil, packet, false},
		{"later fragments dropped", accept, []xrule{{flags: xtFragment4, verdict: drop}}, nil, packet, false},
		{"in a chain of the site", accept, []xrule{{verdict: more}}, []xrule{{protocol: 6, verdict: drop}}, packet, true},
		{"back from there, and accepted", drop, []xrule{{verdict: more}, {protocol: 6, verdict: accept}}, []xrule{{protocol: 17, verdict: drop}}, packet, false},
		{"back early from there", drop, []xrule{{verdict: more}, {protocol: 6, verdict: accept}}, []xrule{{verdict: back}, {verdict: drop}}, packet, false},
		{"not back from there", accept, []xrule{{verdict: more, flags: xtGoto4}, {verdict: drop}}, nil, packet, false},
		{"the built-in chain returns", drop, []xrule{{verdict: back}, {verdict: accept}}, nil, packet, true},
		{"perhaps in a chain of the site", accept, []xrule{{source: "192.0.2.3/32", verdict: more}}, []xrule{{verdict: drop}}, vrrp, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var entries []byte
			isSix := len(tt.rules) > 0 && tt.rules[0].six
			built := slices.Concat(tt.rules, []xrule{{six: isSix, verdict: tt.policy}})
			at := 0
			for _, r := range built {
				at += len(r.encode())
			}
			var policy int
			for i, r := range built {
				if i == len(tt.rules) {
					policy = len(entries)
				}
				if r.verdict == more {
					r.verdict = int32(at)
				}
				entries = append(entries, r.encode()...)
			}
			for _, r := range append(tt.own, xrule{six: isSix, verdict: back}) {
				entries = append(entries, r.encode()...)
			}
			table := xtable{program: "iptables-legacy", name: "filter", six: isSix, entries: entries,
				hooks: map[hook]xhook{hookInput: {0, uint32(policy)}}}
			var want []Chain
			if tt.want {
				want = []Chain{{Program: "iptables-legacy", Table: "filter", Name: "INPUT"}}
			}
			if got := table.droppedBy(hookInput, tt.packet); !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
			if got := table.droppedBy(hookOutput, tt.packet); got != nil {
				t.Errorf("a hook without a chain: %v", got)
			}
		})
	}
}

// FuzzXtable: no table makes the walk end in a panic, or last for ever.
func FuzzXtable(f *testing.F) {
	rule := xrule{protocol: 6, checks: []xmatch{portsOf("tcp", anyPort, anyPort, 0), multiport(1, 0, 80), conntrack(3, 1, 0, 8)}, verdict: xtDrop}
	f.Add(false, uint32(0), uint32(0), rule.encode())
	f.Add(false, uint32(0), uint32(0), xrule{verdict: 0}.encode()) // jumps to itself
	rule.six = true
	f.Add(true, uint32(0), uint32(0), rule.encode())
	f.Fuzz(func(t *testing.T, six bool, first, policy uint32, entries []byte) {
		table := xtable{six: six, entries: entries, hooks: map[hook]xhook{hookInput: {first, policy}}}
		table.droppedBy(hookInput, ipPacket{protocol: 6, dport: 80, in: "eth0", six: six, state: ctNew})
	})
}
