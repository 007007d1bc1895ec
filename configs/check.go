// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// httpKeys are the keys of a check that only type http has.
var httpKeys = []string{"method", "path", "host", "status"}

func checkTable() kind[healthcheck.Config] {
	usual := healthcheck.DefaultConfig(healthcheck.HTTP)
	return tableOf(checkCheck,
		optional("type", enum(healthcheck.TCP, healthcheck.HTTP), healthcheck.TCP,
			"What the probe does: connect, or also ask for a page.",
			func(c *healthcheck.Config, v healthcheck.Type) { c.Type = v }),
		optional("interval", duration(100*time.Millisecond, time.Hour, time.Nanosecond), usual.Interval,
			"The time from the start of one probe to the start of the next.",
			func(c *healthcheck.Config, v time.Duration) { c.Interval = v }),
		optional("timeout", duration(10*time.Millisecond, time.Hour, time.Nanosecond), usual.Timeout,
			"The time that a probe may take as a whole; at most the interval.",
			func(c *healthcheck.Config, v time.Duration) { c.Timeout = v }),
		optional("rise", integer(1, 100), usual.Rise, "The successes in a row that make an unhealthy server healthy.",
			func(c *healthcheck.Config, v int) { c.Rise = v }),
		optional("fall", integer(1, 100), usual.Fall, "The failures in a row that make a server unhealthy.",
			func(c *healthcheck.Config, v int) { c.Fall = v }),
		derived("port", integer[uint16](1, math.MaxUint16), "The port that is probed; the real server's own unless given.",
			func(c *healthcheck.Config, v uint16) { c.Port = v }),
		optional("method", oneOf("GET", "HEAD", "OPTIONS", "POST"), usual.Method, "The HTTP method.",
			func(c *healthcheck.Config, v string) { c.Method = v }),
		optional("path", plain("a path that begins with a slash, with its query", validPath), usual.Path,
			"The page that is asked for. Redirects are not followed.",
			func(c *healthcheck.Config, v string) { c.Path = v }),
		derived("host", plain("a host name or address, with or without a port", validHost),
			"The Host header; the real server's address unless given.",
			func(c *healthcheck.Config, v string) { c.Host = v }),
		optional("status", statuses(), usual.Status, "The status codes that count as success.",
			func(c *healthcheck.Config, v []healthcheck.StatusRange) { c.Status = slices.Clone(v) }),
	)
}

func checkCheck(at place, c *healthcheck.Config) {
	checkTimeout(at, *c)
	if c.Type != healthcheck.TCP {
		return
	}
	for _, name := range httpKeys {
		if at.given(name) {
			at.key(name).mistake(`write type = "http", or remove it`, "has no meaning for a check of type %q", c.Type.String())
		}
	}
	c.Method, c.Path, c.Host, c.Status = "", "", "", nil
}

// checkTimeout keeps the probes of one target apart.
func checkTimeout(at place, c healthcheck.Config) {
	if c.Timeout > c.Interval && at.sound("timeout", "interval") {
		at.key("timeout").mistake("set both so that a probe ends before the next begins",
			"%s is longer than the interval, %s", showDuration(c.Timeout), showDuration(c.Interval))
	}
}

// statuses are codes and ranges of codes.
func statuses() kind[[]healthcheck.StatusRange] {
	const most = 100
	return list(text("string", `codes ("304") and ranges ("200-299") from 200 to 599`,
		func(s string) (healthcheck.StatusRange, *refusal) {
			r, err := healthcheck.ParseStatusRange(s)
			if err != nil {
				return r, refuse(`write a code ("304") or a range ("200-299") from 200 to 599`, "%q is not a status", abbreviate(s))
			}
			return r, nil
		}, healthcheck.StatusRange.String), 1, most)
}

// validPath keeps a path from ending the request line that it stands in (RFC 9112, section 3).
func validPath(s string) *refusal {
	odd := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' }
	switch {
	case !strings.HasPrefix(s, "/"):
		return refuse("", "%q does not begin with a slash", abbreviate(s))
	case strings.ContainsFunc(s, odd):
		return refuse("write such characters in percent notation", "%q has white space, a #, or characters beyond ASCII", abbreviate(s))
	}
	return nil
}

// validHost follows RFC 9110, section 7.2.
func validHost(s string) *refusal {
	host := s
	if h, port, err := net.SplitHostPort(s); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return refuse("", "%q is not a port: want 1 to 65535", abbreviate(port))
		}
		host = h
	} else if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		host = s[1 : len(s)-1]
	}
	ok := validHostName(host)
	if strings.HasPrefix(s, "[") {
		a, err := netip.ParseAddr(host)
		ok = err == nil && a.Is6() && a.Zone() == ""
	}
	if !ok {
		return refuse(`write "www.example.org", "192.0.2.1:8080" or "[2001:db8::1]"`, "%q cannot be a Host header", abbreviate(s))
	}
	return nil
}
