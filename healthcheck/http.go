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
	"time"
)

const hungUpEarly = "connection closed before a response"

// exchange sends the request of an HTTP check and judges the status of the response. The body is not read, so a
// server is asked with HEAD where even making it is too much.
func exchange(ctx context.Context, conn net.Conn, t Target) result {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_, err := conn.Write(request(t))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return explain(ctx, err, t.Config.Timeout, "sending the request")
	}
	// Any other error of the write is the server hanging up, perhaps after an answer: reading will tell.
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
		case err != nil && closed(err):
			return fail(h.moment(hungUpEarly, "connection closed in the middle of the response header"))
		case err != nil:
			return explain(ctx, err, t.Config.Timeout, h.moment("waiting for the response", "reading the response header"))
		}
	}
}

func judge(status int, want []StatusRange) result {
	in := func(r StatusRange) bool { return r.First <= status && status <= r.Last }
	if slices.ContainsFunc(want, in) {
		return pass(fmt.Sprintf("status %d", status))
	}
	return fail(fmt.Sprintf("status %d, want %s", status, wanted(want)))
}

// request is what an HTTP check sends. The configuration is valid: nothing in it ends a line.
func request(t Target) []byte {
	b := fmt.Appendf(make([]byte, 0, 256), "%s %s HTTP/1.1\r\nHost: %s\r\n", t.Config.Method, t.Config.Path, host(t))
	switch t.Config.Method {
	case "POST", "PUT", "PATCH":
		// RFC 9110, section 8.6: a method that is expected to have content says so when it has none.
		b = append(b, "Content-Length: 0\r\n"...)
	}
	return append(b, "User-Agent: tandem\r\nAccept: */*\r\nConnection: close\r\n\r\n"...)
}

// host is the Host header: RFC 9110, section 7.2; the port is left out where it is the scheme's own, and a zone means
// nothing to the server.
func host(t Target) string {
	if t.Config.Host != "" {
		return t.Config.Host
	}
	to := t.endpoint()
	addr := to.Addr().Unmap().WithZone("")
	switch {
	case to.Port() != 80:
		return netip.AddrPortFrom(addr, to.Port()).String()
	case addr.Is6():
		return "[" + addr.String() + "]"
	}
	return addr.String()
}
