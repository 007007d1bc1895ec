// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// document writes what a file says.
func (c *converter) document() *table {
	d := &table{}
	c.emitTop(d)
	c.emitRouters(d)
	c.emitTable(d)
	checks := d.child(Place{}, "check", false)
	services := &table{}
	for _, v := range c.site.services {
		parts := c.parts(v)
		c.noteProtocol(v, parts)
		for _, p := range parts {
			c.emitService(services, v, p)
		}
	}
	for _, n := range c.checks.used() {
		n.key = n.name
		checks.children = append(checks.children, n.table)
	}
	if len(checks.children) == 0 {
		d.children = d.children[:len(d.children)-1]
	}
	for _, hooks := range []bool{false, true} { // the services first
		for _, t := range services.children {
			if (t.key == "hook") == hooks {
				d.children = append(d.children, t)
			}
		}
	}
	c.emitGroups(d)
	c.emitServiceMails(d)
	return d
}

// emitService writes a part of a virtual server.
func (c *converter) emitService(d *table, v *virtualServer, p part) {
	t := d.child(v.at, "service", true)
	name := identifier(p.name)
	t.set(v.at, "name", tomlString(name))
	c.emitVirtual(t, v, p)
	if s := v.scheduler; s != nil {
		t.set(s.at, "scheduler", tomlString(s.value()))
	}
	c.emitFlags(t, v)
	if v.onePacket != nil {
		t.set(v.onePacket.at, "one_packet", "true")
	}
	method, tunnel := c.methodOf(v.method, "nat")
	at := v.at
	if v.method != nil {
		at = v.method.at
	}
	t.set(at, "method", tomlString(method))
	var inhibit Place
	if v.inhibit.File != "" {
		inhibit = v.inhibit
	} else {
		inhibit = c.inhibited(v)
	}
	if inhibit.File != "" {
		t.set(inhibit, "on_failure", `"weight-zero"`)
	}
	if v.suspend != nil {
		t.set(v.suspend.at, "check_when", `"master"`)
	}
	servers := &table{}
	total, names := int64(0), [][]string(nil)
	for _, r := range v.servers {
		port, weight := c.emitServer(servers, v, p, r, method)
		total += weight
		names = append(names, c.emitChecks(v, p, r, method, port))
	}
	c.emitQuorum(t, v, total)
	c.emitCheckUse(t, v, servers, names)
	if tunnel != nil && usesTunnel(t, servers) {
		t.children = append(t.children, tunnel)
	}
	c.emitPersistence(t, v, p)
	c.emitSorry(t, v, p, method)
	t.children = append(t.children, servers.children...)
	if len(v.servers) == 0 {
		c.note(v.at, "add a real server, or remove it", "virtual_server %s has no real_server: a [[service]] needs one, and it is "+
			"left out", p.name)
		d.children = d.children[:len(d.children)-1]
		return
	}
	c.emitServiceHooks(d, v, p, name)
}

// usesTunnel reports whether a server takes the tunnel of the service.
func usesTunnel(t, servers *table) bool {
	return slices.ContainsFunc(servers.children, func(s *table) bool {
		m := s.get("method")
		return m == "" && t.get("method") == `"tunnel"` || m == `"tunnel"`
	})
}

func (c *converter) emitVirtual(t *table, v *virtualServer, p part) {
	if p.mark != 0 {
		value := "{ fwmark = " + tomlInt(p.mark)
		if p.six {
			value += `, family = "ipv6"`
		}
		t.set(v.at, "virtual", value+" }")
		return
	}
	var list []string
	for _, a := range p.virtuals {
		list = append(list, tomlString(a.String()))
	}
	if len(list) == 1 {
		t.set(v.at, "virtual", list[0])
	} else {
		t.setList(v.at, "virtual", list)
	}
	if protocol := c.protocolOf(v); protocol != "tcp" {
		at := v.at
		if v.protocol != nil {
			at = v.protocol.at
		}
		t.set(at, "protocol", tomlString(protocol))
	}
}

// emitFlags translates the flags of schedulers. flag-1 and flag-2 mean what the scheduler makes of them.
func (c *converter) emitFlags(t *table, v *virtualServer) {
	scheduler := ""
	if v.scheduler != nil {
		scheduler = v.scheduler.value()
	}
	var list []string
	for _, s := range v.flags {
		name := s.keyword()
		switch name {
		case "flag-1":
			name = scheduler + "-fallback"
		case "flag-2":
			name = scheduler + "-port"
		}
		if owner, _, _ := strings.Cut(name, "-"); owner != scheduler || owner != "sh" && owner != "mh" {
			c.note(s.at, "", "%s: has no meaning for the scheduler %s", s.keyword(), abbreviate(scheduler))
			continue
		}
		if value := tomlString(name); !slices.Contains(list, value) {
			list = append(list, value)
		}
	}
	if list != nil {
		t.setList(v.flags[0].at, "scheduler_flags", list)
	}
}

// emitPersistence translates persistence. keepalived's default is six minutes.
func (c *converter) emitPersistence(t *table, v *virtualServer, p part) {
	timeout, prefix := 6*time.Minute, int64(0)
	at := v.at
	if s := v.timeout; s != nil {
		at = s.at
		if s.value() != "" {
			d, ok := c.seconds(s)
			if ok && d == 0 {
				return
			}
			timeout = max(d.Truncate(time.Second), time.Second)
		}
	}
	if s := v.granularity; s != nil {
		at = s.at
		if bits, ok := maskLength(s.value()); ok {
			prefix = int64(bits)
		} else if n, ok := integer(s.value(), 1, 128); ok {
			prefix = n
		} else {
			c.odd(s, "a mask or the length of a prefix")
		}
	}
	if v.timeout == nil && v.engine == nil && prefix == 0 {
		return
	}
	n := t.child(at, "persistence", false)
	n.set(at, "timeout", span(min(timeout, 744*time.Hour)))
	if full := int64(32); prefix > 0 && (p.six || prefix < full) && prefix < 128 {
		n.set(at, "prefix", tomlInt(prefix))
	}
	if v.engine != nil {
		n.set(v.engine.at, "engine", tomlString(v.engine.value()))
	}
}

// emitQuorum writes quorum and hysteresis, with the limits that keepalived gives them.
func (c *converter) emitQuorum(t *table, v *virtualServer, total int64) {
	quorum := int64(1)
	if s := v.quorum; s != nil {
		n, ok := c.integer(s, 1, 1<<30)
		if !ok {
			return
		}
		if n > total && total > 0 {
			c.note(s.at, "", "quorum: %d is more than the weight of all servers: it is %d now, as with keepalived", n, total)
			n = total
		}
		quorum = n
		t.set(s.at, "quorum", tomlInt(quorum))
	}
	if s := v.hysteresis; s != nil {
		n, ok := c.integer(s, 0, 1<<30)
		if most := max(0, min(quorum-1, total-quorum)); ok && n > most {
			c.note(s.at, "", "hysteresis: with %d, a quorum of %d could not be lost, or not be regained: it is %d now", n, quorum, most)
			n = most
		}
		if ok && n > 0 {
			t.set(s.at, "quorum_hysteresis", tomlInt(n))
		}
	}
}

// inhibited returns the place of inhibit_on_failure of the servers: tandem has it for all servers of a service.
func (c *converter) inhibited(v *virtualServer) Place {
	n := 0
	var at Place
	for _, r := range v.servers {
		if r.inhibit.File != "" {
			n, at = n+1, r.inhibit
		}
	}
	if n > 0 && n < len(v.servers) {
		c.note(at, "", "inhibit_on_failure: %d of %d servers have it, and on_failure is that of the service: now all have it", n,
			len(v.servers))
	}
	return at
}

func (c *converter) emitSorry(t *table, v *virtualServer, p part, usual string) {
	s := v.sorry
	if s == nil {
		return
	}
	a, err := netip.ParseAddr(s.value())
	rest := s.words[min(2, len(s.words)):]
	port, ok := portOf(rest)
	if err != nil || !ok {
		c.odd(s, "an address with a port")
		return
	}
	n := t.child(s.at, "sorry_server", false)
	n.set(s.at, "address", tomlString(a.String()))
	method, tunnel := c.methodOf(v.sorryMethod, usual)
	c.emitPort(n, s.at, method, p, port, len(rest) > 0)
	if method != usual {
		n.set(v.sorryMethod.at, "method", tomlString(method))
	}
	if tunnel != nil {
		n.children = append(n.children, tunnel)
	}
}

// emitServiceHooks writes the hooks of quorum and servers, and the mails.
func (c *converter) emitServiceHooks(d *table, v *virtualServer, p part, name string) {
	hook := func(events []string, cmd *command) {
		h := c.emitHook(d, cmd.at, events, cmd)
		h.setList(cmd.at, "services", []string{tomlString(name)})
	}
	for _, q := range []struct {
		event string
		cmd   *command
	}{{"quorum_regained", v.quorumUp}, {"quorum_lost", v.quorumDown}} {
		if q.cmd != nil {
			hook([]string{q.event}, q.cmd)
		}
	}
	for _, event := range []string{"server_up", "server_down"} {
		c.emitServerHooks(v, p, event, hook)
	}
	var events []string
	if slices.ContainsFunc(v.servers, func(r *realServer) bool { return c.mails(r.alert, c.global.alertServers, true) }) {
		events = append(events, "server_down", "server_up")
	}
	if c.mails(v.alert, c.global.alertServers, false) {
		events = append(events, "quorum_lost", "quorum_regained")
	}
	c.mailed = append(c.mailed, mailed{strings.Join(events, " "), name})
}

// A mailed is a service with the events that are mailed.
type mailed struct{ events, service string }

// emitServiceMails writes a mail hook for all services with the same events. keepalived mails about servers by default.
func (c *converter) emitServiceMails(d *table) {
	var done []string
	for _, m := range c.mailed {
		if m.events == "" || slices.Contains(done, m.events) {
			continue
		}
		done = append(done, m.events)
		var services []string
		for _, o := range c.mailed {
			if o.events == m.events {
				services = append(services, tomlString(o.service))
			}
		}
		h := c.emitMail(d, c.global.mailAt, strings.Fields(m.events))
		if len(services) < len(c.mailed) {
			h.setList(c.global.mailAt, "services", services)
		}
	}
}

// emitServerHooks writes the commands of servers. A hook is told all servers of its service: the command of one server looks
// which one it is, unless all have the same.
func (c *converter) emitServerHooks(v *virtualServer, p part, event string, hook func([]string, *command)) {
	of := func(r *realServer) *command {
		if event == "server_up" {
			return r.up
		}
		return r.down
	}
	first := of(v.servers[0])
	if first != nil && !slices.ContainsFunc(v.servers, func(r *realServer) bool { return of(r) == nil || !of(r).same(first) }) {
		hook([]string{event}, first)
		return
	}
	for _, r := range v.servers {
		if cmd := of(r); cmd != nil && len(cmd.args) > 0 {
			hook([]string{event}, cmd.onlyFor(r.addr.String(), c.portTold(v, p, r)))
		}
	}
}

// portTold returns the port of a server as hooks are told it; "0" if several servers have the address, or none is known.
func (c *converter) portTold(v *virtualServer, p part, r *realServer) string {
	n := 0
	for _, o := range v.servers {
		if o.addr == r.addr {
			n++
		}
	}
	if n == 1 || p.mark != 0 {
		return "0"
	}
	return tomlInt(int64(r.port))
}
