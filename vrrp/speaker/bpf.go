// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

const maxOwn = 32 // addresses that a filter knows; a jump reaches 255 instructions

// A vridSet is a set of VRIDs.
type vridSet [8]uint32

func (s *vridSet) add(vrid uint8) { s[vrid>>5] |= 1 << (vrid & 31) }

// A packetFilter says which packets a socket receives. Refused packets do not wake the loop and are not counted: packets of
// other virtual routers and protocols, and damaged packets. An advertisement of a known version with one of our VRIDs passes
// even if something else is wrong with it: the operator should know.
type packetFilter struct {
	vrids vridSet
	// ipHeader says that packets begin with the IPv4 header, not with the VRRP message.
	ipHeader bool
	// own are our IPv4 addresses. Packets from them are refused. With onlyOwn, all other packets are refused. Without
	// ipHeader, own has no effect.
	own     [maxOwn]netip.Addr
	onlyOwn bool
}

// addOwn adds an address to own, unless there are maxOwn of them.
func (f *packetFilter) addOwn(a netip.Addr) {
	for i := range f.own {
		switch {
		case f.own[i] == a:
			return
		case !f.own[i].IsValid():
			f.own[i] = a
			return
		}
	}
}

// program returns the filter for the kernel. Its result is the number of octets to keep.
func (f *packetFilter) program() ([]bpf.RawInstruction, error) {
	var p []bpf.Instruction
	require := func(value uint32) {
		p = append(p, bpf.JumpIf{Cond: bpf.JumpEqual, Val: value, SkipTrue: 1}, bpf.RetConstant{})
	}
	octet := func(i uint32) {
		if f.ipHeader {
			p = append(p, bpf.LoadIndirect{Off: i, Size: 1}) // X is the length of the IP header
		} else {
			p = append(p, bpf.LoadAbsolute{Off: i, Size: 1})
		}
	}
	if f.ipHeader {
		p = append(p, bpf.LoadAbsolute{Off: 9, Size: 1})
		require(vrrp.Protocol)
		p = append(p, f.source()...)
		p = append(p, bpf.LoadMemShift{Off: 0})
	}
	octet(0)
	p = append(p, bpf.JumpIf{Cond: bpf.JumpEqual, Val: vrrp.Version2<<4 | vrrp.TypeAdvertisement, SkipTrue: 2})
	require(vrrp.Version3<<4 | vrrp.TypeAdvertisement)
	octet(1)
	raw, err := bpf.Assemble(append(p, f.membership()...))
	if err != nil {
		return nil, fmt.Errorf("failed to assemble socket filter: %w", err)
	}
	return raw, nil
}

// source checks the IPv4 source address.
func (f *packetFilter) source() []bpf.Instruction {
	var own []uint32
	for _, a := range f.own {
		if a.Is4() {
			b := a.As4()
			own = append(own, binary.BigEndian.Uint32(b[:]))
		}
	}
	if len(own) == 0 && !f.onlyOwn {
		return nil
	}
	p := []bpf.Instruction{bpf.LoadAbsolute{Off: 12, Size: 4}}
	for i, a := range own {
		if f.onlyOwn {
			p = append(p, bpf.JumpIf{Cond: bpf.JumpEqual, Val: a, SkipTrue: uint8(len(own) - i)})
		} else {
			p = append(p, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: a, SkipTrue: 1}, bpf.RetConstant{})
		}
	}
	if f.onlyOwn {
		p = append(p, bpf.RetConstant{})
	}
	return p
}

// membership ends the program: it accepts the packet if the VRID in the accumulator is in the set. Its length does not
// depend on the set.
func (f *packetFilter) membership() []bpf.Instruction {
	p := []bpf.Instruction{bpf.TAX{}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 5}}
	for i, word := range f.vrids {
		p = append(p,
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(i), SkipTrue: 2},
			bpf.LoadConstant{Dst: bpf.RegA, Val: word},
			bpf.Jump{Skip: uint32(3*(len(f.vrids)-1-i) + 1)},
		)
	}
	return append(p,
		bpf.RetConstant{},
		bpf.StoreScratch{Src: bpf.RegA, N: 0},
		bpf.TXA{},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 31},
		bpf.TAX{},
		bpf.LoadScratch{Dst: bpf.RegA, N: 0},
		bpf.ALUOpX{Op: bpf.ALUOpShiftRight},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 1, SkipTrue: 1},
		bpf.RetConstant{},
		bpf.RetConstant{Val: maxPacket},
	)
}

// attach replaces the filter of a socket atomically.
func attach(fd int, program []bpf.RawInstruction) error {
	code := make([]unix.SockFilter, len(program))
	for i, in := range program {
		code[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog); err != nil {
		return fmt.Errorf("failed to attach socket filter: %w", err)
	}
	return nil
}
