// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"time"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A signing is an hmac table as it is written.
type signing struct {
	vrrp.HMAC
	keys []KeyFile
}

func hmacTable() toml.SchemaType[signing] {
	return toml.Table(checkSigning,
		toml.Optional("mode", toml.Enum(vrrp.HMACReceiveOnly, vrrp.HMACPermissive, vrrp.HMACEnforce), vrrp.HMACEnforce,
			"receive-only sends unsigned advertisements, permissive and enforce send signed ones. receive-only and permissive also accept "+
				"unsigned ones, so they do not protect yet. A wrong signature is refused in each mode.",
			func(s *signing, v vrrp.HMACMode) { s.Mode = v }),
		toml.Optional("anti_replay", toml.Enum(vrrp.AntiReplayTime, vrrp.AntiReplayMonotonic), vrrp.AntiReplayTime,
			"How a repeated advertisement is recognised. It must be the same on both directors. With time, the clocks must agree to "+
				"time_window: run NTP. With monotonic, clocks do not matter: the state directory remembers the last advertisement of each "+
				"sender. But an old advertisement of a sender that was never heard before is accepted once, if it is no farewell.",
			func(s *signing, v vrrp.AntiReplay) { s.AntiReplay = v }),
		toml.Derived("time_window", toml.Duration(vrrp.MinTimeWindow, vrrp.MaxTimeWindow, time.Second),
			"The largest accepted difference between the time in an advertisement and the clock here.",
			func(s *signing, v time.Duration) { s.Window = v }).
			OnlyFor("anti_replay = \"time\"").Unset("three times advert_interval, at least 5s").Example(`"5s"`),
		toml.Derived("active_key", toml.Integer[uint8](1, 255), "The id of the key that signs.",
			func(s *signing, v uint8) { s.ActiveKey = v }).Unset("the only key").Example("1"),
		toml.Required("key", toml.List(keyTable(), 1, 16), `[{ id = 1, file = "/etc/tandem/vrrp-1.key" }]`,
			"A key whose signatures are accepted. Both directors need the same keys under the same ids.",
			func(s *signing, v []KeyFile) { s.keys = v }),
	)
}

// MakeKey returns the shell command that makes a key in a file.
func MakeKey(file string) string {
	return "(umask 077; echo hex:$(od -An -tx1 -N32 /dev/urandom | tr -dc 0-9a-f) > " + file + ")"
}

func keyTable() toml.SchemaType[KeyFile] {
	return toml.Table(func(at toml.Node, k *KeyFile) { k.Place = at.Key("file").Place() },
		toml.Required("id", toml.Integer[uint8](1, 255), "1", "The number of the key in advertisements.",
			func(k *KeyFile, v uint8) { k.ID = v }),
		toml.Required("file", toml.String("an absolute path", absolutePath), `"/etc/tandem/vrrp-1.key"`,
			"A file with the key: 32 to 64 octets, or hex: and their digits. Only its owner may have access (mode 0600 or 0400), and "+
				"the owner must be the user of the director: chown tandem /etc/tandem/vrrp-1.key. To make one: "+
				MakeKey("/etc/tandem/vrrp-1.key")+".",
			func(k *KeyFile, v string) { k.Path = v }),
	)
}

// checkSigning finds the key that signs.
func checkSigning(at toml.Node, s *signing) {
	if !at.Sound("key", "active_key", "anti_replay") {
		return
	}
	ids := firstUse[uint8]{}
	for i, k := range s.keys {
		here := at.Key("key").Index(i)
		if earlier, ok := ids.add(k.ID, here); !ok {
			here.Key("id").Mistake("give each key its own id", "%d is already the id of %s", k.ID, earlier.Describe())
		}
		s.Keys = append(s.Keys, vrrp.Key{ID: k.ID})
	}
	_, known := ids[s.ActiveKey]
	switch {
	case at.Has("active_key") && !known:
		at.Key("active_key").Mistake("write the id of one of the keys", "there is no key %d", s.ActiveKey)
	case !at.Has("active_key") && len(s.keys) > 1:
		at.Mistake("write active_key, the id of the key that signs", "has %d keys, and does not say which one signs", len(s.keys))
	case !at.Has("active_key"):
		s.ActiveKey = s.keys[0].ID
	}
	if at.Has("time_window") && s.AntiReplay != vrrp.AntiReplayTime {
		at.Key("time_window").Mistake("remove it", "has no meaning with anti_replay = %q", s.AntiReplay)
	}
}

// checkHMAC applies the rules about hmac and other keys of a virtual router.
func checkHMAC(at toml.Node, r *virtualRouter) {
	if !r.HMAC.On() || !at.Sound("hmac") {
		return
	}
	if at.Has("auth_pass") && at.Sound("auth_pass") {
		at.Key("auth_pass").Mistake("remove one of them", "cannot be combined with hmac")
	}
	if r.HMAC.AntiReplay == vrrp.AntiReplayTime && r.HMAC.Window == 0 {
		r.HMAC.Window = vrrp.DefaultTimeWindow(r.AdvertInterval)
	}
}

// SetSecret gives a key of a virtual router its secret.
func (c *Config) SetSecret(router string, id uint8, secret vrrp.Secret) {
	for i := range c.Routers {
		r := &c.Routers[i]
		if r.Name != router {
			continue
		}
		keys := append([]vrrp.Key(nil), r.HMAC.Keys...) // both families of a router share the list
		for j := range keys {
			if keys[j].ID == id {
				keys[j].Secret = secret
			}
		}
		r.HMAC.Keys = keys
	}
}
