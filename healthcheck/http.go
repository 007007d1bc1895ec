// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// ownHeaders are those that follow from the rest of the check.
var ownHeaders = []string{"Host", "Content-Length", "Transfer-Encoding", "Connection"}

// exchange sends the request of an HTTP check by version 1 and judges the response. The body is not read unless
// something is wanted of it, so a server is asked with HEAD where even making it is too much.
func exchange(ctx context.Context, conn net.Conn, t Target) result {
	_, err := conn.Write(request(t))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return explain(ctx, err, t.Config.Timeout, "sending the request")
	}
	// Any other error of the write is the server hanging up, perhaps after an answer: reading will tell.
	if t.Config.Content != (Content{}) {
		return examine(ctx, conn, t)
	}
	var h head
	buf := make([]byte, 1024)
	for {
		n, err := conn.Read(buf)
		done, malformed := h.feed(buf[:n])
		switch {
		case malformed != nil:
			return fail("malformed response: " + malformed.Error())
		case done:
			return judge(h.status, t.Config.Status)
		case err != nil:
			return h.broken(ctx, err, t)
		}
	}
}

// broken explains why the response ended within its header.
func (h *head) broken(ctx context.Context, err error, t Target) result {
	return hungUp(ctx, err, t, h.moment(hungUpEarly, "connection closed in the middle of the response header"),
		h.moment("waiting for the response", "reading the response header"))
}

func judge(status int, want []StatusRange) result {
	in := func(r StatusRange) bool { return r.First <= status && status <= r.Last }
	if slices.ContainsFunc(want, in) {
		return pass(fmt.Sprintf("status %d", status))
	}
	return fail(fmt.Sprintf("status %d, want %s", status, wanted(want)))
}

// request is what an HTTP check sends by version 1. The configuration is valid: nothing in it ends a line.
func request(t Target) []byte {
	c := t.Config
	version := "1.1"
	if c.Version == HTTP10 {
		version = "1.0"
	}
	b := fmt.Appendf(make([]byte, 0, 256+len(c.Body)), "%s %s HTTP/%s\r\nHost: %s\r\n", c.Method, c.Path, version, host(t))
	if c.Body != "" || slices.Contains([]string{"POST", "PUT", "PATCH"}, c.Method) {
		// RFC 9110, section 8.6: a method that is expected to have content says so also when it has none.
		b = fmt.Appendf(b, "Content-Length: %d\r\n", len(c.Body))
	}
	for _, h := range headers(c) {
		b = fmt.Appendf(b, "%s: %s\r\n", h.Name, h.Value)
	}
	b = append(b, "Connection: close\r\n\r\n"...)
	return append(b, c.Body...)
}

// headers are the header lines of a request that do not follow from the rest of it: the usual two, which the
// configuration may say differently, and the configured ones.
func headers(c Config) []Header {
	all := make([]Header, 0, len(c.Headers)+2)
	for _, usual := range []Header{{"User-Agent", "tandem"}, {"Accept", "*/*"}} {
		given := func(h Header) bool { return strings.EqualFold(h.Name, usual.Name) }
		if !slices.ContainsFunc(c.Headers, given) {
			all = append(all, usual)
		}
	}
	return append(all, c.Headers...)
}

// host is the Host header: RFC 9110, section 7.2; the port is left out where it is the scheme's own, and a zone means
// nothing to the server.
func host(t Target) string {
	if t.Config.Host != "" {
		return t.Config.Host
	}
	to := t.peer()
	usual := uint16(80)
	if t.Config.TLS.On {
		usual = 443
	}
	addr := to.Addr().Unmap().WithZone("")
	switch {
	case to.Port() != usual:
		return netip.AddrPortFrom(addr, to.Port()).String()
	case addr.Is6():
		return "[" + addr.String() + "]"
	}
	return addr.String()
}
