// SPDX-License-Identifier: Apache-2.0

// Package http1 writes the requests of checks over HTTP version 1, and judges the responses.
package http1

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// Request returns the HTTP/1.x request of a check. A valid configuration contains no line breaks.
func Request(t *healthcheck.Target) []byte {
	c := &t.Config
	version := "1.1"
	if c.Version == healthcheck.HTTP10 {
		version = "1.0"
	}
	b := fmt.Appendf(make([]byte, 0, 256+len(c.Body)), "%s %s HTTP/%s\r\nHost: %s\r\n", c.Method, c.Path, version, Host(t))
	if AnnouncesLength(c) {
		b = fmt.Appendf(b, "Content-Length: %d\r\n", len(c.Body))
	}
	for _, h := range Headers(c) {
		b = fmt.Appendf(b, "%s: %s\r\n", h.Name, h.Value)
	}
	b = append(b, "Connection: close\r\n\r\n"...)
	return append(b, c.Body...)
}

// AnnouncesLength reports whether a request has Content-Length. RFC 9110, section 8.6: a method that normally has content
// announces the length even of empty content.
func AnnouncesLength(c *healthcheck.Config) bool {
	return c.Body != "" || slices.Contains([]string{"POST", "PUT", "PATCH"}, c.Method)
}

// Headers returns the header fields that do not follow from the rest of the request: two usual ones, which the configuration
// can replace, and the configured ones.
func Headers(c *healthcheck.Config) []healthcheck.Header {
	all := make([]healthcheck.Header, 0, len(c.Headers)+2)
	for _, usual := range []healthcheck.Header{{Name: "User-Agent", Value: "tandem"}, {Name: "Accept", Value: "*/*"}} {
		given := func(h healthcheck.Header) bool { return strings.EqualFold(h.Name, usual.Name) }
		if !slices.ContainsFunc(c.Headers, given) {
			all = append(all, usual)
		}
	}
	return append(all, c.Headers...)
}

// Host returns the Host header (RFC 9110, section 7.2). It omits the scheme's default port, and the zone of an address, which
// means nothing to the server.
func Host(t *healthcheck.Target) string {
	if t.Config.Host != "" {
		return t.Config.Host
	}
	to := t.Peer()
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

// Judge compares a status with the wanted ones.
func Judge(status int, want []healthcheck.StatusRange) healthcheck.Result {
	in := func(r healthcheck.StatusRange) bool { return r.First <= status && status <= r.Last }
	if slices.ContainsFunc(want, in) {
		return healthcheck.Pass(fmt.Sprintf("status %d", status))
	}
	words := make([]string, len(want))
	for i, r := range want {
		words[i] = r.String()
	}
	return healthcheck.FailCode(healthcheck.Unexpected, status, fmt.Sprintf("status %d, want %s", status, strings.Join(words, ", ")))
}
