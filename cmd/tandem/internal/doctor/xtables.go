// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// An xtable is a table of iptables or ip6tables as the kernel keeps it (linux/netfilter_ipv4/ip_tables.h, ip6_tables.h and
// linux/netfilter/x_tables.h), on a machine with words of 64 bits.
type xtable struct {
	program string // that lists and changes it
	name    string
	six     bool
	hooks   map[hook]xhook
	entries []byte
}

// An xhook is a built-in chain: the offsets of its first rule and of its policy.
type xhook struct{ first, policy uint32 }

// hookNames are the built-in chains.
var hookNames = map[hook]string{hookInput: "INPUT", hookForward: "FORWARD", hookOutput: "OUTPUT"}

// droppedBy returns the built-in chain of a hook, if the packet is dropped for certain.
func (t xtable) droppedBy(h hook, p ipPacket) []Chain {
	at, ok := t.hooks[h]
	if !ok || t.six != p.six {
		return nil
	}
	const most = 1 << 17 // rules that are looked at
	w := xwalk{xtable: t, left: most}
	is := w.chain(at.first, p, 0)
	if is == passes { // a rule of the chain itself returns
		is = w.chain(at.policy, p, 0)
	}
	if is != dropped {
		return nil
	}
	return []Chain{{Program: t.program, Table: t.name, Name: hookNames[h]}}
}

// An xwalk is the way of a packet through a table.
type xwalk struct {
	xtable
	left int
}

// Verdicts of the standard target (linux/netfilter/x_tables.h). Others than these are offsets of rules to continue at.
const (
	xtDrop   = -1
	xtAccept = -2
	xtReturn = -5
)

// chain runs a packet through the rules from an offset.
func (w *xwalk) chain(at uint32, p ipPacket, depth int) fate {
	const deepest = 64
	for ; depth <= deepest && w.left > 0; w.left-- {
		e, ok := w.entry(at)
		if !ok {
			return undecided
		}
		next := at + uint32(e.next)
		matches, sure := e.matches(p)
		is, to := passes, next
		if matches {
			is, to = e.target(next)
		}
		switch {
		case !matches || is == passes && to == next:
			at = next
			continue
		case is != passes && is != returns:
		case is == returns:
			is = passes
		default:
			is = w.chain(to, p, depth+1)
			if is == passes && !e.isGoto {
				at = next
				continue
			}
		}
		if !sure {
			return undecided
		}
		return is
	}
	return undecided
}

// An xentry is a rule.
type xentry struct {
	xip
	isGoto, later bool // later: for later fragments only
	next          uint16
	checks        []xmatch
	verdict       xmatch // the target
}

// An xmatch is an extension: a match or a target, and its data.
type xmatch struct {
	name     string
	revision byte
	data     []byte
}

// Numbers of protocols.
const protocolTCP, protocolUDP = 6, 17

// An xip is what a rule asks of the IP header and the interfaces.
type xip struct {
	source, sourceMask, to, toMask []byte
	in, inMask, out, outMask       []byte
	protocol                       uint16
	inverted                       byte
}

// The bits of xip.inverted.
const (
	notIn = 1 << iota
	notOut
	_ // type of service
	notSource
	notTo
	notFragment
	notProtocol
)

const (
	xtHeader   = 32 // of an extension
	xtNameSize = 29 // of an extension
	ifNameSize = 16 // IFNAMSIZ
)

// Flags of a rule.
const (
	xtFragment4 = 1 << 0
	xtGoto4     = 1 << 1
	xtProtocol6 = 1 << 0
	xtGoto6     = 1 << 2
)

// entry decodes the rule at an offset.
func (t xtable) entry(at uint32) (e xentry, ok bool) {
	if uint64(at) >= uint64(len(t.entries)) {
		return e, false
	}
	b := t.entries[at:]
	size, flagsAt, offsetsAt, header := 4, 82, 88, 112 // struct ipt_entry
	if t.six {
		size, flagsAt, offsetsAt, header = 16, 131, 140, 168 // struct ip6t_entry
	}
	if len(b) < header {
		return e, false
	}
	field := func(at, n int) []byte { return b[at : at+n] }
	names := 4 * size
	e.xip = xip{source: field(0, size), to: field(size, size), sourceMask: field(2*size, size), toMask: field(3*size, size),
		in: field(names, ifNameSize), out: field(names+ifNameSize, ifNameSize),
		inMask: field(names+2*ifNameSize, ifNameSize), outMask: field(names+3*ifNameSize, ifNameSize),
		protocol: binary.NativeEndian.Uint16(b[names+4*ifNameSize:]), inverted: b[flagsAt+1]}
	flags := b[flagsAt]
	if t.six {
		e.isGoto = flags&xtGoto6 != 0
		if flags&xtProtocol6 == 0 {
			e.protocol = 0
		}
	} else {
		e.isGoto, e.later = flags&xtGoto4 != 0, flags&xtFragment4 != 0
	}
	target := int(binary.NativeEndian.Uint16(b[offsetsAt:]))
	e.next = binary.NativeEndian.Uint16(b[offsetsAt+2:])
	if target < header || int(e.next) < target+xtHeader || int(e.next) > len(b) {
		return e, false
	}
	for rest := b[header:target]; len(rest) > 0; {
		m, n, ok := extension(rest)
		if !ok {
			return e, false
		}
		e.checks = append(e.checks, m)
		rest = rest[n:]
	}
	e.verdict, _, ok = extension(b[target:e.next])
	return e, ok
}

// extension decodes struct xt_entry_match or xt_entry_target, and returns its size.
func extension(b []byte) (m xmatch, size int, ok bool) {
	if len(b) < xtHeader {
		return m, 0, false
	}
	size = int(binary.NativeEndian.Uint16(b))
	if size < xtHeader || size > len(b) {
		return m, 0, false
	}
	name, _, _ := bytes.Cut(b[2:2+xtNameSize], []byte{0})
	return xmatch{string(name), b[2+xtNameSize], b[xtHeader:size]}, size, true
}

// goesOn are the targets after which a packet goes on to the next rule.
var goesOn = []string{"LOG", "NFLOG", "AUDIT", "TRACE", "MARK", "CONNMARK", "SECMARK", "CONNSECMARK", "CLASSIFY", "CHECKSUM", "TCPMSS", "TOS",
	"DSCP", "CT", "NOTRACK", "SET"}

// target says what becomes of a packet that the rule matches. If it passes, it goes on to the rule at an offset.
func (e xentry) target(next uint32) (is fate, to uint32) {
	switch name := e.verdict.name; {
	case name == "REJECT":
		return dropped, 0
	case slices.Contains(goesOn, name):
		return passes, next
	case name != "" || len(e.verdict.data) < 4:
		return undecided, 0
	}
	switch v := int32(binary.NativeEndian.Uint32(e.verdict.data)); {
	case v >= 0:
		return passes, uint32(v)
	case v == xtAccept:
		return accepted, 0
	case v == xtDrop:
		return dropped, 0
	case v == xtReturn:
		return returns, 0
	}
	return undecided, 0
}

// matches reports whether a packet matches a rule, and whether that is sure.
func (e xentry) matches(p ipPacket) (matches, sure bool) {
	sure = true
	asks := func(known, fits bool) {
		matches = matches && (!known || fits)
		sure = sure && known
	}
	matches = true
	masked := func(value, is, mask []byte, not byte) {
		if isZero(mask) {
			return // it is not asked
		}
		known, fits := len(value) == len(mask), true
		for i := range value {
			fits = fits && known && (value[i]^is[i])&mask[i] == 0
		}
		asks(known, fits != (e.inverted&not != 0))
	}
	masked(p.source.AsSlice(), e.source, e.sourceMask, notSource)
	masked(p.to.AsSlice(), e.to, e.toMask, notTo)
	masked(ifName(p.in), e.in, e.inMask, notIn)
	masked(ifName(p.out), e.out, e.outMask, notOut)
	if e.protocol != 0 {
		asks(true, (e.protocol == uint16(p.protocol)) != (e.inverted&notProtocol != 0))
	}
	if e.later {
		asks(true, e.inverted&notFragment != 0)
	}
	for _, m := range e.checks {
		asks(p.fits(m))
	}
	return matches, sure || !matches
}

func isZero(b []byte) bool { return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) }

// ifName returns the name of an interface as the kernel keeps it; nil: it is not known.
func ifName(name string) []byte {
	if name == "" || len(name) >= ifNameSize {
		return nil
	}
	return append([]byte(name), make([]byte, ifNameSize-len(name))...)
}

// fits reports whether it is known what a match of iptables says of a packet, and whether the packet fits.
func (p ipPacket) fits(m xmatch) (known, fits bool) {
	word := func(i int) uint16 { return binary.NativeEndian.Uint16(m.data[i:]) }
	inPorts := func(port uint16, at int) (known, fits bool) { return port != 0, word(at) <= port && port <= word(at+2) }
	ports := func(protocol byte, not byte, more bool) (known, fits bool) {
		if p.protocol != protocol {
			return true, false
		}
		fits, known = true, !more
		for i, port := range []uint16{p.sport, p.dport} {
			is, in := inPorts(port, 4*i)
			switch inverted := not&(1<<i) != 0; {
			case word(4*i) == 0 && word(4*i+2) == 0xffff && !inverted: // any port
			case is && in == inverted:
				return true, false
			default:
				known = known && is
			}
		}
		return known, fits
	}
	switch {
	case m.name == "comment":
		return true, true
	case m.name == "tcp" && len(m.data) >= 12: // struct xt_tcp
		option, flags := m.data[8] != 0, m.data[9] != 0
		return ports(protocolTCP, m.data[11], option || flags)
	case m.name == "udp" && len(m.data) >= 9: // struct xt_udp
		return ports(protocolUDP, m.data[8], false)
	case m.name == "multiport" && m.revision == 1 && len(m.data) >= 48:
		return p.fitsPorts(m.data)
	case m.name == "state" && len(m.data) >= 4:
		return p.state != 0, binary.NativeEndian.Uint32(m.data)&p.state != 0
	case m.name == "conntrack" && m.revision >= 1 && m.revision <= 3 && len(m.data) >= 152:
		// struct xt_conntrack_mtinfo1 to 3. The first has a mask of 8 bits.
		const flagsAt, ofState = 146, 1
		mask := uint32(word(flagsAt + 4))
		if m.revision == 1 {
			mask = uint32(m.data[flagsAt+4])
		}
		inverted := word(flagsAt+2)&ofState != 0
		return p.state != 0 && word(flagsAt) == ofState, (mask&p.state != 0) != inverted
	}
	return false, false
}

// fitsPorts judges struct xt_multiport_v1.
func (p ipPacket) fitsPorts(b []byte) (known, fits bool) {
	const ofSource, ofEither, most = 0, 2, 15
	which, count, inverted := b[0], int(b[1]), b[47] != 0
	if count > most {
		return false, false
	}
	in := func(port uint16) (fits bool) {
		for i := 0; i < count; i++ {
			first := binary.NativeEndian.Uint16(b[2+2*i:])
			last := first
			if b[32+i] != 0 && i+1 < count { // a range
				i++
				last = binary.NativeEndian.Uint16(b[2+2*i:])
			}
			fits = fits || first <= port && port <= last
		}
		return fits
	}
	switch which {
	case ofSource:
		return p.sport != 0, in(p.sport) != inverted
	case ofEither:
		fits = p.sport != 0 && in(p.sport) || p.dport != 0 && in(p.dport)
		return fits || p.sport != 0 && p.dport != 0, fits != inverted
	}
	return p.dport != 0, in(p.dport) != inverted
}
