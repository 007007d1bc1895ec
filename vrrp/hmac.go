// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"slices"
	"time"
)

// The sizes of a key in octets (draft-cassen-vrrp-auth-hmac, and keepalived 2.4.2).
const (
	MinSecret = 32
	MaxSecret = 64
)

// The bounds of HMAC.Window.
const (
	MinTimeWindow = time.Second
	MaxTimeWindow = 5 * time.Minute
)

// An HMAC is how a virtual router signs its advertisements, and which ones it accepts: a trailer with a keyed hash and a
// sequence number, as keepalived's auth_hmac. The zero HMAC is none.
type HMAC struct {
	Mode HMACMode `json:"mode"`
	// AntiReplay says how a replayed advertisement is recognised.
	AntiReplay AntiReplay `json:"anti_replay"`
	// Window is the largest accepted difference between the time in an advertisement and our clock, for AntiReplayTime. It is a
	// whole number of seconds, 1 s to 5 min.
	Window time.Duration `json:"time_window,omitempty"`
	// ActiveKey is the ID of the key that signs.
	ActiveKey uint8 `json:"active_key"`
	// Keys are all keys whose signatures are accepted.
	Keys []Key `json:"keys"`
}

// A Key is a secret that the routers share, and its number on the wire. Its JSON has no secret.
type Key struct {
	// ID is 1 to 255.
	ID     uint8  `json:"id"`
	Secret Secret `json:"-"`
}

// A Secret is the octets of a key. Its text forms do not show them.
type Secret struct{ octets string }

// NewSecret returns the secret with these octets.
func NewSecret(octets []byte) Secret { return Secret{string(octets)} }

// Octets returns a copy of the octets.
func (s Secret) Octets() []byte { return []byte(s.octets) }

// Len returns the number of octets.
func (s Secret) Len() int { return len(s.octets) }

// String says that there is a secret.
func (s Secret) String() string { return "(secret)" }

// GoString says that there is a secret.
func (s Secret) GoString() string { return "(secret)" }

// An HMACMode says which advertisements are signed, and which are accepted. A wrong signature is never accepted.
type HMACMode uint8

// The modes, in the order in which a running pair goes through them.
const (
	HMACReceiveOnly HMACMode = iota + 1 // sends unsigned, accepts signed and unsigned
	HMACPermissive                      // sends signed, accepts signed and unsigned
	HMACEnforce                         // sends signed, accepts signed only
)

// String returns the mode as files name it.
func (m HMACMode) String() string {
	switch m {
	case HMACReceiveOnly:
		return "receive-only"
	case HMACPermissive:
		return "permissive"
	case HMACEnforce:
		return "enforce"
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// An AntiReplay says how a replayed advertisement is recognised. In both ways the sequence of a sender must grow.
type AntiReplay uint8

// The ways.
const (
	AntiReplayTime      AntiReplay = iota + 1 // the time in the advertisement must be near our clock as well
	AntiReplayMonotonic                       // clocks do not matter; the sequences survive a restart
)

// String returns the way as files name it.
func (a AntiReplay) String() string {
	switch a {
	case AntiReplayTime:
		return "time"
	case AntiReplayMonotonic:
		return "monotonic"
	}
	return fmt.Sprintf("way %d", uint8(a))
}

// DefaultTimeWindow is the Window for an advertisement interval where none is configured, as in keepalived: three intervals,
// rounded up to seconds, but at least 5 s.
func DefaultTimeWindow(interval time.Duration) time.Duration {
	return max(5*time.Second, (3*interval + time.Second - 1).Truncate(time.Second))
}

// On reports whether there are keys.
func (c *HMAC) On() bool { return c.Mode != 0 }

// signs reports whether advertisements are sent with a signature.
func (c *HMAC) signs() bool { return c.Mode == HMACPermissive || c.Mode == HMACEnforce }

// IDs returns the numbers of the keys.
func (c *HMAC) IDs() []uint8 {
	ids := make([]uint8, len(c.Keys))
	for i, k := range c.Keys {
		ids[i] = k.ID
	}
	return ids
}

// SameAs reports whether c and o differ at most in the secrets.
func (c *HMAC) SameAs(o *HMAC) bool {
	return c.Mode == o.Mode && c.AntiReplay == o.AntiReplay && c.Window == o.Window && c.ActiveKey == o.ActiveKey &&
		slices.EqualFunc(c.Keys, o.Keys, func(a, b Key) bool { return a.ID == b.ID })
}

// Public returns c without the secrets.
func (c HMAC) Public() HMAC {
	c.Keys = slices.Clone(c.Keys)
	for i := range c.Keys {
		c.Keys[i].Secret = Secret{}
	}
	return c
}

// Secrets returns the octets of the keys, in their order.
func (c *HMAC) Secrets() [][]byte {
	var all [][]byte
	for _, k := range c.Keys {
		all = append(all, k.Secret.Octets())
	}
	return all
}

// WithSecrets returns c with these secrets, in the order of the keys. A key without one stays without.
func (c HMAC) WithSecrets(all [][]byte) HMAC {
	c.Keys = slices.Clone(c.Keys)
	for i := range c.Keys[:min(len(c.Keys), len(all))] {
		c.Keys[i].Secret = NewSecret(all[i])
	}
	return c
}

// problem says why this cannot work; "" if it can.
func (c *HMAC) problem() string {
	if !c.On() {
		if len(c.Keys) > 0 {
			return "hmac keys without a mode are not valid"
		}
		return ""
	}
	active := false
	for i, k := range c.Keys {
		switch n := k.Secret.Len(); {
		case k.ID == 0:
			return "hmac key 0 is not valid"
		case slices.ContainsFunc(c.Keys[:i], func(o Key) bool { return o.ID == k.ID }):
			return fmt.Sprintf("there are two hmac keys %d", k.ID)
		case n < MinSecret || n > MaxSecret:
			return fmt.Sprintf("hmac key %d has %d octets: %d to %d are valid", k.ID, n, MinSecret, MaxSecret)
		}
		active = active || k.ID == c.ActiveKey
	}
	switch {
	case c.Mode > HMACEnforce:
		return fmt.Sprintf("hmac %s is not valid", c.Mode)
	case !active:
		return fmt.Sprintf("there is no hmac key %d", c.ActiveKey)
	case c.AntiReplay != AntiReplayTime && c.AntiReplay != AntiReplayMonotonic:
		return fmt.Sprintf("hmac anti-replay %s is not valid", c.AntiReplay)
	case c.AntiReplay == AntiReplayTime && (c.Window < MinTimeWindow || c.Window > MaxTimeWindow || c.Window%time.Second != 0):
		return fmt.Sprintf("hmac time window %s is not valid", c.Window)
	}
	return ""
}
