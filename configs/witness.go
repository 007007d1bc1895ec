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

// A witness is a machine that is asked whether this director is cut off: by ICMP echo, or by HTTP if it has a path.
type witness struct {
	at   netip.AddrPort
	path string
	text string // as it is written
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
			"Machines that both directors and the clients need, such as the router: each an address, which is asked by ping, or "+
				"{ url = \"http://192.0.2.1:8080/\" }. While a backup hears no master, it takes over only if one of them answers: "+
				"otherwise this director itself is probably cut off, and it stands back and says so.\n"+
				"With a witness, a broken network makes no second master on the side that reaches none. In return, nobody takes over "+
				"from a dead master while all witnesses are unreachable from the backup.\n"+
				"tandem asks every 2s, and again as soon as the master misses an advertisement, so a take-over is not delayed. It takes "+
				"over without a witness from a master that it hears: one that leaves, or one of lower priority. When a witness answers "+
				"again, it listens for a little more than one advertisement interval before it takes over. While both directors "+
				"hear each other, a lost witness changes nothing. A sync group has the witnesses of all its members together. A ping needs a raw socket (CAP_NET_RAW).",
			func(r *virtualRouter, v []witness) { r.witnesses = v }).Unset("none").Example(`["192.0.2.1"]`),
		toml.Optional("witness_release", toml.Duration(0, time.Hour, time.Nanosecond), 0,
			"How long a master stays master while neither a witness nor witness_peer answers. Then it goes to state FAULT, and removes "+
				"the VIPs after one hand-over that nobody accepts. 0s is for ever.\n"+
				"With it, an isolated master does not go on beside the one that has taken over on the other side. In return, nobody has the "+
				"VIPs while the witnesses and the peer are unreachable from the master, although clients may still reach it.",
			func(r *virtualRouter, v time.Duration) { r.WitnessRelease = v }),
		toml.Derived("witness_peer", toml.List(neighbour(), 0, maxPeers).Valued("0 to %d addresses", maxPeers),
			"The addresses of the other directors, for witness_release. A master that reaches one of them by ping is not isolated.",
			func(r *virtualRouter, v []netip.Addr) { r.witnessPeers = v }).Unset("those of unicast_peers").Example(`["192.0.2.3"]`),
	}
}

// witnessForm is the form of one witness: a string, or a table with a URL.
func witnessForm() toml.SchemaType[witness] {
	plain := neighbour()
	address := toml.SchemaType[witness]{
		Name: plain.Name, Values: plain.Values + ` or { url = "http://ADDRESS/" }`,
		Read: func(at toml.Node) witness {
			a := plain.Read(at)
			return witness{at: netip.AddrPortFrom(a, 0), text: a.String()}
		},
		Show: func(w witness) string { return plain.Show(w.at.Addr()) },
	}
	return toml.StringOr(address, toml.Table(nil,
		toml.Required("url", toml.String("an http URL with an IP address as its host", validWitnessURL), `"http://198.51.100.7/health"`,
			"A page that is asked for. The witness answers if the status is 200 to 299.",
			func(w *witness, v string) { *w = witnessURL(v) }),
	))
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
	return witness{netip.AddrPortFrom(netip.MustParseAddr(u.Hostname()), uint16(port)), cmp.Or(u.RequestURI(), "/"), s}
}

// checkWitness applies the rules about witnesses.
func checkWitness(at toml.Node, r *virtualRouter) {
	if !at.Sound("witness", "witness_peer") {
		return
	}
	seen := firstUse[string]{}
	for i, w := range r.witnesses {
		here := at.Key("witness").Index(i)
		if earlier, ok := seen.add(w.text, here); !ok {
			here.Mistake("", "%s is already %s", w.text, earlier.Describe())
		}
		for _, vip := range r.VIPs {
			if vip.IsValid() && vip.Addr() == w.at.Addr() {
				here.Mistake("name another machine, such as the router", "%s is a VIP: the master would ask itself", w.at.Addr())
			}
		}
	}
	switch {
	case len(r.witnesses) == 0:
		refuseKeys(at, "add witness, or remove it", "has no meaning without witness", "witness_release", "witness_peer")
		return
	case r.Priority == owner:
		at.Key("witness").Mistake("give it a priority below 255, or remove witness",
			"has no meaning with priority 255: the owner of the addresses does not wait for a master's silence")
	}
	r.Witnessed = true
	if len(r.witnessPeers) == 0 {
		r.witnessPeers = r.UnicastPeers
	}
	if r.WitnessRelease > 0 && len(r.witnessPeers) == 0 && at.Sound("unicast_peers") {
		at.Key("witness_release").Mistake("add witness_peer", "needs the address of the other director: while that one answers, this one is not isolated")
	}
	if least := 2 * witnessInterval; r.WitnessRelease > 0 && r.WitnessRelease < least && at.Sound("witness_release") {
		at.Key("witness_release").Mistake("write at least "+toml.ShowDuration(least), "%s is too short: witnesses are asked every %s",
			toml.ShowDuration(r.WitnessRelease), toml.ShowDuration(witnessInterval))
	}
}

// witnessTracks returns the witnesses of the virtual router of that name as tracks, and its peers if they are needed.
func (v *virtualRouter) witnessTracks(name string) (tracks []Track) {
	timeout := min(max(v.AdvertInterval, witnessMinTimeout), witnessMaxTimeout)
	add := func(kind TrackKind, w witness) {
		c := &healthcheck.Config{
			Type: healthcheck.Ping, Address: w.at.Addr(), Interval: witnessInterval, Timeout: timeout, Rise: 1, Fall: 1,
		}
		if w.path != "" {
			c.Type, c.Port, c.Path, c.Method = healthcheck.HTTP, w.at.Port(), w.path, "GET"
			c.Version, c.Status = healthcheck.HTTP11, []healthcheck.StatusRange{{First: 200, Last: 299}}
		}
		tracks = append(tracks, Track{Router: name, Kind: kind, Name: kind.String() + " " + w.text, Check: c})
	}
	for _, w := range v.witnesses {
		add(TrackWitness, w)
	}
	if v.WitnessRelease > 0 {
		for _, a := range v.witnessPeers {
			add(TrackPeer, witness{at: netip.AddrPortFrom(a, 0), text: a.String()})
		}
	}
	return tracks
}
