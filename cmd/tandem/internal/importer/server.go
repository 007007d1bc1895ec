// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"math"
	"net/netip"
	"strings"
)

// A realServer is a real_server.
type realServer struct {
	at          Place
	addr        netip.Addr
	port        uint16
	hasPort     bool
	weight      *statement
	method      *statement
	up, down    *command
	upper       *statement
	lower       *statement
	alert       *bool
	inhibit     Place
	virtualhost string
	pace        pace
	checkers    []*checker
}

func keepServer(set func(*realServer, *statement)) func(*converter, *realServer, *statement) {
	return func(c *converter, r *realServer, s *statement) { set(r, s) }
}

var serverHandlers map[string]func(*converter, *realServer, *statement)

func init() {
	serverHandlers = map[string]func(*converter, *realServer, *statement){
		"weight":             keepServer(func(r *realServer, s *statement) { r.weight = s }),
		"lvs_method":         keepServer(func(r *realServer, s *statement) { r.method = s }),
		"lb_kind":            keepServer(func(r *realServer, s *statement) { r.method = s }),
		"notify_up":          func(c *converter, r *realServer, s *statement) { r.up = c.notified(s) },
		"notify_down":        func(c *converter, r *realServer, s *statement) { r.down = c.notified(s) },
		"uthreshold":         keepServer(func(r *realServer, s *statement) { r.upper = s }),
		"lthreshold":         keepServer(func(r *realServer, s *statement) { r.lower = s }),
		"smtp_alert":         func(c *converter, r *realServer, s *statement) { r.alert = c.flag(s) },
		"virtualhost":        keepServer(func(r *realServer, s *statement) { r.virtualhost = s.value() }),
		"connect_timeout":    func(c *converter, r *realServer, s *statement) { r.pace.read(c, s) },
		"retry":              func(c *converter, r *realServer, s *statement) { r.pace.read(c, s) },
		"delay_before_retry": func(c *converter, r *realServer, s *statement) { r.pace.read(c, s) },
		"delay_loop":         func(c *converter, r *realServer, s *statement) { r.pace.read(c, s) },
		"inhibit_on_failure": func(c *converter, r *realServer, s *statement) { r.inhibit = c.where(s) },
	}
	for _, kind := range []string{"HTTP_GET", "SSL_GET", "TCP_CHECK", "SMTP_CHECK", "DNS_CHECK", "MISC_CHECK", "PING_CHECK",
		"UDP_CHECK"} {
		serverHandlers[kind] = (*converter).readChecker
	}
}

func (c *converter) readServer(v *virtualServer, st *statement) {
	a, err := netip.ParseAddr(st.value())
	port, ok := uint16(0), true
	rest := st.words[min(2, len(st.words)):]
	if port, ok = portOf(rest); err != nil || !ok {
		c.note(st.at, "keepalived refuses it: correct it there first", "real_server: %s is not an address with a port, and is left out",
			abbreviate(strings.Join(st.values(), " ")))
		return
	}
	r := &realServer{at: st.at, addr: a, port: port, hasPort: len(rest) > 0}
	walk(c, "real_server", r, serverHandlers, st.block)
	v.servers = append(v.servers, r)
}

// emitServer writes a real server. It returns the port that its checks ask, and its weight.
func (c *converter) emitServer(t *table, v *virtualServer, p part, r *realServer, usual string) (port uint16, weight int64) {
	s := t.child(r.at, "server", true)
	s.set(r.at, "address", tomlString(r.addr.String()))
	method, tunnel := c.methodOf(r.method, usual)
	port = c.emitPort(s, r.at, method, p, r.port, r.hasPort)
	weight = 1
	for _, w := range []*statement{r.weight, v.weight} {
		if w == nil {
			continue
		}
		if n, ok := c.integer(w, 0, 65535); ok {
			weight = n
		}
		break
	}
	if weight != 1 {
		s.set(r.at, "weight", tomlInt(weight))
	}
	if method != usual {
		s.set(r.method.at, "method", tomlString(method))
	}
	if tunnel != nil {
		s.children = append(s.children, tunnel)
	}
	c.emitThresholds(s, r)
	return port, weight
}

// emitPort writes the port of a server, if it differs from the service's. Only NAT can map ports: with the other methods
// keepalived ignores it, but its checks ask it. It returns the port that checks ask.
func (c *converter) emitPort(s *table, at Place, method string, p part, port uint16, has bool) uint16 {
	own := uint16(0)
	if len(p.virtuals) > 0 {
		own = p.virtuals[0].Port()
	}
	switch {
	case !has || port == own && p.mark == 0:
		return own
	case method == "nat" && port != 0:
		s.set(at, "port", tomlInt(int64(port)))
	case p.mark == 0 && own != 0 && port != 0:
		c.note(at, "", "real_server: with this lvs_method packets keep their port %d: the port %d is only checked", own, port)
	}
	return port
}

func (c *converter) emitThresholds(s *table, r *realServer) {
	upper, has := int64(0), false
	if r.upper != nil {
		upper, has = c.integer(r.upper, 0, math.MaxUint32)
	}
	if !has || upper == 0 {
		if r.lower != nil && r.lower.value() != "0" {
			c.note(r.lower.at, "", "lthreshold: has no effect without uthreshold")
		}
		return
	}
	t := s.child(r.upper.at, "thresholds", false)
	t.set(r.upper.at, "upper", tomlInt(upper))
	if r.lower != nil {
		if n, ok := c.integer(r.lower, 0, math.MaxUint32); ok && n > 0 {
			t.set(r.lower.at, "lower", tomlInt(n))
		}
	}
}
