// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"strings"
	"time"
)

// A signing is an auth_hmac of keepalived 2.4.
type signing struct {
	keys []*statement
	rest []*statement // what has one value
}

var signingHandlers = map[string]func(*converter, *signing, *statement){
	"key":         func(c *converter, x *signing, s *statement) { x.keys = append(x.keys, s) },
	"active_key":  func(c *converter, x *signing, s *statement) { x.rest = append(x.rest, s) },
	"mode":        func(c *converter, x *signing, s *statement) { x.rest = append(x.rest, s) },
	"anti_replay": func(c *converter, x *signing, s *statement) { x.rest = append(x.rest, s) },
	"time_window": func(c *converter, x *signing, s *statement) { x.rest = append(x.rest, s) },
}

func (c *converter) readSigning(i *instance, s *statement) {
	i.hmac, i.hmacAt = &signing{}, s.at
	walk(c, "auth_hmac", i.hmac, signingHandlers, s.block)
}

// emitSigning writes the keys of signed advertisements. tandem has keys in files only.
func (c *converter) emitSigning(t *table, i *instance) {
	x := i.hmac
	if x == nil {
		return
	}
	h := t.child(i.hmacAt, "hmac", false)
	for _, s := range x.rest {
		switch s.keyword() {
		case "active_key":
			if n, ok := c.integer(s, 1, 255); ok {
				h.set(s.at, "active_key", tomlInt(n))
			}
		case "time_window":
			if d, ok := c.seconds(s); ok {
				h.set(s.at, "time_window", span(d.Round(time.Second)))
			}
		default:
			h.set(s.at, s.keyword(), tomlString(s.value()))
		}
	}
	for _, s := range x.keys {
		n, ok := c.integer(s, 1, 255)
		if !ok {
			continue
		}
		k := h.child(s.at, "key", true)
		k.set(s.at, "id", tomlInt(n))
		file, ok := strings.CutPrefix(s.valueAt(2), "file:")
		if !ok {
			file = "/etc/tandem/vrrp-" + tomlInt(n) + ".key"
			c.note(s.at, "write hex: and the digits of the key to this file, and make it readable by root only",
				"key %d: tandem reads keys from files: it is %s now", n, file)
		}
		k.set(s.at, "file", tomlString(file))
	}
}
