// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// pingData is the number of data bytes in an echo request, the same as that of ping(8).
const pingData = 56

// ping sends one ICMP echo request and waits for its reply. The socket is connected: the kernel hands over only what comes
// from the address that was asked (RFC 1122, section 3.2.2.6; RFC 4443, section 4.2).
func ping(ctx context.Context, t *healthcheck.Target) healthcheck.Result {
	const doing = "waiting for the echo reply"
	six := t.Peer().Addr().Unmap().Is6()
	network := "ip4:icmp"
	if six {
		network = "ip6:ipv6-icmp"
	}
	conn, err := dial(ctx, network, t)
	if err != nil {
		return socket.ExplainSilence(ctx, err, t.Config.Timeout, "pinging")
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	echo := &icmp.Echo{ID: rand.IntN(1 << 16), Seq: rand.IntN(1 << 16), Data: make([]byte, pingData)}
	for i := range echo.Data {
		echo.Data[i] = byte(rand.Uint32())
	}
	if _, err := conn.Write(echoRequest(echo, six)); err != nil {
		return socket.ExplainSilence(ctx, err, t.Config.Timeout, "pinging")
	}
	buf := make([]byte, 1500)
	for altered := false; ; {
		n, err := conn.Read(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && altered && ctx.Err() != context.Canceled:
			return healthcheck.Fail(healthcheck.Malformed, "the echo reply does not hold the data of the request")
		case err != nil:
			return socket.ExplainSilence(ctx, err, t.Config.Timeout, doing)
		}
		switch judgeEcho(echo, buf[:n], six) {
		case echoed:
			return healthcheck.Pass("echo reply")
		case alteredEcho:
			altered = true
		}
	}
}

// echoRequest returns an echo request in bytes. The kernel computes the checksum of ICMPv6, which covers the addresses.
func echoRequest(e *icmp.Echo, six bool) []byte {
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: e}
	if six {
		m.Type = ipv6.ICMPTypeEchoRequest
	}
	b, err := m.Marshal(nil)
	if err != nil {
		return nil // an echo request always fits
	}
	return b
}

// An echoVerdict says whether a packet answers an echo request.
type echoVerdict uint8

const (
	notOurs     echoVerdict = iota
	alteredEcho             // its reply, but with other data
	echoed
)

// judgeEcho judges a packet from the address that was asked; over IPv4 it begins with its IP header. RFC 792: the
// identifier, the sequence number and the data of the request must be returned.
func judgeEcho(asked *icmp.Echo, packet []byte, six bool) echoVerdict {
	protocol, reply := 1, icmp.Type(ipv4.ICMPTypeEchoReply)
	if six {
		protocol, reply = 58, ipv6.ICMPTypeEchoReply
	} else {
		header, ok := ipv4HeaderLength(packet)
		if !ok || checksum(packet[header:]) != 0 {
			return notOurs
		}
		packet = packet[header:]
	}
	m, err := icmp.ParseMessage(protocol, packet)
	if err != nil || m.Type != reply || m.Code != 0 {
		return notOurs
	}
	echo, ok := m.Body.(*icmp.Echo)
	switch {
	case !ok || echo.ID != asked.ID || echo.Seq != asked.Seq:
		return notOurs
	case !bytes.Equal(echo.Data, asked.Data):
		return alteredEcho
	}
	return echoed
}

// ipv4HeaderLength returns the length of the IP header of a packet that has at least an ICMP header behind it.
func ipv4HeaderLength(packet []byte) (n int, ok bool) {
	if len(packet) < 20 || packet[0]>>4 != 4 {
		return 0, false
	}
	n = int(packet[0]&15) * 4
	return n, n >= 20 && len(packet) >= n+8
}

// checksum returns the checksum of the Internet (RFC 1071), which is 0 over a message that is intact. A raw socket gets
// messages before the kernel looks at it.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
