// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"slices"
	"time"
)

// maxSenders is how many senders' sequences a router remembers. Only holders of a key get here.
const maxSenders = 32

// ownReserve is added to our own restored sequence: a process that was killed may have sent more than was stored.
const ownReserve = uint64(time.Minute/time.Second) << 32

// Sequences are the sequence numbers that a restart must not forget.
type Sequences struct {
	// Own is the last one that we sent.
	Own uint64 `json:"own,omitempty"`
	// Heard are the last ones that were accepted, one of each sender.
	Heard []Sequence `json:"heard,omitempty"`
}

// A Sequence is the last one that was accepted from a sender.
type Sequence struct {
	Sender   netip.Addr `json:"sender"`
	Sequence uint64     `json:"sequence"`
	// Path names the path of a heartbeat; empty: the router's interface. A router sends the same sequence by all paths.
	Path string `json:"path,omitempty"`
}

func (s Sequence) sameSender(o Sequence) bool { return s.Sender == o.Sender && s.Path == o.Path }

// A guard signs a router's advertisements, and verifies those of others.
type guard struct {
	signers []*signer
	active  *signer // nil: advertisements are sent unsigned
	own     uint64  // the last sequence that was sent; 0: none
	heard   []Sequence
	began   time.Time     // when the first signed advertisement arrived
	delay   time.Duration // the longest time by which one path may be behind another one
	skew    time.Duration // of the clock of the last sender whose time was looked at, against ours
}

// configure sets the keys. The sequences stay. A key without its secret signs nothing and accepts nothing. delay is the longest
// time by which one path may be behind another one.
func (g *guard) configure(c HMAC, delay time.Duration) {
	g.signers, g.active, g.delay = nil, nil, delay
	for _, k := range c.Keys {
		if k.Secret.Len() < MinSecret {
			continue
		}
		s := newSigner(k)
		g.signers = append(g.signers, s)
		if c.signs() && k.ID == c.ActiveKey {
			g.active = s
		}
	}
}

// stamp returns the sequence of a moment.
func stamp(wall time.Time) uint64 {
	return uint64(uint32(wall.Unix()))<<32 | uint64(wall.Nanosecond())<<16/uint64(time.Second)<<16
}

// secondsAfter returns by how many seconds a sequence is after a moment; negative: before.
func secondsAfter(sequence uint64, wall time.Time) time.Duration {
	return time.Duration(int32(uint32(sequence>>32)-uint32(wall.Unix()))) * time.Second
}

// newer reports whether a comes after b (RFC 1982).
func newer(a, b uint64) bool { return int64(a-b) > 0 }

// next returns the sequence of the next advertisement. It grows even if the clock goes back. But where receivers compare it
// with their clocks, a sequence that is too far ahead is useless: then it starts from our clock again.
func (g *guard) next(c *HMAC, wall time.Time) uint64 {
	s := stamp(wall)
	lost := c.AntiReplay == AntiReplayTime && secondsAfter(g.own, wall) > c.Window
	if g.own != 0 && !newer(s, g.own) && !lost {
		s = g.own + 1
	}
	g.own = s
	return s
}

// check checks the signature of a message, and remembers its sequence. from has the sender and the path. leaves says that the
// sender gives up its place. What needs no hash is checked first.
func (g *guard) check(c *HMAC, wall time.Time, from Sequence, msg []byte, t Trailer, leaves bool) Drop {
	if t == (Trailer{}) {
		if c.Mode == HMACEnforce {
			return DropUnsigned
		}
		return 0
	}
	i := slices.IndexFunc(g.signers, func(s *signer) bool { return s.id == t.KeyID })
	switch {
	case t.Scheme != schemeHMACSHA256:
		return DropUnknownScheme
	case i < 0:
		return DropUnknownKey
	}
	if c.AntiReplay == AntiReplayTime {
		if g.skew = secondsAfter(t.Sequence, wall); g.skew.Abs() > c.Window {
			return DropStaleTime
		}
	}
	if g.began.IsZero() {
		g.began = wall
	}
	from.Sequence = t.Sequence
	at := slices.IndexFunc(g.heard, from.sameSender)
	if at >= 0 && !newer(t.Sequence, g.heard[at].Sequence) && !g.obsolete(c, wall, at) || g.behind(c, wall, from) ||
		leaves && g.early(wall, t.Sequence) {
		return DropReplayed
	}
	if !g.signers[i].verify(from.Sender, msg) {
		return DropWrongHMAC
	}
	g.remember(at, from)
	return 0
}

// behind reports whether another path has brought a much newer sequence of the same sender. Otherwise, what was recorded on one
// path could be replayed on another one that is silent.
func (g *guard) behind(c *HMAC, wall time.Time, from Sequence) bool {
	lag := uint64(g.delay) << 16 / uint64(time.Second) << 16
	for i, h := range g.heard {
		if h.Sender == from.Sender && h.Path != from.Path && newer(h.Sequence, from.Sequence+lag) && !g.obsolete(c, wall, i) {
			return true
		}
	}
	return false
}

// early reports whether a sequence is from before the first advertisement that this router heard, which was a moment ago. A router
// that was killed does not know what it had heard. So somebody could replay an old farewell to it, until the next advertisement of
// the master that stays. A true farewell at this moment costs the time until the master's silence is noticed.
func (g *guard) early(wall time.Time, sequence uint64) bool {
	return wall.Sub(g.began) < g.delay && !newer(sequence, stamp(g.began))
}

// obsolete reports whether a remembered sequence is so far ahead of our clock that our clock, or the sender's, has been set
// back since. What was sent before would be refused by its time.
func (g *guard) obsolete(c *HMAC, wall time.Time, i int) bool {
	return c.AntiReplay == AntiReplayTime && secondsAfter(g.heard[i].Sequence, wall) > c.Window
}

// remember stores the sequence of a sender, which is at index i or, if i is negative, not known yet. The sender that was heard
// last is the last one in the list; the first one makes room.
func (g *guard) remember(i int, s Sequence) {
	switch {
	case i >= 0 && i == len(g.heard)-1:
		g.heard[i] = s
		return
	case i >= 0:
		g.heard = slices.Delete(g.heard, i, i+1)
	case len(g.heard) == maxSenders:
		g.heard = slices.Delete(g.heard, 0, 1)
	}
	g.heard = append(g.heard, s)
}

// restore adds sequences of an earlier run. Our own one counts only if receivers do not compare it with their clocks.
func (g *guard) restore(c *HMAC, s Sequences) {
	if own := s.Own + ownReserve; s.Own != 0 && c.AntiReplay == AntiReplayMonotonic && (g.own == 0 || newer(own, g.own)) {
		g.own = own
	}
	for _, h := range s.Heard {
		i := slices.IndexFunc(g.heard, h.sameSender)
		switch {
		case i >= 0 && newer(h.Sequence, g.heard[i].Sequence):
			g.heard[i] = h
		case i < 0 && len(g.heard) < maxSenders:
			g.heard = append(g.heard, h)
		}
	}
}
