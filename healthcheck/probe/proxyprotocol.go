// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// localHeader is a header of version 2 with the command LOCAL: the connection is the sender's own, and not on behalf of a client
// (HAProxy's proxy-protocol.txt, section 2.2).
const localHeader = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"

// announce sends the PROXY protocol header of a check. It returns a result only if the server does not read it in time. If the
// server hangs up meanwhile, what follows shows this.
func announce(ctx context.Context, conn net.Conn, t *healthcheck.Target) healthcheck.Result {
	header := localHeader
	if t.Config.Proxy == 1 {
		header = proxyLine(addrPort(conn.LocalAddr()), addrPort(conn.RemoteAddr()))
	}
	if _, err := conn.Write([]byte(header)); errors.Is(err, os.ErrDeadlineExceeded) {
		return socket.Explain(ctx, err, t.Config.Timeout, "sending the PROXY protocol header")
	}
	return healthcheck.Result{}
}

// proxyLine returns a header of version 1. It names the addresses of the connection itself, because servers may refuse the word
// UNKNOWN (HAProxy's proxy-protocol.txt, section 2.1).
func proxyLine(from, to netip.AddrPort) string {
	source, target := from.Addr().Unmap().WithZone(""), to.Addr().Unmap().WithZone("")
	family := "TCP6"
	switch {
	case !source.IsValid() || !target.IsValid() || source.Is4() != target.Is4():
		return "PROXY UNKNOWN\r\n"
	case source.Is4():
		family = "TCP4"
	}
	return fmt.Sprintf("PROXY %s %s %s %d %d\r\n", family, source, target, from.Port(), to.Port())
}

// addrPort returns the address of a TCP connection. The zero value stands for anything else.
func addrPort(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort()
	}
	return netip.AddrPort{}
}
