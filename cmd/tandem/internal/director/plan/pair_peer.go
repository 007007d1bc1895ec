// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/tandem-lvs/tandem/configs"
)

// drill compares when drills are made: only the master makes them.
func (c *comparison) drill() {
	for _, f := range differing(c.a.Drill, c.b.Drill) {
		c.odd("drill: %s is %s in %s and %s in %s: which counts depends on who is master then", f.key, f.was, c.inA, f.is, c.inB)
	}
}

// web finds a page that only one of the directors can serve: its address was copied. That only one has a page is no fault.
func (c *comparison) web() {
	at, err := netip.ParseAddrPort(c.a.Web.Listen)
	if err == nil && c.a.Web.Listen == c.b.Web.Listen && !at.Addr().IsUnspecified() && !at.Addr().IsLoopback() {
		c.odd("web: listen is %s in %s and in %s: only one machine has that address; each needs its own", at, c.inA, c.inB)
	}
}

// peer compares both ends of the channel between the directors.
func (c *comparison) peer() {
	x, y := c.a.Peer, c.b.Peer
	switch {
	case !x.On() && !y.On():
		return
	case !x.On() || !y.On():
		with, without := c.inA, c.inB
		if y.On() {
			with, without = without, with
		}
		c.odd("[peer] is in %s only: the channel needs it in %s too", with, without)
		return
	}
	if x.Address == y.Address {
		c.wrong("peer: both directors have the address %s: each needs that of the other", x.Address)
	}
	if x.Key != y.Key {
		c.wrong("peer: key differs between %s and %s: both need the same file", c.inA, c.inB)
	}
	if (x.TLS.CertFile == "") != (y.TLS.CertFile == "") {
		with := c.inA
		if x.TLS.CertFile == "" {
			with = c.inB
		}
		c.wrong("peer: only %s has certificates (tls_cert): both need them, or none", with)
	}
	if x.AcceptConfig != y.AcceptConfig {
		c.odd("peer: accept_config is %t in %s and %t in %s: tandem apply FILE --pair works from one side only", x.AcceptConfig, c.inA, y.AcceptConfig, c.inB)
	}
	for _, one := range []struct {
		from, to      configs.Peer
		dials, listen string
	}{{x, y, c.inA, c.inB}, {y, x, c.inB, c.inA}} {
		if port := strconv.Itoa(int(one.from.Address.Port())); !strings.HasSuffix(one.to.Listen, ":"+port) {
			c.wrong("peer: %s connects to port %s, and %s listens on %s", one.dials, port, one.listen, one.to.Listen)
		}
	}
}
