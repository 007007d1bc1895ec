// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An Advert is a VRRP advertisement over IPv4. Its fields are sent as they are, valid or not.
type Advert struct {
	To, From      string // hardware addresses
	Source        string
	Destination   string // "" for 224.0.0.18
	TTL           byte
	Version       byte
	Type          byte // 0 for 1, the advertisement
	VRID          byte
	Priority      byte
	Count         byte // of addresses; 0 for how many there are
	Centiseconds  uint16
	VIPs          []string
	BreakChecksum bool
	Trailer       []byte     // behind the packet, not in its checksum
	Truncate      int        // bytes of VRRP that are left; 0 for all
	Noise         *rand.Rand // nil, or what fills the packet behind its first two bytes
}

// Frame is the advertisement from its Ethernet header on (RFC 9568, section 5.2).
func (a Advert) Frame() []byte {
	if a.Destination == "" {
		a.Destination = "224.0.0.18"
	}
	if a.Type == 0 {
		a.Type = 1
	}
	if a.Count == 0 {
		a.Count = byte(len(a.VIPs))
	}
	src, dst := netip.MustParseAddr(a.Source).As4(), netip.MustParseAddr(a.Destination).As4()
	vrrp := []byte{a.Version<<4 | a.Type, a.VRID, a.Priority, a.Count, byte(a.Centiseconds >> 8), byte(a.Centiseconds), 0, 0}
	for _, v := range a.VIPs {
		vrrp = append(vrrp, netip.MustParseAddr(v).AsSlice()...)
	}
	pseudo := append(append(src[:], dst[:]...), 0, 112, byte(len(vrrp)>>8), byte(len(vrrp)))
	binary.BigEndian.PutUint16(vrrp[6:], checksum(append(pseudo, vrrp...)))
	if a.BreakChecksum {
		vrrp[7] ^= 0x55
	}
	if a.Noise != nil {
		for i := 2; i < len(vrrp); i++ {
			vrrp[i] = byte(a.Noise.Uint32())
		}
	}
	vrrp = append(vrrp, a.Trailer...)
	if a.Truncate > 0 {
		vrrp = vrrp[:a.Truncate]
	}
	ip := []byte{0x45, 0xc0, 0, byte(20 + len(vrrp)), 0, 0, 0, 0, a.TTL, 112, 0, 0}
	ip = append(append(ip, src[:]...), dst[:]...)
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	frame := append(hardware(a.To), hardware(a.From)...)
	frame = append(frame, 0x08, 0x00)
	return append(append(frame, ip...), vrrp...)
}

func hardware(mac string) []byte {
	parsed, err := net.ParseMAC(mac)
	if err != nil {
		panic(err)
	}
	return parsed
}

// checksum is that of RFC 1071.
func checksum(data []byte) uint16 {
	var sum uint32
	for i, b := range data {
		sum += uint32(b) << (8 * (1 - i%2))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// Flood sends the frames in turn from eth0 of the host, at a rate per second and for the time given. Frames that it cannot
// send in time are left out. It returns how many it sent.
func (h *Host) Flood(rate int, span time.Duration, frames [][]byte) int {
	h.lab.t.Helper()
	return h.FloodFrom("eth0", rate, span, frames)
}

// FloodFrom is Flood from another interface.
func (h *Host) FloodFrom(ifi string, rate int, span time.Duration, frames [][]byte) int {
	h.lab.t.Helper()
	sent := 0
	err := h.Do(func() error {
		fd, err := packetSocket(ifi, 0) // it receives nothing
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		// Each burst costs two system calls, and has room in the socket's send buffer.
		bursts := 200 // a second
		if rate > 20_000 {
			bursts = 1000
		}
		burst := time.Second / time.Duration(bursts)
		messages := newMessages(rate/bursts + 1)
		start := time.Now()
		next := start
		for i := 0; time.Since(start) < span; i++ {
			sent += messages.send(fd, frames, sent, (i+1)*rate/bursts-i*rate/bursts)
			next = next.Add(burst)
			if pause := time.Until(next); pause > 0 {
				ts := unix.NsecToTimespec(pause.Nanoseconds())
				_ = unix.Nanosleep(&ts, nil)
			}
		}
		return nil
	})
	if err != nil {
		h.lab.t.Fatalf("flood from %s: %v", h.Name, err)
	}
	return sent
}

// messages are the vector of sendmmsg(2): a burst is one system call, which on an emulated processor costs as much as the frames.
type messages []struct {
	header unix.Msghdr
	length uint32 // written by the kernel
}

func newMessages(most int) messages {
	m, parts := make(messages, most), make([]unix.Iovec, most)
	for i := range m {
		m[i].header.Iov = &parts[i]
		m[i].header.SetIovlen(1)
	}
	return m
}

// send sends n of the frames in turn, beginning with the one of this number, and returns how many the kernel took.
func (m messages) send(fd int, frames [][]byte, first, n int) int {
	if n == 0 {
		return 0
	}
	for i := range m[:n] {
		frame := frames[(first+i)%len(frames)]
		m[i].header.Iov.Base = &frame[0]
		m[i].header.Iov.SetLen(len(frame))
	}
	took, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m[0])), uintptr(n), 0, 0, 0)
	runtime.KeepAlive(frames)
	if errno != 0 {
		return 0
	}
	return int(took)
}

// ReceiveOn lets one of the processors, counted from 0, receive what arrives at an interface of the host. Else the processor of the
// sender does, in the sender's time. The setting is on the host's sysfs, which only its own mounts show.
func (h *Host) ReceiveOn(ifi string, processor int) {
	h.lab.t.Helper()
	h.Run("busybox", "unshare", "-m", "sh", "-c",
		fmt.Sprintf("mount -t sysfs host /sys && echo %x > /sys/class/net/%s/queues/rx-0/rps_cpus", 1<<processor, ifi))
}

// ReceivedIP is how many IPv4 packets have arrived at the host.
func (h *Host) ReceivedIP() int {
	h.lab.t.Helper()
	n := 0
	err := h.Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		// Two lines begin with "Ip:", names and values; the third of each is InReceives (RFC 1213, ipInReceives).
		var ip [][]string
		for line := range strings.Lines(string(text)) {
			if fields := strings.Fields(line); len(fields) > 3 && fields[0] == "Ip:" {
				ip = append(ip, fields)
			}
		}
		if len(ip) != 2 || ip[0][3] != "InReceives" {
			return fmt.Errorf("/proc/net/snmp is not as expected: %v", ip)
		}
		n, err = strconv.Atoi(ip[1][3])
		return err
	})
	if err != nil {
		h.lab.t.Fatalf("counters of %s: %v", h.Name, err)
	}
	return n
}
