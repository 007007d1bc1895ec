// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strconv"
	"strings"

	"github.com/tandem-lvs/tandem/configs"
)

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
	for _, one := range []struct {
		from, to      configs.Peer
		dials, listen string
	}{{x, y, c.inA, c.inB}, {y, x, c.inB, c.inA}} {
		if port := strconv.Itoa(int(one.from.Address.Port())); !strings.HasSuffix(one.to.Listen, ":"+port) {
			c.wrong("peer: %s connects to port %s, and %s listens on %s", one.dials, port, one.listen, one.to.Listen)
		}
	}
}
