// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"time"
	"unsafe"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	// answerWait is how long an answer may take. The kernel sends it before the question's system call returns.
	answerWait = 200 * time.Millisecond
	// minFrame is the length of the shortest Ethernet frame, without its checksum.
	minFrame = 60
	// liveFrames is BPF_F_TEST_XDP_LIVE_FRAMES (linux/bpf.h), since Linux 5.18: the kernel handles the frame as one that the
	// interface has received.
	liveFrames = 1 << 1
	xdpPass    = 2
)

// asker is the hardware address in the questions. No interface has it: its first bits mark it as locally administered.
var asker = net.HardwareAddr{0x02, 't', 'a', 'n', 'd', 'm'}

// An unclear is the error of a question that has no answer: it says why.
type unclear string

func (u unclear) Error() string { return string(u) }

const (
	oldKernel    unclear = "this kernel cannot ask itself: Linux 5.18 or newer can"
	notPermitted unclear = "this process may not ask the kernel: it may not use BPF"
	noAnswer     unclear = "this machine does not answer for its own address either: its kernel is older than Linux 5.18, or the rules hide that address too"
)

// cannotAsk returns why the kernel has refused BPF.
func cannotAsk(err error) error {
	if errors.Is(err, unix.EPERM) {
		return notPermitted
	}
	return oldKernel
}

// hides asks whether an interface hides addresses: it does not answer ARP requests for them, but answers for its own address.
// The requests arrive at the interface as if a neighbour had sent them, and so pass all rules and settings. No packet leaves the
// machine but the answers.
//
// This needs Linux 5.18: BPF_PROG_TEST_RUN handles the frames as received, with BPF_F_TEST_XDP_LIVE_FRAMES. Older kernels refuse
// the call (before 5.14 they refuse its context), or run the program without that effect, so that no answer comes. Both are an
// unclear: the caller has no other way to ask a machine about itself, and goes on as if the addresses were not hidden.
func hides(iface string, addrs []netip.Addr, own netip.Addr) (bool, error) {
	ifi, err := net.InterfaceByName(iface)
	if err != nil {
		return false, fmt.Errorf("failed to ask for addresses on %s: %w", iface, err)
	}
	onlyARP, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_ARP, SkipFalse: 1},
		bpf.RetConstant{Val: 1 << 16},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return false, fmt.Errorf("failed to ask for addresses on %s: %w", iface, err)
	}
	conn, err := packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, &packet.Config{Filter: onlyARP}) // also frames that this machine sends
	if err != nil {
		return false, fmt.Errorf("failed to listen on %s: %w", iface, err)
	}
	defer conn.Close()
	pass, err := loadPass()
	if err != nil {
		return false, cannotAsk(err)
	}
	defer unix.Close(pass)
	for _, addr := range append(slices.Clone(addrs), own) {
		frame, err := question(addr)
		if err != nil {
			return false, err
		}
		if err := receive(pass, ifi.Index, frame); err != nil {
			return false, cannotAsk(err)
		}
	}
	return heard(conn, ifi.HardwareAddr, own)
}

// heard reports whether the first answer to the asker is about the interface's own address, which was the last question.
func heard(conn *packet.Conn, mac net.HardwareAddr, own netip.Addr) (bool, error) {
	if err := conn.SetReadDeadline(time.Now().Add(answerWait)); err != nil {
		return false, fmt.Errorf("failed to listen for answers: %w", err)
	}
	buf := make([]byte, 2048)
	for {
		n, _, err := conn.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return false, noAnswer
		}
		if err != nil {
			return false, fmt.Errorf("failed to listen for answers: %w", err)
		}
		var f ethernet.Frame
		var p arp.Packet
		if f.UnmarshalBinary(buf[:n]) != nil || p.UnmarshalBinary(f.Payload) != nil {
			continue
		}
		if p.Operation == arp.OperationReply && slices.Equal(f.Source, mac) && slices.Equal(f.Destination, asker) {
			return p.SenderIP == own, nil
		}
	}
}

// question returns an ARP request from a machine without an address, so that no other machine learns an address from it (RFC
// 5227, section 2.1.1).
func question(addr netip.Addr) ([]byte, error) {
	p, err := arp.NewPacket(arp.OperationRequest, asker, netip.IPv4Unspecified(), make(net.HardwareAddr, 6), addr)
	if err != nil {
		return nil, fmt.Errorf("failed to make an ARP request for %s: %w", addr, err)
	}
	payload, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("failed to make an ARP request for %s: %w", addr, err)
	}
	f := ethernet.Frame{Destination: ethernet.Broadcast, Source: asker, EtherType: ethernet.EtherTypeARP, Payload: payload}
	b, err := f.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("failed to make an ARP request for %s: %w", addr, err)
	}
	return append(b, make([]byte, max(0, minFrame-len(b)))...), nil
}

// loadPass loads an XDP program that lets every frame pass.
func loadPass() (fd int, err error) {
	program := []uint64{0xb7 | xdpPass<<32, 0x95} // r0 = XDP_PASS; exit
	if native := binary.NativeEndian.Uint16([]byte{1, 0}); native != 1 {
		return -1, unix.ENOTSUP // instructions are written for little-endian machines
	}
	license := []byte("Apache-2.0\x00")
	attr := struct {
		kind, count    uint32
		insns, license uint64
		more           [12]uint64
	}{kind: unix.BPF_PROG_TYPE_XDP, count: uint32(len(program)),
		insns: uint64(uintptr(unsafe.Pointer(&program[0]))), license: uint64(uintptr(unsafe.Pointer(&license[0])))}
	fd, err = callBPF(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(program)
	runtime.KeepAlive(license)
	return fd, err
}

// receive makes an interface receive a frame.
func receive(program, index int, frame []byte) error {
	context := [6]uint32{1: uint32(len(frame)), 3: uint32(index)} // struct xdp_md: data_end, ingress_ifindex
	attr := struct {
		program, result, sizeIn, sizeOut uint32
		in, out                          uint64
		repeat, duration                 uint32
		contextSizeIn, contextSizeOut    uint32
		contextIn, contextOut            uint64
		flags, cpu, batch, _             uint32
	}{program: uint32(program), sizeIn: uint32(len(frame)), in: uint64(uintptr(unsafe.Pointer(&frame[0]))), repeat: 1,
		contextSizeIn: uint32(unsafe.Sizeof(context)), contextIn: uint64(uintptr(unsafe.Pointer(&context))), flags: liveFrames}
	_, err := callBPF(unix.BPF_PROG_TEST_RUN, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(frame)
	runtime.KeepAlive(&context)
	return err
}

func callBPF(command int, attr unsafe.Pointer, size uintptr) (int, error) {
	r, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(command), uintptr(attr), size)
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}
