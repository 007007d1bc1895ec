// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/bpf"

	"github.com/tandem-lvs/tandem/vrrp"
)

// verdict runs a filter over a packet.
func verdict(tb testing.TB, f packetFilter, b []byte) bool {
	tb.Helper()
	return passes(tb, interpreter(tb, f), b)
}

// interpreter makes the interpreter that runs a filter.
func interpreter(tb testing.TB, f packetFilter) *bpf.VM {
	tb.Helper()
	raw, err := f.program()
	if err != nil {
		tb.Fatal(err)
	}
	instructions, ok := bpf.Disassemble(raw)
	vm, err := bpf.NewVM(instructions)
	if err != nil || !ok {
		tb.Fatalf("the filter cannot be run: %v", err)
	}
	return vm
}

func passes(tb testing.TB, vm *bpf.VM, b []byte) bool {
	tb.Helper()
	n, err := vm.Run(b)
	if err != nil {
		tb.Fatal(err)
	}
	return n > 0
}

func TestFilter(t *testing.T) {
	var ours vridSet
	for _, vrid := range []uint8{1, 51, 52, 255} {
		ours.add(vrid)
	}
	raw, rival := packetFilter{vrids: ours, ipHeader: true}, packetFilter{vrids: ours, ipHeader: true, onlyOwn: true}
	raw.addOwn(addrB)
	rival.addOwn(addrB)
	rival.addOwn(addrC)
	good := testAdvert(addrA, 51, 100, time.Second)
	with := func(i int, v byte) []byte { b := slices.Clone(good); b[i] = v; return b }
	options := slices.Concat([]byte{0x46}, good[1:20], []byte{1, 1, 1, 1}, good[20:])
	for _, tt := range []struct {
		name string
		in   []byte
		raw  bool
	}{
		{"good", good, true},
		{"with IP options", options, true},
		{"of the first VRID", with(21, 1), true},
		{"of the last VRID", with(21, 255), true},
		{"of the next VRID", with(21, 53), false},
		{"of a VRID of the same bit in another word", with(21, 51+32), false},
		{"VRID 0", with(21, 0), false},
		{"version 2", with(20, 0x21), true},
		{"version 1", with(20, 0x11), false},
		{"version 4", with(20, 0x41), false},
		{"version 0", with(20, 0x01), false},
		{"another type", with(20, 0x32), false},
		{"another protocol", with(9, 6), false},
		{"TTL 1, which is worth a word", with(8, 1), true},
		{"a wrong checksum, too", with(27, good[27]^1), true},
		{"unicast, too", with(16, 192), true},
		{"cut off before its VRID", good[:21], false},
		{"cut off after it", good[:22], true},
		{"empty", nil, false},
	} {
		if got := verdict(t, raw, tt.in); got != tt.raw {
			t.Errorf("%s: passes %t, want %t", tt.name, got, tt.raw)
		}
		if verdict(t, rival, tt.in) {
			t.Errorf("%s from %s is no rival's", tt.name, addrA)
		}
		if len(tt.in) > 20 && tt.in[0] == 0x45 && tt.in[9] == vrrp.Protocol {
			if got := verdict(t, packetFilter{vrids: ours}, tt.in[20:]); got != tt.raw {
				t.Errorf("%s: its message passes %t, want %t", tt.name, got, tt.raw)
			}
		}
	}
	own := testAdvert(addrB, 51, 100, time.Second)
	if verdict(t, raw, own) || !verdict(t, rival, own) || !verdict(t, rival, testAdvert(addrC, 52, 1, time.Second)) {
		t.Error("what bears our own address is the other socket's")
	}
	if verdict(t, rival, testAdvert(addrB, 53, 100, time.Second)) {
		t.Error("a rival of no VRID of ours passes")
	}
}

func TestFilterOfEveryVRID(t *testing.T) {
	var adverts [256][]byte
	for vrid := range adverts {
		adverts[vrid] = testAdvert(addrA, uint8(vrid), 1, time.Second)
	}
	for vrid := range adverts {
		f := packetFilter{ipHeader: true}
		f.vrids.add(uint8(vrid))
		vm := interpreter(t, f)
		for other, b := range adverts {
			if passes(t, vm, b) != (other == vrid) {
				t.Fatalf("VRID %d in the filter of %d", other, vrid)
			}
		}
	}
}

func TestFilterHasRoom(t *testing.T) {
	full := packetFilter{ipHeader: true, onlyOwn: true}
	for i := range 2 * maxOwn {
		full.addOwn(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
		full.addOwn(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	for vrid := range 256 {
		full.vrids.add(uint8(vrid))
	}
	for i := range 2 * maxOwn {
		b := testAdvert(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 51, 1, time.Second)
		if got := verdict(t, full, b); got != (i < maxOwn) {
			t.Errorf("own address %d: %t", i, got)
		}
	}
	full.onlyOwn = false
	if !verdict(t, full, testAdvert(addrA, 51, 1, time.Second)) || verdict(t, full, testAdvert(full.own[maxOwn-1], 51, 1, time.Second)) {
		t.Error("the full filter errs")
	}
}
