// SPDX-License-Identifier: Apache-2.0

package via

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// Reasons of probes in a tunnel.
const (
	NoTunnel = "the server does not unwrap tunnelled packets"
	TooLarge = "the packet is too large for the way to the server" // this machine or a router on the way says so
)

// A TunnelSize is the size of a probe in a tunnel.
type TunnelSize struct {
	Bytes int  // with the tunnel's header; 0: as small as can be
	Split bool // the packet may be sent in fragments
}

// ProbeTunnel connects to the VIP, or to another address that the server should have, by a SYN in a tunnel as IPVS sends it (IP in
// IP, RFC 2003; RFC 2473). It needs no IPVS service. The context bounds its time. To make the packet larger, the SYN has data, which
// servers ignore.
func (p *Prober) ProbeTunnel(ctx context.Context, t *healthcheck.Target, size TunnelSize) healthcheck.Result {
	to, err := findRoute(t)
	if err != nil {
		return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: err.Error()}
	}
	if to == nil {
		return healthcheck.FailSilently(healthcheck.Unreachable, unix.ENETUNREACH.Error())
	}
	conn, err := openTunnel(to.from, t.Endpoint().Addr())
	if err != nil {
		return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: err.Error()}
	}
	defer conn.Close()
	if err := size.apply(conn, t.Endpoint().Addr().Is6()); err != nil {
		return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: err.Error()}
	}
	link, err := net.InterfaceByIndex(to.link)
	if err != nil {
		return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: err.Error()}
	}
	listener, err := p.listeners.on(link, t.Config.Via.Is6())
	if err != nil {
		return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: err.Error()}
	}
	probe, err := listener.expect(to.from, netip.AddrPortFrom(t.Config.Via, t.Endpoint().Port()))
	if err != nil {
		return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: err.Error()}
	}
	defer listener.drop(probe)
	if _, err := conn.Write(probe.padded(flagSYN, probe.sequence, size.data(t))); errors.Is(err, unix.EMSGSIZE) {
		return healthcheck.Fail(healthcheck.Unexpected, TooLarge)
	} else if err != nil {
		return socket.Explain(ctx, err, t.Config.Timeout, "sending")
	}
	said, err := listener.await(ctx, probe)
	switch refusal := unwraps(conn); {
	case err != nil && errors.Is(refusal, unix.EMSGSIZE):
		return healthcheck.Fail(healthcheck.Unexpected, TooLarge)
	case err != nil && refusal != nil:
		return healthcheck.Fail(healthcheck.Refused, NoTunnel)
	case err != nil:
		return socket.Explain(ctx, err, t.Config.Timeout, Connecting)
	case said == accepted:
		_, _ = conn.Write(probe.segment.bytes(flagRST, probe.sequence+1)) // as in Probe
		return healthcheck.Pass(Connected)
	case said == refused:
		return healthcheck.Fail(healthcheck.Refused, "connection through the VIP refused")
	}
	return healthcheck.Fail(healthcheck.Unexpected, "the server answers from an address that is not the VIP")
}

// apply makes the socket send packets in fragments, or never.
func (size TunnelSize) apply(conn *net.IPConn, six bool) (err error) {
	if size.Bytes == 0 {
		return nil
	}
	level, option, value := unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO // the numbers are those of IPv6 too
	if six {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER
	}
	if size.Split {
		value = unix.IP_PMTUDISC_DONT
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	return errors.Join(raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, value) }), err)
}

// data is the number of bytes of data that make a packet of the size.
func (size TunnelSize) data(t *healthcheck.Target) int {
	headers := tcpHeader
	for _, addr := range []netip.Addr{t.Config.Via, t.Endpoint().Addr()} {
		if addr.Is6() {
			headers += ipv6Header
		} else {
			headers += ipv4Header
		}
	}
	return max(0, size.Bytes-headers)
}

// openTunnel opens a socket that wraps what is written to it.
func openTunnel(from, to netip.Addr) (*net.IPConn, error) {
	network := fmt.Sprintf("ip4:%d", unix.IPPROTO_IPIP)
	if to.Is6() {
		network = fmt.Sprintf("ip6:%d", unix.IPPROTO_IPV6)
	}
	conn, err := net.DialIP(network, &net.IPAddr{IP: from.AsSlice()}, &net.IPAddr{IP: to.AsSlice()})
	if err != nil {
		return nil, fmt.Errorf("failed to open a tunnel to %s: %w", to, err)
	}
	return conn, nil
}

// unwraps returns the server's refusal of the tunnel, by ICMP; nil: it has not refused.
func unwraps(conn *net.IPConn) (refusal error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil
	}
	_ = raw.Control(func(fd uintptr) {
		if n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR); err == nil && n != 0 {
			refusal = unix.Errno(n)
		}
	})
	if errors.Is(refusal, unix.EHOSTUNREACH) || errors.Is(refusal, unix.ENETUNREACH) {
		return nil // a router's answer
	}
	return refusal
}
