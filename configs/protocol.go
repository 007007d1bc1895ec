// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

const (
	// maxVIPs is the maximum of the count field of an advertisement (RFC 9568, section 5.2.5).
	maxVIPs = 255

	// maxPassword is the length of the password field (RFC 3768, section 5.3.10).
	maxPassword = 8
)

// protocolVersion returns the schema type of a supported version of VRRP.
func protocolVersion() toml.SchemaType[uint8] {
	k := toml.Integer[uint8](2, 3)
	number := k.Read
	k.Values = "2 (RFC 3768, over IPv4 only) or 3 (RFC 9568)"
	k.Read = func(at toml.Node) uint8 {
		if v, ok := at.Value.(int64); ok && v != 2 && v != 3 {
			at.Mistake("", "version %d is not supported: want %s", v, k.Values)
			return 0
		}
		return number(at)
	}
	return k
}

// advertSpan returns the range of the interval field. In version 3 it has 12 bits for centiseconds (RFC 9568, section 5.2.7).
// In version 2 it has 8 bits for seconds (RFC 3768, section 5.3.7), of which tandem allows as much as in version 3: a handover
// takes four intervals, and a command, systemd or a successor does not wait longer.
func advertSpan(version uint8) toml.Span {
	if version == 2 {
		return toml.Span{Least: time.Second, Most: 40 * time.Second, Step: time.Second}
	}
	return toml.Span{Least: 10 * time.Millisecond, Most: 40950 * time.Millisecond, Step: 10 * time.Millisecond}
}

// advertInterval returns the schema type of an interval of version 3, which includes those of version 2. checkVersion checks
// the version.
func advertInterval() toml.SchemaType[time.Duration] {
	two, three := advertSpan(2), advertSpan(3)
	return toml.DurationIn(three.String()+"; in version 2, "+two.String(), three.Check)
}

// validPassword refuses a password that the configuration of some peer cannot contain. Its mistakes do not show the password.
func validPassword(s string) *toml.Refusal {
	odd := func(r rune) bool { return r < ' ' || r > '~' }
	switch {
	case s == "":
		return toml.Refuse("remove it for no authentication", "is empty")
	case strings.ContainsFunc(s, odd):
		return toml.Refuse("", "has a character that is not printable ASCII")
	case len(s) > maxPassword:
		return toml.Refuse("", "has %d characters: an advertisement has room for %d", len(s), maxPassword)
	}
	return nil
}

// checkVersion refuses what the version of the protocol does not have.
func checkVersion(at toml.Node, r *virtualRouter) {
	if !at.Sound("version") {
		return
	}
	if text, given := at.Key("advert_interval").Value.(string); given && at.Sound("advert_interval") {
		if no := advertSpan(r.Version).Check(text, r.AdvertInterval); no != nil {
			at.Key("advert_interval").Mistake(no.Hint, "%s", no.Problem)
		}
	}
	if r.Version == 2 {
		checkVersion2(at, r)
		return
	}
	if at.Has("auth_pass") {
		at.Key("auth_pass").Mistake("write version = 2, or remove it", "version 3 has no authentication (RFC 9568, section 9)")
	}
	if at.Has("checksum") && at.Sound("checksum", "vips") && !r.has(lvs.IPv4) {
		at.Key("checksum").Mistake("remove it", "has no meaning over IPv6: there is only one form")
	}
}

func checkVersion2(at toml.Node, r *virtualRouter) {
	for _, key := range []string{"unicast_peers", "source"} {
		if len(r.VIPs) == 0 && at.Has(key) && at.Sound(key, "vips") && r.has(lvs.IPv6) {
			at.Key(key).Mistake("write version = 3", "has an IPv6 address: version 2 speaks IPv4 only")
			break
		}
	}
	for i, vip := range r.VIPs {
		if vip.IsValid() && lvs.FamilyOf(vip.Addr()) != lvs.IPv4 {
			at.Key("vips").Index(i).Mistake("write version = 3", "%s is an IPv6 address: version 2 speaks IPv4 only", vip.Addr())
		}
	}
	if at.Has("checksum") && at.Sound("checksum") {
		at.Key("checksum").Mistake("remove it", "has no meaning for version 2: there is only one form")
	}
	r.Checksum = 0
	if at.Has("auth_pass") && at.Sound("auth_pass") {
		at.Key("auth_pass").Warn("", "is sent unencrypted: it protects against mistakes, not against attackers")
	}
}

// owner is the priority of a machine that owns the addresses (RFC 9568, section 5.2.4).
const owner = 255

// maxDownTime is three of the longest intervals. A command, systemd or a successor does not wait longer for a hand-over.
const maxDownTime = vrrp.DownAdverts * vrrp.MaxAdvertInterval

// checkElection finds settings of the election that another setting makes useless.
func checkElection(at toml.Node, r *virtualRouter) {
	checkPreempt(at, r)
	if wait := time.Duration(r.DownAdverts) * r.AdvertInterval; wait > maxDownTime && at.Sound("down_adverts", "advert_interval") {
		at.Key("down_adverts").Mistake("lower it, or advert_interval", "%d intervals of %s are longer than %s, and a hand-over cannot wait so long",
			r.DownAdverts, toml.ShowDuration(r.AdvertInterval), toml.ShowDuration(maxDownTime))
	}
}
