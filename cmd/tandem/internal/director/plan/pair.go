// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"path"
	"reflect"
	"slices"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// Pair compares the configurations of the two directors of a pair.
func Pair(a, b *configs.Config) []core.Difference {
	c := &comparison{a: a, b: b, inA: a.Name, inB: b.Name}
	if a.Name == b.Name {
		c.inA, c.inB = path.Base(a.File), path.Base(b.File)
		if a.Choice != configs.ChosenByHost {
			c.wrong("both directors have the name %q", a.Name)
		}
	}
	if c.inA == c.inB {
		c.inA, c.inB = a.File, b.File
	}
	c.routers()
	c.sync()
	c.services()
	c.peer()
	c.drill()
	c.web()
	return c.found
}

// A comparison is one use of Pair.
type comparison struct {
	a, b     *configs.Config
	inA, inB string // how people call them
	found    []core.Difference
}

func (c *comparison) wrong(format string, args ...any) {
	c.found = append(c.found, core.Difference{Wrong: true, Text: fmt.Sprintf(format, args...)})
}

func (c *comparison) odd(format string, args ...any) {
	c.found = append(c.found, core.Difference{Text: fmt.Sprintf(format, args...)})
}

// fields reports settings that differ, with one of the functions above.
func (c *comparison) fields(say func(string, ...any), object string, fields []field) {
	for _, f := range fields {
		if secret(f.key) {
			say("%s: %s differs between %s and %s", object, f.key, c.inA, c.inB)
			continue
		}
		say("%s: %s is %s in %s and %s in %s", object, f.key, f.was, c.inA, f.is, c.inB)
	}
}

// own are the settings of a virtual router that each director may have its own of, or that have rules of their own.
var own = []string{
	"Name", "Interface", "Heartbeat", "Debounce", "Priority", "Preempt", "PreemptDelay", "StartupDelay", "Checksum", "HMAC", "UnicastPeers", "Source",
	"UnicastTTLMin", "VirtualMACInterface", "VIPInterfaces", "VIPLabels", "TrackInterfaces", "Routes", "Rules", "VIPs", "ExcludedVIPs",
	"NoPrefixRoute", "Witnessed", "Fenced",
}

// routers compares the virtual routers.
func (c *comparison) routers() {
	taken := make(map[int]bool)
	find := func(same func(r *configs.Router) bool) *configs.Router {
		for i := range c.b.Routers {
			if r := &c.b.Routers[i]; !taken[i] && same(r) {
				taken[i] = true
				return r
			}
		}
		return nil
	}
	for i := range c.a.Routers {
		x := &c.a.Routers[i]
		y := find(func(r *configs.Router) bool { return r.Name == x.Name && r.Family() == x.Family() })
		if y == nil {
			y = find(func(r *configs.Router) bool { return r.VRID == x.VRID && r.Family() == x.Family() })
		}
		if y == nil {
			c.wrong("%s is in %s only: without a peer it always becomes master", routerName(x), c.inA)
			continue
		}
		c.router(x, y)
	}
	for i := range c.b.Routers {
		if !taken[i] {
			c.wrong("%s is in %s only: without a peer it always becomes master", routerName(&c.b.Routers[i]), c.inB)
		}
	}
}

func (c *comparison) router(x, y *configs.Router) {
	object := routerName(x)
	c.fields(c.wrong, object, differing(x.Config, y.Config, own...))
	c.fields(c.wrong, object, lists("vips", x.VIPs, y.VIPs))
	c.fields(c.wrong, object, lists("excluded_vips", x.ExcludedVIPs, y.ExcludedVIPs))
	c.fields(c.odd, object, differing(x.Config, y.Config, slices.DeleteFunc(fieldNames(x.Config), func(name string) bool {
		return name == "Checksum" && x.Version == y.Version || name == "NoPrefixRoute" || name == "Preempt" || name == "Witnessed" || name == "Fenced"
	})...))
	c.fields(c.odd, object, differing(*x, *y, "Config", "Announce"))
	switch {
	case x.Priority == 255 && y.Priority == 255:
		c.wrong("%s: both directors have priority 255: only one can own the addresses", object)
	case x.Priority == y.Priority:
		c.odd("%s: both directors have priority %d: the one with the higher address becomes master; give one of them a higher priority",
			object, x.Priority)
	}
	c.signatures(object, x.HMAC, y.HMAC)
	c.unicast(object, &x.Config, &y.Config)
	c.sources(object, &x.Config, &y.Config)
	c.heartbeats(object, x.Heartbeat, y.Heartbeat)
}

// signatures compares how advertisements are signed. The modes may differ while keys are introduced.
func (c *comparison) signatures(object string, x, y vrrp.HMAC) {
	for _, one := range []struct {
		from, to       vrrp.HMAC
		sender, hearer string
	}{{x, y, c.inA, c.inB}, {y, x, c.inB, c.inA}} {
		signs := one.from.On() && one.from.Mode > vrrp.HMACReceiveOnly
		known := slices.Contains(one.to.IDs(), one.from.ActiveKey)
		switch {
		case signs && !one.to.On():
			c.wrong("%s: %s signs its advertisements, and %s has no hmac: it drops them", object, one.sender, one.hearer)
		case signs && !known:
			c.wrong("%s: %s signs with key %d, which %s does not have", object, one.sender, one.from.ActiveKey, one.hearer)
		case !signs && one.to.On() && one.to.Mode == vrrp.HMACEnforce:
			c.wrong("%s: %s accepts only signed advertisements, and %s does not sign", object, one.hearer, one.sender)
		}
	}
	if !x.On() || !y.On() {
		return
	}
	for _, id := range otherSecrets(x, y) {
		c.wrong("%s: hmac.key %d has another secret in %s than in %s", object, id, c.inB, c.inA)
	}
	if x.AntiReplay != y.AntiReplay {
		c.fields(c.wrong, object, []field{{"hmac.anti_replay", text(x.AntiReplay), text(y.AntiReplay)}})
	}
}

// heartbeats compares the paths of the advertisements. Interfaces may have other names on the other machine, and a peer's source,
// if it is given, is the other one's peer.
func (c *comparison) heartbeats(object string, x, y []vrrp.Path) {
	links := func(paths []vrrp.Path) (n int) {
		for _, p := range paths {
			if !p.Peer.IsValid() {
				n++
			}
		}
		return n
	}
	if links(x) != links(y) || len(x) != len(y) {
		c.fields(c.wrong, object, []field{{"heartbeat", text(x), text(y)}})
		return
	}
	same := func(p, q vrrp.Path) bool {
		return p.Peer.IsValid() == q.Peer.IsValid() && (p.Peer != q.Peer || !p.Peer.IsValid()) && p.TTLMin == q.TTLMin &&
			(!p.Source.IsValid() || p.Source == q.Peer) && (!q.Source.IsValid() || q.Source == p.Peer)
	}
	for i := range x {
		if !slices.ContainsFunc(y, func(q vrrp.Path) bool { return same(x[i], q) }) {
			c.odd("%s: the path %s of %s has no counterpart in %s (%s): each director needs the address of the other as peer",
				object, x[i], c.inA, c.inB, text(y))
		}
	}
}

// sources refuses an address that both directors send advertisements from.
func (c *comparison) sources(object string, x, y *vrrp.Config) {
	if x.Source.IsValid() && x.Source == y.Source {
		c.wrong("%s: both directors send from %s: each needs its own address (source, unicast_source)", object, x.Source)
	}
}

// unicast compares the addresses that advertisements are sent from and to.
func (c *comparison) unicast(object string, x, y *vrrp.Config) {
	switch {
	case len(x.UnicastPeers) == 0 && len(y.UnicastPeers) == 0:
		return
	case len(x.UnicastPeers) == 0 || len(y.UnicastPeers) == 0:
		c.fields(c.wrong, object, lists("unicast_peers", x.UnicastPeers, y.UnicastPeers))
		return
	}
	if len(lists("", x.UnicastPeers, y.UnicastPeers)) == 0 {
		c.wrong("%s: both directors have unicast_peers %s: each needs the address of the other", object, text(x.UnicastPeers))
	}
	if x.Source.IsValid() && x.Source == y.Source {
		return // sources says it
	}
	for _, one := range []struct {
		from, to       *vrrp.Config
		sender, hearer string
	}{{x, y, c.inA, c.inB}, {y, x, c.inB, c.inA}} {
		if s := one.from.Source; s.IsValid() && !slices.Contains(one.to.UnicastPeers, s) {
			c.wrong("%s: %s sends from %s, which is not in unicast_peers of %s", object, one.sender, s, one.hearer)
		}
	}
}

// sync compares the connection sync.
func (c *comparison) sync() {
	c.fields(c.odd, "lvs.timeouts", differing(c.a.LVS.Timeouts, c.b.LVS.Timeouts))
	x, y := c.a.LVS.Sync, c.b.LVS.Sync
	if x.Roles == 0 && y.Roles == 0 {
		return
	}
	if x.Roles == 0 || y.Roles == 0 {
		with := c.inA
		if x.Roles == 0 {
			with = c.inB
		}
		c.wrong("lvs.sync is in %s only: connections are not copied to the other director", with)
		return
	}
	x, y = usualSync(x), usualSync(y)
	c.fields(c.wrong, "lvs.sync", differing(x, y, "Interface", "TTL", "MaxLen", "Roles"))
	c.fields(c.odd, "lvs.sync", differing(x, y, "Interface", "TTL", "ID", "Group", "Port", "Roles"))
}

// usualSync returns the settings that count on the wire, with the kernel's defaults.
func usualSync(s lvs.Sync) lvs.Sync {
	if !s.Group.IsValid() {
		s.Group = netip.AddrFrom4([4]byte{224, 0, 0, 81})
	}
	s.Port, s.Interface, s.TTL = cmp.Or(s.Port, 8848), "", 0
	return s
}

// services compares the services by their names.
func (c *comparison) services() {
	byName := make(map[string]configs.Service)
	for _, s := range c.b.Services {
		byName[s.Name] = s
	}
	for _, x := range c.a.Services {
		y, ok := byName[x.Name]
		if delete(byName, x.Name); ok {
			c.service(x, y)
			continue
		}
		c.wrong("service %s is in %s only: its clients are refused while %s is master", x.Name, c.inA, c.inB)
	}
	for _, s := range c.b.Services {
		if _, left := byName[s.Name]; left {
			c.wrong("service %s is in %s only: its clients are refused while %s is master", s.Name, c.inB, c.inA)
		}
	}
}

func (c *comparison) service(x, y configs.Service) {
	object := "service " + x.Name
	ids := func(s configs.Service) (all []lvs.ServiceID) {
		for _, v := range s.Virtuals {
			all = append(all, v.ServiceID)
		}
		return all
	}
	virtual := lists("virtual", ids(x), ids(y))
	if c.fields(c.wrong, object, virtual); len(virtual) == 0 {
		c.virtuals(object, x.Virtuals, y.Virtuals)
	}
	c.fields(c.odd, object, differing(x, y, "Name", "Virtuals", "Servers", "Sorry", "Method"))
	switch sorry := lists("sorry_server", []string{sorryText(x.Sorry)}, []string{sorryText(y.Sorry)}); {
	case len(sorry) > 0:
		c.fields(c.odd, object, sorry)
	case x.Sorry != nil:
		c.server(object+": sorry_server", *x.Sorry, *y.Sorry)
	}
	servers := make(map[lvs.ServerID]configs.Server)
	for _, srv := range y.Servers {
		servers[srv.ServerID] = srv
	}
	for _, srv := range x.Servers {
		other, ok := servers[srv.ServerID]
		if delete(servers, srv.ServerID); !ok {
			c.wrong("%s: server %s is in %s only", object, srv.ServerID, c.inA)
			continue
		}
		c.server(object+": server "+srv.ServerID.String(), srv, other)
	}
	for _, srv := range y.Servers {
		if _, left := servers[srv.ServerID]; left {
			c.wrong("%s: server %s is in %s only", object, srv.ServerID, c.inB)
		}
	}
}

// virtuals compares the settings of a service's virtuals, which are all the same within a service.
func (c *comparison) virtuals(object string, x, y []lvs.Service) {
	for _, v := range x {
		i := slices.IndexFunc(y, func(o lvs.Service) bool { return o.ServiceID == v.ServiceID })
		if d := differing(v, y[i], "ServiceID"); len(d) > 0 {
			c.fields(c.odd, object, d)
			return
		}
	}
}

func (c *comparison) server(object string, x, y configs.Server) {
	if x.Method != y.Method {
		c.fields(c.wrong, object, []field{{"method", text(x.Method), text(y.Method)}})
	}
	c.fields(c.odd, object, differing(x.Server.Canonical(), y.Server.Canonical(), "Method"))
	if x.Mapped != y.Mapped {
		mapped := map[bool]string{true: "one port for all ports of the service", false: "each port of the service"}
		c.fields(c.odd, object, []field{{"port", mapped[x.Mapped], mapped[y.Mapped]}})
	}
	c.fields(c.odd, object, serverFields(x, y))
	if !reflect.DeepEqual(common(x.Checks), common(y.Checks)) || x.Pass != y.Pass {
		c.odd("%s: its checks differ between %s and %s", object, c.inA, c.inB)
	}
}

// common returns checks without what each director may have its own of.
func common(checks []healthcheck.Config) []healthcheck.Config {
	checks = slices.Clone(checks)
	for i := range checks {
		checks[i].Source, checks[i].Mark = netip.Addr{}, 0
	}
	return checks
}

// lists returns a field if two lists do not have the same values in some order.
func lists[T comparable](key string, x, y []T) []field {
	left := slices.Clone(y)
	same := len(x) == len(y)
	for _, v := range x {
		i := slices.Index(left, v)
		if i < 0 {
			same = false
			break
		}
		left = slices.Delete(left, i, i+1)
	}
	if same {
		return nil
	}
	return []field{{key, text(x), text(y)}}
}

// fieldNames returns the names in Go of the fields of a struct.
func fieldNames(v any) (names []string) {
	for i := range reflect.TypeOf(v).NumField() {
		names = append(names, reflect.TypeOf(v).Field(i).Name)
	}
	return names
}
