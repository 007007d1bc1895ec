// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// hmac reads mode:active:key,key[:monotonic]; the window is 5 s.
func (p *transcript) hmac(s string) HMAC {
	if s == "none" {
		return HMAC{}
	}
	parts := strings.Split(s, ":")
	c := HMAC{AntiReplay: AntiReplayTime, Window: 5 * time.Second, ActiveKey: uint8(p.number(parts[1]))}
	for m := HMACReceiveOnly; m <= HMACEnforce; m++ {
		if m.String() == parts[0] {
			c.Mode = m
		}
	}
	for id := range strings.SplitSeq(parts[2], ",") {
		c.Keys = append(c.Keys, testKey(uint8(p.number(id))))
	}
	if len(parts) > 3 {
		c.AntiReplay, c.Window = AntiReplayMonotonic, 0
	}
	if why := c.problem(); why != "" {
		p.t.Fatal(why)
	}
	return c
}

// attack sends a party what another one sent, oldest first, or what somebody without a key makes up.
func (p *transcript) attack(how string, a *party, args string) {
	name, rest, _ := strings.Cut(args, " ")
	from := p.party(name)
	if how == "replay" {
		for _, message := range slices.Clone(from.sent) {
			p.deliver(delivery{at: p.now, from: from, to: a, message: message})
		}
		return
	}
	forged := from.Packet
	forged.Priority = uint8(p.number(rest))
	for _, key := range []*signer{nil, newSigner(Key{from.Config.HMAC.ActiveKey, NewSecret(make([]byte, MinSecret))})} {
		forged.signer, forged.sequence = key, stamp(p.now)+9
		p.deliver(delivery{at: p.now, from: from, to: a, message: forged.AppendTo(nil, from.addr, Group4)})
	}
}

// countDrops writes what a party has refused since the last time.
func (p *transcript) countDrops(a *party) {
	var all []string
	for d, n := range a.dropped.All() {
		if n > 0 {
			all = append(all, fmt.Sprintf("%s %d", d, n))
		}
	}
	a.dropped = Drops{}
	p.line(a, "has dropped: %s", strings.Join(all, ", "))
}

// restart starts a party again, with its sequences as a file has them.
func (p *transcript) restart(a *party) {
	text, err := json.Marshal(a.Sequences())
	var s Sequences
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	a.Router = NewRouter(a.Config)
	a.Restore(s)
	p.step(a, Event{Kind: EventUp, Source: a.addr})
}
