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

// NoTunnel is the reason when the server does not unwrap packets.
const NoTunnel = "the server does not unwrap tunnelled packets"

// ProbeTunnel connects to the VIP, or to another address that the server should have, by a SYN in a tunnel as IPVS sends it (IP in
// IP, RFC 2003; RFC 2473). It needs no IPVS service. The context bounds its time.
func (p *Prober) ProbeTunnel(ctx context.Context, t *healthcheck.Target) healthcheck.Result {
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
	if _, err := conn.Write(probe.segment.bytes(flagSYN, probe.sequence)); err != nil {
		return socket.Explain(ctx, err, t.Config.Timeout, "sending")
	}
	said, err := listener.await(ctx, probe)
	switch {
	case err != nil && unwraps(conn) != nil:
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
