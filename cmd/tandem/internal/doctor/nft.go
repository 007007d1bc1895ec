// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
)

// A ruleset is the rules of nftables.
type ruleset struct {
	chains []*nftables.Chain
	rules  map[Chain][]*nftables.Rule
	sets   map[[2]string][][]byte // members by the names of the table and of the set; without sets of intervals
}

// An ipPacket is what rules may look at; what is not set is not known.
type ipPacket struct {
	protocol     byte
	sport, dport uint16
	in, out      string
	source, to   netip.Addr
	six          bool
	state        uint32 // of connection tracking
}

// The states of connection tracking (linux/netfilter/nf_conntrack_common.h, NF_CT_STATE_BIT).
const ctInvalid, ctEstablished, ctNew = 1, 2, 8

// A fate is what a chain does with a packet.
type fate uint8

const (
	passes fate = iota + 1 // the chain ends without a verdict
	accepted
	dropped
	undecided // a rule looks at something that is not known here
	returns   // a rule of iptables ends the chain
)

// A hook is a place at which the kernel asks the rules (NF_INET_LOCAL_IN and so on).
type hook uint32

// The hooks.
const (
	hookInput = iota + hook(1)
	hookForward
	hookOutput
)

// droppedBy returns the chains of a hook that drop a packet for certain.
func (rs *ruleset) droppedBy(at hook, p ipPacket) (all []Chain) {
	for _, c := range rs.chains {
		ours := c.Table.Family == nftables.TableFamilyINet || c.Table.Family == nftables.TableFamilyIPv4 && !p.six ||
			c.Table.Family == nftables.TableFamilyIPv6 && p.six
		if c.Hooknum == nil || hook(*c.Hooknum) != at || c.Type != nftables.ChainTypeFilter || !ours {
			continue
		}
		is := rs.walk(nameOf(c), p, 0)
		if is == passes && c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop {
			is = dropped
		}
		if is == dropped {
			all = append(all, nameOf(c))
		}
	}
	return all
}

func nameOf(c *nftables.Chain) Chain {
	families := map[nftables.TableFamily]string{nftables.TableFamilyINet: "inet", nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6"}
	return Chain{Family: families[c.Table.Family], Table: c.Table.Name, Name: c.Name}
}

// walk runs a packet through a chain.
func (rs *ruleset) walk(c Chain, p ipPacket, depth int) fate {
	const deepest = 16 // the kernel's own limit
	if depth > deepest {
		return undecided
	}
	for _, r := range rs.rules[c] {
		matches, sure, verdict := rs.match(c.Table, r, p)
		if !matches || verdict == nil {
			if matches && !sure && foreign(r) {
				return undecided
			}
			continue
		}
		is := passes
		switch verdict.Kind {
		case expr.VerdictAccept:
			is = accepted
		case expr.VerdictDrop:
			is = dropped
		case expr.VerdictJump, expr.VerdictGoto:
			is = rs.walk(Chain{Family: c.Family, Table: c.Table, Name: verdict.Chain}, p, depth+1)
		case expr.VerdictContinue:
			continue
		case expr.VerdictReturn:
		default:
			is = undecided
		}
		switch {
		case is == passes && verdict.Kind == expr.VerdictJump:
		case !sure:
			return undecided
		default:
			return is
		}
	}
	return passes
}

// foreign reports whether a rule has a target of iptables that may decide.
func foreign(r *nftables.Rule) bool {
	return slices.ContainsFunc(r.Exprs, func(e expr.Any) bool {
		t, ok := e.(*expr.Target)
		return ok && !slices.Contains(goesOn, t.Name)
	})
}

// fitsMatch is fits, for a match of iptables in a rule of nftables.
func (p ipPacket) fitsMatch(e *expr.Match) (known, fits bool) {
	family := xt.TableFamily(nftables.TableFamilyIPv4)
	if p.six {
		family = xt.TableFamily(nftables.TableFamilyIPv6)
	}
	if e.Info == nil {
		return false, true
	}
	data, err := xt.Marshal(family, e.Rev, e.Info)
	if err != nil {
		return false, true
	}
	known, fits = p.fits(xmatch{e.Name, byte(e.Rev), data})
	return known, fits || !known
}

// match reports whether a packet matches a rule, whether that is sure, and the rule's verdict.
func (rs *ruleset) match(table string, r *nftables.Rule, p ipPacket) (matches, sure bool, verdict *expr.Verdict) {
	registers := make(map[uint32][]byte) // nil: not known
	sure = true
	for _, e := range r.Exprs {
		known, fits := true, true
		switch e := e.(type) {
		case *expr.Meta:
			registers[e.Register] = p.meta(e.Key)
		case *expr.Payload:
			registers[e.DestRegister] = p.payload(e)
		case *expr.Ct:
			registers[e.Register] = nil
			if e.Key == expr.CtKeySTATE && p.state != 0 {
				registers[e.Register] = binary.NativeEndian.AppendUint32(nil, p.state)
			}
		case *expr.Bitwise:
			registers[e.DestRegister] = mask(registers[e.SourceRegister], e)
		case *expr.Cmp:
			is := registers[e.Register]
			known, fits = is != nil, len(is) < len(e.Data) || compare(is[:min(len(is), len(e.Data))], e)
		case *expr.Lookup:
			members, ok := rs.sets[[2]string{table, e.SetName}]
			is := registers[e.SourceRegister]
			known = ok && is != nil && !e.IsDestRegSet
			if known {
				fits = isMember(members, is) != e.Invert
			}
		case *expr.Verdict:
			verdict = e
		case *expr.Reject:
			verdict = &expr.Verdict{Kind: expr.VerdictDrop}
		case *expr.Match:
			known, fits = p.fitsMatch(e)
		case *expr.Target:
			if known = e.Name == "REJECT" || slices.Contains(goesOn, e.Name); e.Name == "REJECT" {
				verdict = &expr.Verdict{Kind: expr.VerdictDrop}
			}
		case *expr.Counter, *expr.Log, *expr.Notrack:
		default:
			known = false
		}
		if known && !fits {
			return false, true, nil
		}
		sure = sure && known
	}
	return true, sure, verdict
}

func mask(b []byte, e *expr.Bitwise) []byte {
	if b == nil || len(e.Mask) > len(b) || len(e.Xor) < len(e.Mask) {
		return nil
	}
	out := make([]byte, len(e.Mask))
	for i := range out {
		out[i] = b[i]&e.Mask[i] ^ e.Xor[i]
	}
	return out
}

func compare(is []byte, e *expr.Cmp) bool {
	c := bytes.Compare(is, e.Data)
	switch e.Op {
	case expr.CmpOpEq:
		return c == 0
	case expr.CmpOpNeq:
		return c != 0
	case expr.CmpOpLt:
		return c < 0
	case expr.CmpOpLte:
		return c <= 0
	case expr.CmpOpGt:
		return c > 0
	default:
		return c >= 0
	}
}

func isMember(members [][]byte, b []byte) bool {
	for _, m := range members {
		if bytes.Equal(m[:min(len(m), len(b))], b) {
			return true
		}
	}
	return false
}

// meta returns the value of a key; nil: not known.
func (p ipPacket) meta(key expr.MetaKey) []byte {
	switch key {
	case expr.MetaKeyL4PROTO:
		return []byte{p.protocol}
	case expr.MetaKeyNFPROTO:
		if p.six {
			return []byte{byte(nftables.TableFamilyIPv6)}
		}
		return []byte{byte(nftables.TableFamilyIPv4)}
	case expr.MetaKeyIIFNAME:
		return ifName(p.in)
	case expr.MetaKeyOIFNAME:
		return ifName(p.out)
	}
	return nil
}

// payload returns a field of a header; nil: not known.
func (p ipPacket) payload(e *expr.Payload) []byte {
	port := func(n uint16) []byte {
		if n == 0 {
			return nil
		}
		return binary.BigEndian.AppendUint16(nil, n)
	}
	addr := func(a netip.Addr) []byte {
		if !a.IsValid() {
			return nil
		}
		return a.AsSlice()
	}
	const transport, network = expr.PayloadBaseTransportHeader, expr.PayloadBaseNetworkHeader
	switch at := (field{e.Base, p.six && e.Base == network, e.Offset, e.Len}); at {
	case field{transport, false, 0, 2}:
		return port(p.sport)
	case field{transport, false, 2, 2}:
		return port(p.dport)
	case field{network, false, 9, 1}, field{network, true, 6, 1}:
		return []byte{p.protocol}
	case field{network, false, 12, 4}, field{network, true, 8, 16}:
		return addr(p.source)
	case field{network, false, 16, 4}, field{network, true, 24, 16}:
		return addr(p.to)
	}
	return nil
}

// A field is the place of a field in a packet.
type field struct {
	base        expr.PayloadBase
	six         bool
	offset, len uint32
}
