// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// behindProxy is a server that demands a PROXY protocol header as the very first bytes, and hangs up without one.
func behindProxy(t *testing.T, version uint8, serve func(net.Conn)) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		want := "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
		if version == 1 {
			from, to := c.RemoteAddr().(*net.TCPAddr), c.LocalAddr().(*net.TCPAddr)
			want = fmt.Sprintf("PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n", from.Port, to.Port)
		}
		got := make([]byte, len(want))
		if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
			t.Logf("no header, but %q", got[:n])
			return
		}
		serve(c)
	}
}

// Every type that may send a PROXY protocol header sends it first, also before TLS, and fails without it.
func TestProxyProtocol(t *testing.T) {
	a := newAuthority(t)
	pair := a.issue(t, "server", time.Now().Add(time.Hour))
	secured := func(serve func(net.Conn)) func(net.Conn) {
		return func(c net.Conn) { serve(tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}})) }
	}
	trusted := healthcheck.TLS{On: true, CAFile: a.file("ca.pem")}
	web := func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1024))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
	}
	redis := func(c *healthcheck.Config) { c.Send, c.Expect = "PING\r\n", "+PONG" }
	cache := func(c net.Conn) { scripted(t, true, turn{"PING\r\n", []string{"+PONG\r\n"}})(c) }
	mail := func(c net.Conn) {
		in := bufio.NewReader(c)
		for _, line := range []string{"220 mx\r\n", "250 mx\r\n", "221 bye\r\n"} {
			_, _ = io.WriteString(c, line)
			_, _ = in.ReadString('\n')
		}
	}
	for _, tt := range []struct {
		name    string
		typ     healthcheck.Type
		change  func(*healthcheck.Config)
		serve   func(net.Conn)
		want    string
		without string
	}{
		{"tcp", healthcheck.TCP, redis, cache, asExpected, "timeout after 300ms while waiting for the expected answer"},
		{"tcp with TLS", healthcheck.TCP, func(c *healthcheck.Config) { redis(c); c.TLS = trusted }, secured(cache), asExpected,
			"connection closed during the TLS handshake"},
		{"http", healthcheck.HTTP, func(*healthcheck.Config) {}, web, "status 200", "connection closed before a response"},
		{"https", healthcheck.HTTPS, func(c *healthcheck.Config) { c.TLS = trusted }, secured(web), "status 200",
			"connection closed during the TLS handshake"},
		{"smtp", healthcheck.SMTP, func(*healthcheck.Config) {}, mail, "greeted", "timeout after 300ms while waiting for the greeting"},
	} {
		for version := range uint8(3) {
			t.Run(fmt.Sprintf("%s %d", tt.name, version), func(t *testing.T) {
				probetest.NoLeftovers(t)
				timeout, demanded, want := 10*time.Second, version, healthcheck.Pass(tt.want)
				if version == 0 {
					timeout, demanded, want = probetest.Timeout(tt.without, 300*time.Millisecond), 2, probetest.Fail(tt.without)
				}
				target := probetest.Target(tt.typ, probetest.Serve(t, behindProxy(t, demanded, tt.serve)), timeout, tt.change)
				target.Config.Proxy = version
				if err := target.Validate(); err != nil {
					t.Fatal(err)
				}
				got, _ := probeOnce(target)
				if got.Reason = ended(got.Reason); got != want {
					t.Errorf("%+v, want %+v", got, want)
				}
			})
		}
	}
}

// A check that only connects tells a server that demands the header who it is, too.
func TestConnectingWithProxyProtocol(t *testing.T) {
	heard := make(chan string, 1)
	addr := probetest.Serve(t, func(c *net.TCPConn) {
		line, _ := bufio.NewReader(c).ReadString('\n')
		heard <- line
	})
	target := probetest.Target(healthcheck.TCP, addr, 10*time.Second, func(c *healthcheck.Config) { c.Proxy = 1 })
	if got, _ := probeOnce(target); got != healthcheck.Pass("connected") {
		t.Errorf("%+v", got)
	}
	if line := <-heard; !strings.HasPrefix(line, "PROXY TCP4 127.0.0.1 127.0.0.1 ") {
		t.Errorf("heard %q", line)
	}
	web := probetest.HTTPTarget(addr, 10*time.Second)
	web.Config.Proxy = 1
	for _, target := range []healthcheck.Target{target, web} {
		if got, _ := carry(target); got.Reason != "not carried" {
			t.Errorf("the engine, which sends no header, carries the check of type %s: %+v", target.Config.Type, got)
		}
	}
}

func TestProxyLine(t *testing.T) {
	for _, tt := range []struct{ from, to, want string }{
		{"192.0.2.2:4711", "192.0.2.11:80", "PROXY TCP4 192.0.2.2 192.0.2.11 4711 80\r\n"},
		{"[::ffff:192.0.2.2]:4711", "192.0.2.11:80", "PROXY TCP4 192.0.2.2 192.0.2.11 4711 80\r\n"},
		{"[2001:db8::2]:4711", "[2001:db8::11]:65535", "PROXY TCP6 2001:db8::2 2001:db8::11 4711 65535\r\n"},
		{"[fe80::2%eth0]:1", "[fe80::11%eth0]:80", "PROXY TCP6 fe80::2 fe80::11 1 80\r\n"},
	} {
		if got := proxyLine(netip.MustParseAddrPort(tt.from), netip.MustParseAddrPort(tt.to)); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
	if got := proxyLine(netip.AddrPort{}, netip.AddrPort{}); got != "PROXY UNKNOWN\r\n" {
		t.Errorf("without addresses: %q", got)
	}
}
