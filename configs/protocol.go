// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/lvs"
)

const (
	// maxVIPs is what the count field of an advertisement holds (RFC 9568, section 5.2.5).
	maxVIPs = 255

	// maxPassword is the room for a password (RFC 3768, section 5.3.10).
	maxPassword = 8
)

// protocolVersion is a version of VRRP that is spoken here.
func protocolVersion() kind[uint8] {
	k := integer[uint8](2, 3)
	number := k.read
	k.values = "2 (RFC 3768, over IPv4 only) or 3 (RFC 9568)"
	k.read = func(at place) uint8 {
		if v, ok := at.value.(int64); ok && v != 2 && v != 3 {
			at.mistake("", "version %d is not supported: want %s", v, k.values)
			return 0
		}
		return number(at)
	}
	return k
}

// advertSpan is what the interval field holds: centiseconds in 12 bits (RFC 9568, section 5.2.7), or in version 2
// seconds. There it has eight bits (RFC 3768, section 5.3.7), but a hand-over of three longer ones than those of version 3
// would outlast everybody who waits for it: a command, systemd, an heir.
func advertSpan(version uint8) span {
	if version == 2 {
		return span{least: time.Second, most: 40 * time.Second, step: time.Second}
	}
	return span{least: 10 * time.Millisecond, most: 40950 * time.Millisecond, step: 10 * time.Millisecond}
}

// advertInterval is a time that version 3 has, which has all of version 2; checkVersion knows which it is.
func advertInterval() kind[time.Duration] {
	two, three := advertSpan(2), advertSpan(3)
	return limited(three.String()+"; in version 2, "+two.String(), three.refuse)
}

// validPassword keeps to what the configuration of any peer can hold. Its mistakes do not repeat the password.
func validPassword(s string) *refusal {
	odd := func(r rune) bool { return r < ' ' || r > '~' }
	switch {
	case s == "":
		return refuse("leave it away for no authentication", "is empty")
	case strings.ContainsFunc(s, odd):
		return refuse("", "has a character that is not printable ASCII")
	case len(s) > maxPassword:
		return refuse("", "has %d characters: an advertisement has room for %d", len(s), maxPassword)
	}
	return nil
}

// checkVersion holds a virtual router to what its version of the protocol has.
func checkVersion(at place, r *virtualRouter) {
	if !at.sound("version") {
		return
	}
	if text, given := at.key("advert_interval").value.(string); given && at.sound("advert_interval") {
		if no := advertSpan(r.Version).refuse(text, r.AdvertInterval); no != nil {
			at.key("advert_interval").mistake(no.hint, "%s", no.problem)
		}
	}
	if r.Version == 2 {
		checkVersion2(at, r)
		return
	}
	if at.given("auth_pass") {
		at.key("auth_pass").mistake("write version = 2, or remove it", "version 3 has no authentication (RFC 9568, section 9)")
	}
	if at.given("checksum") && at.sound("checksum", "vips") && !r.has(lvs.IPv4) {
		at.key("checksum").mistake("remove it", "has no meaning over IPv6, which has one form only")
	}
}

func checkVersion2(at place, r *virtualRouter) {
	for i, vip := range r.VIPs {
		if vip.IsValid() && familyOf(vip.Addr()) != lvs.IPv4 {
			at.key("vips").index(i).mistake("write version = 3", "%s is an IPv6 address: version 2 speaks IPv4 only", vip.Addr())
		}
	}
	if at.given("checksum") && at.sound("checksum") {
		at.key("checksum").mistake("remove it", "has no meaning for version 2, which has one form only")
	}
	r.Checksum = 0
	if at.given("auth_pass") && at.sound("auth_pass") {
		at.key("auth_pass").warn("", "travels in clear: it guards against mistakes, not against attackers")
	}
}

// owner is the priority of a machine that owns the addresses (RFC 9568, section 5.2.4).
const owner = 255

// checkElection finds settings of the election that another one leaves without meaning.
func checkElection(at place, r *virtualRouter) {
	if r.Priority == owner && !r.Preempt && at.sound("preempt") {
		at.key("preempt").warn("", "has no effect: priority 255 always takes over (RFC 9568, section 6.1)")
	}
	if r.PreemptDelay > 0 && !r.Preempt && at.sound("preempt") {
		at.key("preempt_delay").mistake("remove one of them", "has no meaning with preempt = false")
	}
}
