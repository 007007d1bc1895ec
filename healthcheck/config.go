// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// DefaultConfig is the check of a type as it is when nothing else is asked for: every 2 s, 1 s for an answer, healthy
// after 2 successes, unhealthy after 3 failures; for HTTP, GET / with any status from 200 to 299; for Exec, as nobody, and
// what is run is the caller's to say. Redirects are not followed, so a server that redirects passes only if its status is
// among those wanted.
func DefaultConfig(t Type) Config {
	c := Config{Type: t, Interval: 2 * time.Second, Timeout: time.Second, Rise: 2, Fall: 3}
	switch t {
	case HTTP:
		c.Method = "GET"
		c.Path = "/"
		c.Status = []StatusRange{{First: 200, Last: 299}}
	case Exec:
		c.User = "nobody"
	}
	return c
}

// Validate tells what would keep the check from running, all of it in one error. It sets no policy: an interval may be as
// short as the caller likes.
func (c Config) Validate() error {
	var errs []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(c.Type < TCP || c.Type > Exec, "no such check: %s", c.Type)
	wrong(c.Interval <= 0, "interval %s: must be above 0", c.Interval)
	wrong(c.Timeout <= 0, "timeout %s: must be above 0", c.Timeout)
	wrong(c.Timeout > c.Interval, "timeout %s: longer than the interval, %s", c.Timeout, c.Interval)
	wrong(c.Rise < 1, "rise %d: must be at least 1", c.Rise)
	wrong(c.Fall < 1, "fall %d: must be at least 1", c.Fall)
	switch c.Type {
	case Exec:
		wrong(len(c.Command) == 0 || !strings.HasPrefix(c.Command[0], "/"),
			"command %q: must begin with the absolute path of a program", c.Command)
		wrong(strings.Contains(strings.Join(c.Command, ""), "\x00"), "command %q: must not hold NUL", c.Command)
		wrong(c.User == "", "user: must be given")
	case HTTP:
		wrong(!isToken(c.Method) || c.Method == "CONNECT", "method %q: not one that asks for a path", c.Method)
		wrong(!isPath(c.Path), "path %q: must begin with a slash and be printable ASCII without spaces or #", c.Path)
		wrong(!isHost(c.Host), "host %q: not fit for a Host header", c.Host)
		wrong(len(c.Status) == 0, "status: at least one is needed")
		for _, s := range c.Status {
			errs = append(errs, s.validate())
		}
	}
	return errors.Join(errs...)
}

func (s StatusRange) validate() error {
	if s.First < 200 || s.Last > 599 || s.First > s.Last {
		return fmt.Errorf("status %d-%d: not a range between 200 and 599", s.First, s.Last)
	}
	return nil
}

// validate tells what would keep the target from being probed.
func (t Target) validate() error {
	var errs []error
	if t.Config.Type != Exec {
		if !t.Addr.Addr().IsValid() {
			errs = append(errs, errors.New("no address to check"))
		}
		if t.endpoint().Port() == 0 {
			errs = append(errs, errors.New("no port to check"))
		}
	}
	return errors.Join(append(errs, t.Config.Validate())...)
}

// endpoint is where the probes connect to.
func (t Target) endpoint() netip.AddrPort {
	if t.Config.Port != 0 {
		return netip.AddrPortFrom(t.Addr.Addr(), t.Config.Port)
	}
	return t.Addr
}

// isToken tells whether s is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	})
}

// isPath tells whether s can stand in a request line (RFC 9112, section 3.2.1); above all it cannot end that line.
func isPath(s string) bool {
	return strings.HasPrefix(s, "/") && !slices.ContainsFunc([]byte(s), func(c byte) bool {
		return c <= ' ' || c >= 0x7f || c == '#'
	})
}

// isHost tells whether s can stand in a Host header (RFC 9110, section 7.2); empty is the default.
func isHost(s string) bool {
	return !slices.ContainsFunc([]byte(s), func(c byte) bool {
		return c <= ' ' || c >= 0x7f || strings.IndexByte(`/\?#@"<>`, c) >= 0
	})
}
