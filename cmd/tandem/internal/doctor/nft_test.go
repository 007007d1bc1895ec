// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// TestDroppedBy: a chain that drops a packet for certain is named, and no other.
func TestDroppedBy(t *testing.T) {
	accept, drop := expr.Any(&expr.Verdict{Kind: expr.VerdictAccept}), expr.Any(&expr.Verdict{Kind: expr.VerdictDrop})
	join := func(lists ...[]expr.Any) []expr.Any { return slices.Concat(lists...) }
	is := func(e ...expr.Any) []expr.Any { return e }
	protocol := func(n byte) []expr.Any {
		return is(&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{n}})
	}
	load := is(&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2})
	port := func(op expr.CmpOp, n uint16) []expr.Any {
		return join(protocol(6), load, is(&expr.Cmp{Op: op, Register: 1, Data: binary.BigEndian.AppendUint16(nil, n)}))
	}
	states := func(bits uint32) []expr.Any {
		return is(&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
			&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binary.NativeEndian.AppendUint32(nil, bits), Xor: make([]byte, 4)},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)})
	}
	from := func(name string) []expr.Any {
		return is(&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte(name)})
	}
	in := func(set string) []expr.Any {
		return join(protocol(6), load, is(&expr.Lookup{SourceRegister: 1, SetName: set}))
	}
	mark := is(&expr.Meta{Key: expr.MetaKeyMARK, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{1, 0, 0, 0}})
	jump := is(&expr.Verdict{Kind: expr.VerdictJump, Chain: "more"})
	for _, tt := range []struct {
		name   string
		policy nftables.ChainPolicy
		rules  [][]expr.Any
		more   [][]expr.Any // of a chain to jump to
		want   bool
	}{
		{"no rules", nftables.ChainPolicyAccept, nil, nil, false},
		{"policy drop", nftables.ChainPolicyDrop, nil, nil, true},
		{"policy drop, accepted by port", nftables.ChainPolicyDrop, [][]expr.Any{append(port(expr.CmpOpEq, 80), accept)}, nil, false},
		{"policy drop, another port accepted", nftables.ChainPolicyDrop, [][]expr.Any{append(port(expr.CmpOpEq, 443), accept)}, nil, true},
		{"policy drop, known connections accepted", nftables.ChainPolicyDrop, [][]expr.Any{append(states(ctEstablished|4), accept)}, nil, true},
		{"policy drop, new connections accepted", nftables.ChainPolicyDrop, [][]expr.Any{append(states(ctEstablished|ctNew), accept)}, nil, false},
		{"a port of a set accepted", nftables.ChainPolicyDrop, [][]expr.Any{append(in("web"), accept)}, nil, false},
		{"no port of the set", nftables.ChainPolicyDrop, [][]expr.Any{append(in("mail"), accept)}, nil, true},
		{"a set that is not known", nftables.ChainPolicyDrop, [][]expr.Any{append(in("other"), accept)}, nil, false},
		{"dropped", nftables.ChainPolicyAccept, [][]expr.Any{append(port(expr.CmpOpEq, 80), drop)}, nil, true},
		{"rejected", nftables.ChainPolicyAccept, [][]expr.Any{append(protocol(6), &expr.Counter{}, &expr.Reject{})}, nil, true},
		{"accepted before", nftables.ChainPolicyAccept, [][]expr.Any{append(from("eth0\x00"), accept), append(protocol(6), drop)}, nil, false},
		{"from any ethernet", nftables.ChainPolicyAccept, [][]expr.Any{append(from("eth"), drop)}, nil, true},
		{"by another interface", nftables.ChainPolicyAccept, [][]expr.Any{append(from("eth1\x00"), drop)}, nil, false},
		{"with a mark, which is not known", nftables.ChainPolicyAccept, [][]expr.Any{append(mark, drop)}, nil, false},
		{"with a mark, by another protocol", nftables.ChainPolicyDrop, [][]expr.Any{join(mark, protocol(17), is(accept))}, nil, true},
		{"in a chain that it jumps to", nftables.ChainPolicyAccept, [][]expr.Any{jump}, [][]expr.Any{append(protocol(6), drop)}, true},
		{"back from there", nftables.ChainPolicyDrop, [][]expr.Any{jump, append(protocol(6), accept)}, [][]expr.Any{append(protocol(17), drop)}, false},
		{"a rule of iptables with its own words", nftables.ChainPolicyDrop, [][]expr.Any{is(&expr.Match{Name: "multiport"}, accept)}, nil, false},
		{"a target of iptables", nftables.ChainPolicyDrop, [][]expr.Any{is(&expr.Target{Name: "SOMETHING"})}, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table := &nftables.Table{Name: "site", Family: nftables.TableFamilyINet}
			base := &nftables.Chain{Name: "in", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput, Policy: &tt.policy}
			more := &nftables.Chain{Name: "more", Table: table}
			other := &nftables.Chain{Name: "other", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward, Policy: &tt.policy}
			rs := &ruleset{chains: []*nftables.Chain{base, more, other}, rules: make(map[Chain][]*nftables.Rule),
				sets: map[[2]string][][]byte{{"site", "web"}: {{0, 80}, {1, 187}}, {"site", "mail"}: {{0, 25}}}}
			for c, rules := range map[*nftables.Chain][][]expr.Any{base: tt.rules, more: tt.more} {
				for _, r := range rules {
					rs.rules[nameOf(c)] = append(rs.rules[nameOf(c)], &nftables.Rule{Exprs: r})
				}
			}
			var want []Chain
			if tt.want {
				want = []Chain{{Family: "inet", Table: "site", Name: "in"}}
			}
			got := rs.droppedBy(hookInput, ipPacket{protocol: unix.IPPROTO_TCP, dport: 80, in: "eth0", state: ctNew})
			if !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

func TestParseCounter(t *testing.T) {
	const text = "Ip: Forwarding DefaultTTL OutNoRoutes\nIp: 1 64 7\nIcmp: InMsgs\nIcmp: 3\n"
	for _, tt := range []struct {
		group, name string
		want        uint64
	}{{"Ip:", "OutNoRoutes", 7}, {"Ip:", "Missing", 0}, {"Icmp:", "InMsgs", 3}, {"Tcp:", "OutNoRoutes", 0}} {
		if got := parseCounter(text, tt.group, tt.name); got != tt.want {
			t.Errorf("%s %s: %d, want %d", tt.group, tt.name, got, tt.want)
		}
	}
}
