// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A packet is an advertisement of VRRP as it was on the wire, without its checksum, which depends on the rest.
type packet struct {
	stream
	text string // all else
	says time.Duration
}

// A stream is what the advertisements of one virtual router to one destination have in common.
type stream struct {
	ifi, destination string
	vrid             byte
}

const vrrpProtocol = 112

// isAdvert reports whether a frame carries VRRP.
func isAdvert(frame []byte) bool {
	_, _, ok := payload(frame)
	return ok
}

// payload returns the VRRP part of a frame and the header before it.
func payload(frame []byte) (header, vrrp []byte, ok bool) {
	if len(frame) < 14 {
		return nil, nil, false
	}
	ip := frame[14:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_IP:
		if len(ip) < 20 || ip[9] != vrrpProtocol {
			return nil, nil, false
		}
		head, total := int(ip[0]&15)*4, int(binary.BigEndian.Uint16(ip[2:]))
		if head < 20 || total < head+8 || len(ip) < total {
			return nil, nil, false
		}
		return ip[:head], ip[head:total], true
	case unix.ETH_P_IPV6:
		const head = 40
		if len(ip) < head+8 || ip[6] != vrrpProtocol || len(ip) < head+int(binary.BigEndian.Uint16(ip[4:])) {
			return nil, nil, false
		}
		return ip[:head], ip[head : head+int(binary.BigEndian.Uint16(ip[4:]))], true
	}
	return nil, nil, false
}

// read reads an advertisement that isAdvert has accepted. own is the hardware address of the interface.
func read(ifi, own string, f lab.Frame) packet {
	header, vrrp, _ := payload(f.Data)
	var source, destination netip.Addr
	var text strings.Builder
	size := 4
	if header[0]>>4 == 4 {
		source, destination = netip.AddrFrom4([4]byte(header[12:16])), netip.AddrFrom4([4]byte(header[16:20]))
		fmt.Fprintf(&text, "TTL %d, TOS 0x%02x", header[8], header[1])
	} else {
		size = 16
		source, destination = netip.AddrFrom16([16]byte(header[8:24])), netip.AddrFrom16([16]byte(header[24:40]))
		fmt.Fprintf(&text, "hop limit %d, traffic class 0x%02x", header[7], binary.BigEndian.Uint16(header)>>4&0xff)
	}
	hardware := f.Source().String()
	if hardware == own {
		hardware = "its own MAC"
	}
	fmt.Fprintf(&text, ", from %s (%s) to %s: version %d, type %d, priority %d, interval ",
		source, hardware, f.Destination(), vrrp[0]>>4, vrrp[0]&15, vrrp[2])
	p := packet{stream: stream{ifi, destination.String(), vrrp[1]}}
	const versionTwo = 2
	if vrrp[0]>>4 == versionTwo {
		p.says = time.Duration(vrrp[5]) * time.Second
	} else {
		p.says = time.Duration(binary.BigEndian.Uint16(vrrp[4:])&0xfff) * 10 * time.Millisecond
	}
	fmt.Fprintf(&text, "%s, addresses", p.says)
	rest := vrrp[8:]
	for range vrrp[3] {
		if len(rest) < size {
			break
		}
		a, _ := netip.AddrFromSlice(rest[:size])
		rest = rest[size:]
		fmt.Fprintf(&text, " %s", a)
	}
	if vrrp[0]>>4 == versionTwo {
		fmt.Fprintf(&text, ", authentication %d", vrrp[4])
	}
	fmt.Fprintf(&text, ", then %q", rest)
	p.text = text.String()
	return p
}

// tolerance is how far the measured interval may be from the one that the advertisements say.
const tolerance = 0.2

// sent describes the advertisements since a moment: one line for each different one.
func (s *stage) sent(since time.Time) (all []string) {
	macs := s.hardware()
	times := map[stream][]time.Time{}
	says := map[stream]time.Duration{}
	for ifi, c := range s.captures {
		for _, f := range c.Frames() {
			if f.When.Before(since) {
				continue
			}
			p := read(ifi, macs[ifi], f)
			times[p.stream], says[p.stream] = append(times[p.stream], f.When), p.says
			if l := p.stream.String() + ": " + p.text; !slices.Contains(all, l) {
				all = append(all, l)
			}
		}
	}
	for which, t := range times {
		all = append(all, which.String()+": "+pace(t, says[which]))
	}
	slices.Sort(all)
	return all
}

func (s stream) String() string {
	return fmt.Sprintf("VRID %d on %s to %s", s.vrid, s.ifi, s.destination)
}

// pace compares how often advertisements came with the interval that they say.
func pace(times []time.Time, says time.Duration) string {
	if len(times) < 2 {
		return fmt.Sprintf("%d seen", len(times))
	}
	is := times[len(times)-1].Sub(times[0]) / time.Duration(len(times)-1)
	if off := (is - says).Abs(); float64(off) <= tolerance*float64(says) {
		return "sent at this interval"
	}
	return fmt.Sprintf("sent every %s, which is not its interval", is.Round(10*time.Millisecond))
}

// hardware returns the MAC addresses of the director's interfaces.
func (s *stage) hardware() map[string]string {
	macs := map[string]string{}
	for _, l := range lines(s.director.Run("ip", "-o", "link")) {
		f := strings.Fields(l)
		if i := slices.Index(f, "link/ether"); i >= 0 {
			name, _, _ := strings.Cut(strings.TrimSuffix(f[1], ":"), "@")
			macs[name] = f[i+1]
		}
	}
	return macs
}
