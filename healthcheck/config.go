// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultConfig returns the default check of a type: every 2 s or up to 5 % sooner, with a timeout of 1 s, healthy after 2
// successes, unhealthy after 3 failures, flapping after 6 changes in 5 minutes. By type:
//
//   - HTTP and HTTPS: GET / by version 1.1, any status from 200 to 299. Redirects are not followed.
//   - GRPC: without TLS.
//   - DNS: the name servers of the root.
//   - Exec: as user nobody. The caller must set Command.
func DefaultConfig(t Type) Config {
	c := Config{
		Type: t, Interval: 2 * time.Second, Timeout: time.Second, Rise: 2, Fall: 3, Jitter: 5,
		Flap: Flap{Changes: 6, Window: 5 * time.Minute},
	}
	switch t {
	case HTTP, HTTPS:
		c.Method = "GET"
		c.Path = "/"
		c.Version = HTTP11
		c.Status = []StatusRange{{First: 200, Last: 299}}
		if t == HTTPS {
			c.TLS = TLS{On: true, Minimum: TLS12}
		}
	case DNS:
		c.Query = Query{Name: ".", Type: "NS"}
	case Exec:
		c.User = "nobody"
	}
	return c
}

// Peer returns the address that probes connect to: the VIP, or the target's own address.
func (t Target) Peer() netip.AddrPort {
	to := t.Endpoint()
	if t.Config.Via.IsValid() {
		to = netip.AddrPortFrom(t.Config.Via, to.Port())
	}
	return to
}

// Endpoint returns the target's own address and port under this check.
func (t Target) Endpoint() netip.AddrPort {
	to := t.Addr
	if t.Config.Address.IsValid() {
		to = netip.AddrPortFrom(t.Config.Address, to.Port())
	}
	if t.Config.Port != 0 {
		to = netip.AddrPortFrom(to.Addr(), t.Config.Port)
	}
	return to
}

// ForServer returns a path with the address and the port of a server in the place of the placeholders.
func ForServer(path string, server netip.AddrPort) string {
	if !strings.Contains(path, "{") {
		return path
	}
	return strings.NewReplacer(
		AddressPlaceholder, server.Addr().String(), PortPlaceholder, strconv.Itoa(int(server.Port())),
	).Replace(path)
}

// SameProbe reports whether two checks are equal except for Address and Port. If both also have the same endpoint, one probe is
// enough for both.
func (c *Config) SameProbe(o *Config) bool {
	return c.Type == o.Type && c.Interval == o.Interval && c.Timeout == o.Timeout && c.Rise == o.Rise && c.Fall == o.Fall &&
		c.IntervalDown == o.IntervalDown && c.FastInterval == o.FastInterval && c.Jitter == o.Jitter && c.Flap == o.Flap &&
		c.Via == o.Via && c.Source == o.Source && c.Mark == o.Mark && c.Device == o.Device &&
		slices.Equal(c.Command, o.Command) && c.User == o.User && c.ExitWeight == o.ExitWeight &&
		c.File == o.File && c.Process == o.Process && c.Unit == o.Unit &&
		c.Send == o.Send && c.Expect == o.Expect && c.Forbid == o.Forbid && slices.Equal(c.Steps, o.Steps) && c.Proxy == o.Proxy &&
		c.IgnoreSilence == o.IgnoreSilence && c.Radius == o.Radius &&
		c.Method == o.Method && c.Path == o.Path && c.Host == o.Host && c.Version == o.Version && c.Body == o.Body &&
		slices.Equal(c.Headers, o.Headers) && slices.Equal(c.Status, o.Status) &&
		slices.Equal(c.Fields, o.Fields) && c.Content == o.Content &&
		c.TLS == o.TLS && c.Service == o.Service && c.Query == o.Query && c.Hello == o.Hello
}

// Longest returns the longest time from the start of one probe to the start of the next. Probes of a target do not overlap.
func (c *Config) Longest() time.Duration { return max(c.Interval, c.Timeout) }

// Conversation returns the steps of a TCP check.
func (c *Config) Conversation() []Step {
	if len(c.Steps) > 0 {
		return c.Steps
	}
	return []Step{{Send: c.Send, Expect: c.Expect, Forbid: c.Forbid}}
}

// OnlyConnects reports whether the check sends and expects nothing. Through the VIP such a check needs no IPVS service.
func (c *Config) OnlyConnects() bool {
	return c.Type == TCP && c.Send == "" && c.Expect == "" && len(c.Steps) == 0 && c.Proxy == 0 && !c.TLS.On
}
