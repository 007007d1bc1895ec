// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"cmp"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/healthcheck"
)

// A witness is a machine that is asked whether this director is cut off: by ICMP echo, by HTTP if it has a path, or, as a neighbour,
// for its link address.
type witness struct {
	at        netip.AddrPort
	path      string
	neighbour bool
	link      string // of a neighbour; empty: the interface of the virtual router
	text      string // as it is written
}

// How witnesses are asked: all the time, but seldom, and once more when the master falls silent. The timeout leaves time for the
// answer before the backup takes over.
const (
	witnessInterval   = 2 * time.Second
	witnessMaxTimeout = time.Second
	witnessMinTimeout = 50 * time.Millisecond
)

func witnessFields() []toml.Field[virtualRouter] {
	return []toml.Field[virtualRouter]{
		toml.Derived("witness", toml.List(witnessForm(), 0, maxPeers),
			"Machines that both directors and the clients need, such as the router: each an address, which is asked by ping, "+
				"{ url = \"http://192.0.2.1:8080/\" }, or { neighbour = \"192.0.2.1\" }, which is asked for its link address. While a backup hears no master, it takes over only if one of them answers: "+
				"otherwise this director itself is probably cut off, and it stands back and says so.\n"+
				"With a witness, a broken network makes no second master on the side that reaches none. In return, nobody takes over "+
				"from a dead master while all witnesses are unreachable from the backup.\n"+
				"tandem asks every 2s, and again as soon as the master misses an advertisement, so a take-over is not delayed. It takes "+
				"over without a witness from a master that it hears: one that leaves, or one of lower priority. When a witness answers "+
				"again, it listens for a little more than one advertisement interval before it takes over. While both directors "+
				"hear each other, a lost witness changes nothing. A sync group stands back if any of its "+
				"members does: to ask once for the group, use [[group]]. A ping needs a raw socket (CAP_NET_RAW).",
			func(r *virtualRouter, v []witness) { r.asks.witnesses = v }).Unset("none").Example(`["192.0.2.1"]`),
		toml.Optional("witness_release", toml.Duration(0, time.Hour, time.Nanosecond), 0,
			"How long a master stays master while neither a witness nor witness_peer answers. Then it goes to state FAULT, and removes "+
				"the VIPs after one hand-over that nobody accepts. 0s is for ever.\n"+
				"With it, an isolated master does not go on beside the one that has taken over on the other side. In return, nobody has the "+
				"VIPs while the witnesses and the peer are unreachable from the master, although clients may still reach it.",
			func(r *virtualRouter, v time.Duration) { r.asks.release = v }),
		toml.Derived("witness_peer", toml.List(neighbour(), 0, maxPeers).Valued("0 to %d addresses", maxPeers),
			"The addresses of the other directors, for witness_release. A master that reaches one of them by ping is not isolated.",
			func(r *virtualRouter, v []netip.Addr) { r.asks.peers = v }).Unset("those of unicast_peers").Example(`["192.0.2.3"]`),
	}
}

// witnessForm is the form of one witness: a string, or a table with a URL.
func witnessForm() toml.SchemaType[witness] {
	plain := neighbour()
	address := toml.SchemaType[witness]{
		Name: plain.Name, Values: plain.Values + ` or { url = "http://ADDRESS/" } or { neighbour = "ADDRESS" }`,
		Read: func(at toml.Node) witness {
			a := plain.Read(at)
			return witness{at: netip.AddrPortFrom(a, 0), text: a.String()}
		},
		Show: func(w witness) string { return plain.Show(w.at.Addr()) },
	}
	return toml.StringOr(address, toml.Table(checkWitnessTable,
		toml.Derived("url", toml.String("an http URL with an IP address as its host", validWitnessURL),
			"A page that is asked for. The witness answers if the status is 200 to 299.",
			func(w *witness, v string) { *w = witnessURL(v) }).Unset("none").Example(`"http://198.51.100.7/health"`),
		toml.Derived("neighbour", neighbour(),
			"An address in a network of this machine, such as that of the gateway. It is asked for its link address, by ARP or by neighbour "+
				"discovery, up to three times in one question. Every machine on the link answers, also one that drops pings. The answer says "+
				"nothing about what is behind that machine, and no other machine must answer for it (proxy ARP).",
			func(w *witness, v netip.Addr) { w.at, w.neighbour = netip.AddrPortFrom(v, 0), true }).Unset("none").Example(`"192.0.2.1"`),
		toml.Derived("interface", interfaceName(), "The interface on which the neighbour is asked. Write it in [[group]], which has no interface of its own.",
			func(w *witness, v string) { w.link = v }).Unset("that of the virtual router").Example(`"eth1"`),
	))
}

// checkWitnessTable refuses a table that asks nobody, or in two ways.
func checkWitnessTable(at toml.Node, w *witness) {
	switch {
	case at.Has("url") && at.Has("neighbour"):
		at.Key("neighbour").Mistake("write a table for each", "cannot be combined with url")
	case at.Has("url"):
		refuseKeys(at, "remove it", "has no meaning without neighbour", "interface")
	case !at.Has("neighbour"):
		at.Mistake("add url or neighbour", "does not say who is asked")
	}
	if w.neighbour {
		w.text = "neighbour " + w.at.Addr().String()
		if w.link != "" {
			w.text += " on " + w.link
		}
	}
}

func validWitnessURL(s string) *toml.Refusal {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" || u.Hostname() == "":
		return toml.Refuse(`write "http://ADDRESS/path"`, "%q is not an http URL", toml.Abbreviate(s))
	case u.User != nil:
		return toml.Refuse("remove it", "has a user or password")
	case u.Fragment != "":
		return toml.Refuse("remove it", "has a fragment (#%s), which is not sent", toml.Abbreviate(u.Fragment))
	}
	if a, err := netip.ParseAddr(u.Hostname()); err != nil || a.Zone() != "" {
		return toml.Refuse("write the address", "%q is not an IP address: a name server may be cut off too", u.Hostname())
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return toml.Refuse("write a port from 1 to 65535", "port %s is out of range", p)
		}
	}
	return nil
}

// witnessURL returns the witness of a valid URL, the zero witness of any other.
func witnessURL(s string) witness {
	u, err := url.Parse(s)
	if err != nil || validWitnessURL(s) != nil {
		return witness{}
	}
	port, _ := strconv.ParseUint(cmp.Or(u.Port(), "80"), 10, 16)
	return witness{at: netip.AddrPortFrom(netip.MustParseAddr(u.Hostname()), uint16(port)), path: cmp.Or(u.RequestURI(), "/"), text: s}
}

// A witnessing is the witnesses of a virtual router, or of a sync group.
type witnessing struct {
	witnesses []witness
	release   time.Duration // 0: never
	peers     []netip.Addr  // who is asked before the release
	timeout   time.Duration // of a question
	group     string        // whose they are; empty: the virtual router's own
}

// checkWitness applies the rules about witnesses.
func checkWitness(at toml.Node, r *virtualRouter) {
	if !at.Sound("witness", "witness_peer") {
		return
	}
	w := &r.asks
	w.check(at, r.VIPs)
	switch {
	case len(w.witnesses) == 0:
		refuseKeys(at, "add witness, or remove it", "has no meaning without witness", "witness_release", "witness_peer")
		return
	case r.Priority == owner:
		at.Key("witness").Mistake("give it a priority below 255, or remove witness", ownerAsksNobody)
	}
	for i := range w.witnesses {
		if is := &w.witnesses[i]; is.neighbour {
			is.link = cmp.Or(is.link, r.Interface)
		} else {
			is.at = netip.AddrPortFrom(onLink(is.at.Addr(), r.Interface), is.at.Port())
		}
	}
	w.timeout = witnessTimeout(r)
	if len(w.peers) == 0 {
		w.peers = r.UnicastPeers
	}
	w.peers = onLinks(w.peers, r.Interface)
	if at.Sound("unicast_peers") {
		w.checkRelease(at)
	}
	r.Witnessed, r.WitnessRelease = true, w.release
}

// needsLink reports whether an address says nothing without an interface.
func needsLink(a netip.Addr) bool { return a.Is6() && a.IsLinkLocalUnicast() && a.Zone() == "" }

// onLink returns an address as it is asked on an interface.
func onLink(a netip.Addr, link string) netip.Addr {
	if needsLink(a) {
		return a.WithZone(link)
	}
	return a
}

func onLinks(all []netip.Addr, link string) (there []netip.Addr) {
	for _, a := range all {
		there = append(there, onLink(a, link))
	}
	return there
}

const ownerAsksNobody = "has no meaning with priority 255: the owner of the addresses does not wait for a master's silence"

// check refuses a witness that is there twice, and one that the master itself is.
func (w *witnessing) check(at toml.Node, vips []netip.Prefix) {
	seen := firstUse[string]{}
	for i, is := range w.witnesses {
		here := at.Key("witness").Index(i)
		if earlier, ok := seen.add(is.text, here); !ok {
			here.Mistake("", "%s is already %s", is.text, earlier.Describe())
		}
		for _, vip := range vips {
			if vip.IsValid() && vip.Addr() == is.at.Addr() {
				here.Mistake("name another machine, such as the router", "%s is a VIP: the master would ask itself", is.at.Addr())
			}
		}
	}
}

// checkRelease applies the rules about the time after which an isolated master lets go.
func (w *witnessing) checkRelease(at toml.Node) {
	if w.release > 0 && len(w.peers) == 0 {
		at.Key("witness_release").Mistake("add witness_peer", "needs the address of the other director: while that one answers, this one is not isolated")
	}
	if least := 2 * witnessInterval; w.release > 0 && w.release < least && at.Sound("witness_release") {
		at.Key("witness_release").Mistake("write at least "+toml.ShowDuration(least), "%s is too short: witnesses are asked every %s",
			toml.ShowDuration(w.release), toml.ShowDuration(witnessInterval))
	}
}

func witnessTimeout(r *virtualRouter) time.Duration {
	return min(max(r.AdvertInterval, witnessMinTimeout), witnessMaxTimeout)
}

// tracks returns the witnesses of the virtual router of that name as tracks, and its peers if they are needed.
func (w *witnessing) tracks(name string) (tracks []Track) {
	add := func(kind TrackKind, is witness) {
		c := &healthcheck.Config{
			Type: healthcheck.Ping, Address: is.at.Addr(), Interval: witnessInterval, Timeout: w.timeout, Rise: 1, Fall: 1,
		}
		if is.neighbour {
			c.Type, c.Device = healthcheck.Neighbour, is.link
		}
		if is.path != "" {
			c.Type, c.Port, c.Path, c.Method = healthcheck.HTTP, is.at.Port(), is.path, "GET"
			c.Version, c.Status = healthcheck.HTTP11, []healthcheck.StatusRange{{First: 200, Last: 299}}
		}
		tracks = append(tracks, Track{Router: name, Group: w.group, Kind: kind, Name: kind.String() + " " + is.text, Check: c})
	}
	for _, is := range w.witnesses {
		add(TrackWitness, is)
	}
	if w.release > 0 {
		for _, a := range w.peers {
			add(TrackPeer, witness{at: netip.AddrPortFrom(a, 0), text: a.String()})
		}
	}
	return tracks
}
