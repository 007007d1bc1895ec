// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/tandem-lvs/tandem/garp"
)

// maxVIPs is what the count field of an advertisement holds (RFC 9568, section 5.2.5).
const maxVIPs = 255

func routerTable() kind[Router] {
	vips := list(virtualAddress(), 1, maxVIPs)
	vips.values = "1 to 255 " + vips.values
	return tableOf(checkRouter,
		derived("name", identifier(), "The virtual router's name in logs, status and commands; interface and vrid (eth0-51) unless given.",
			func(r *Router, v string) { r.Name = v }),
		required("interface", plain("an interface name of at most 15 bytes", validInterface),
			"The interface that carries the advertisements and gets the VIPs. It may be missing at first.",
			func(r *Router, v string) { r.Interface = v }),
		required("vrid", integer[uint8](1, 255),
			"The virtual router id: the same on both directors, and used by nobody else on the segment.",
			func(r *Router, v uint8) { r.VRID = v }),
		optional("version", protocolVersion(), 3, "The version of VRRP on the wire.",
			func(r *Router, v uint8) { r.Version = v }),
		optional("priority", integer[uint8](1, 255), 100,
			"The higher one becomes master. 255 is for a machine that owns the addresses.",
			func(r *Router, v uint8) { r.Priority = v }),
		optional("advert_interval", duration(10*time.Millisecond, 40950*time.Millisecond, 10*time.Millisecond), time.Second,
			"The master advertises itself this often; after three times that without a word, and a little more, the backup takes over.",
			func(r *Router, v time.Duration) { r.AdvertInterval = v }),
		optional("preempt", boolean(), true,
			"Whether this director takes over from a master of lower priority, as when it returns after a failure.",
			func(r *Router, v bool) { r.Preempt = v }),
		required("vips", vips,
			"The virtual addresses, with the prefix length that they get on the interface; a bare address gets /32.",
			func(r *Router, v []netip.Prefix) { r.VIPs = v }),
		section("announce", announceTable(), "How a new master tells the segment, by gratuitous ARP, that the VIPs have moved.",
			func(r *Router, v garp.Config) { r.Announce = v }),
	)
}

func announceTable() kind[garp.Config] {
	const most = 100
	usual := garp.DefaultConfig()
	repeat := list(duration(0, time.Hour, time.Nanosecond), 1, most)
	repeat.values = fmt.Sprintf("1 to %d, ascending, %s", most, repeat.values)
	return tableOf(checkAnnounce,
		optional("repeat", repeat, usual.Repeat, "The moments of the announcements, counted from the take-over.",
			func(c *garp.Config, v []time.Duration) { c.Repeat = slices.Clone(v) }),
		optional("refresh", duration(time.Second, 24*time.Hour, time.Nanosecond, 0), usual.Refresh,
			"The pause between further announcements for as long as this director is master; 0s for none.",
			func(c *garp.Config, v time.Duration) { c.Refresh = v }),
		optional("spacing", duration(0, time.Second, time.Nanosecond), usual.Spacing,
			"The least time between two frames, so that switches and neighbours keep up.",
			func(c *garp.Config, v time.Duration) { c.Spacing = v }),
	)
}

func checkAnnounce(at place, c *garp.Config) {
	if !at.sound("repeat") {
		return
	}
	for i := 1; i < len(c.Repeat); i++ {
		if c.Repeat[i] <= c.Repeat[i-1] {
			at.key("repeat").index(i).mistake("", "%s is not later than %s before it",
				showDuration(c.Repeat[i]), showDuration(c.Repeat[i-1]))
		}
	}
}

func checkRouter(at place, r *Router) {
	if !at.given("name") {
		r.Name = fmt.Sprintf("%s-%d", r.Interface, r.VRID)
	}
	if r.Priority == 255 && !r.Preempt && at.sound("preempt") {
		at.key("preempt").warn("", "has no effect: priority 255 always takes over (RFC 9568, section 6.1)")
	}
}

// A routerID is what must not be twice on a segment.
type routerID struct {
	iface string
	vrid  uint8
}

// checkRouters finds what two virtual routers must not share. A value that is itself a mistake is left out.
func checkRouters(at place, routers []Router) {
	names, ids, vips := seen[string]{}, seen[routerID]{}, seen[netip.Addr]{}
	for i, r := range routers {
		router := at.index(i)
		unique := router.sound("interface", "vrid")
		if unique {
			earlier, ok := ids.first(routerID{r.Interface, r.VRID}, router)
			if unique = ok; !ok {
				router.key("vrid").mistake("each virtual router of an interface needs its own",
					"%d on %s is already taken by %s", r.VRID, r.Interface, earlier.describe())
			}
		}
		checkName(names, r.Name, unique, router)
		for j, vip := range r.VIPs {
			here := router.key("vips").index(j)
			if !vip.IsValid() {
				continue
			}
			if earlier, ok := vips.first(vip.Addr(), here); !ok {
				here.mistake("", "%s is already %s", vip.Addr(), earlier.describe())
			}
		}
	}
}

// validInterface follows the kernel's dev_valid_name.
func validInterface(s string) *refusal {
	const most = 15 // IFNAMSIZ without the final NUL
	odd := func(r rune) bool { return r == '/' || r == ':' || unicode.IsSpace(r) || !unicode.IsPrint(r) }
	switch {
	case s == "", s == ".", s == "..", strings.ContainsFunc(s, odd):
		return refuse("", "%q cannot be the name of an interface", abbreviate(s))
	case len(s) > most:
		return refuse("", "%q is longer than the %d bytes of an interface name", abbreviate(s), most)
	}
	return nil
}

// protocolVersion is the version of VRRP that is spoken here.
func protocolVersion() kind[uint8] {
	k := integer[uint8](3, 3)
	number := k.read
	k.values = "3 (RFC 9568)"
	k.read = func(at place) uint8 {
		if v, ok := at.value.(int64); ok && v != 3 {
			at.mistake("", "version %d is not supported: want %s", v, k.values)
			return 0
		}
		return number(at)
	}
	return k
}
