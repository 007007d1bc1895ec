// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"slices"
	"strings"
	"time"
)

// A checker is a health checker of a real server.
type checker struct {
	at          Place
	kind        string // HTTP_GET
	pace        pace
	address     *statement
	port        *statement
	source      *statement
	mark        *statement
	virtualhost string
	version     *statement
	pages       []*page
	values      map[string]*statement // the keys of one kind
	cmd         *command
	user        string
}

func keepChecker(set func(*checker, *statement)) func(*converter, *checker, *statement) {
	return func(c *converter, x *checker, s *statement) { set(x, s) }
}

// checkerHandlers are for the keys that all kinds have, and those of one kind.
var checkerHandlers map[string]func(*converter, *checker, *statement)

func init() {
	paced := func(c *converter, x *checker, s *statement) { x.pace.read(c, s) }
	value := keepChecker(func(x *checker, s *statement) { x.values[s.keyword()] = s })
	checkerHandlers = map[string]func(*converter, *checker, *statement){
		"connect_ip":         keepChecker(func(x *checker, s *statement) { x.address = s }),
		"connect_port":       keepChecker(func(x *checker, s *statement) { x.port = s }),
		"bindto":             keepChecker(func(x *checker, s *statement) { x.source = s }),
		"fwmark":             keepChecker(func(x *checker, s *statement) { x.mark = s }),
		"connect_timeout":    paced,
		"retry":              paced,
		"nb_get_retry":       paced,
		"delay_before_retry": paced,
		"delay_loop":         paced,
		"http_protocol":      keepChecker(func(x *checker, s *statement) { x.version = s }),
		"virtualhost":        keepChecker(func(x *checker, s *statement) { x.virtualhost = s.value() }),
		"sni_name":           value,
		"url":                (*converter).readPage,
		"helo_name":          value,
		"host":               func(c *converter, x *checker, s *statement) { c.walkChecker(x, s.block) },
		"type":               value,
		"name":               value,
		"misc_path":          func(c *converter, x *checker, s *statement) { x.cmd = c.tracked(s) },
		"misc_timeout":       value,
		"misc_dynamic":       value,
		"bind_if":            value,
		"user": func(c *converter, x *checker, s *statement) {
			x.user = s.value()
			c.refuseGroup(s, s.value(), s.valueAt(2))
		},
		"payload":       value,
		"require_reply": value,
	}
}

func (c *converter) readChecker(r *realServer, st *statement) {
	x := &checker{at: st.at, kind: st.keyword(), values: make(map[string]*statement)}
	c.walkChecker(x, st.block)
	r.checkers = append(r.checkers, x)
}

// walkChecker is walk for the keys of a kind of checker, and those that all have. SSL_GET has the keys of HTTP_GET.
func (c *converter) walkChecker(x *checker, list []*statement) {
	block := x.kind
	if block == "SSL_GET" {
		block = "HTTP_GET"
	}
	for _, s := range list {
		if c.known(s, block, "checker") {
			checkerHandlers[s.keyword()](c, x, s)
		}
	}
}

// tlsFiles are what the block SSL says.
type tlsFiles struct{ certificate, key *statement }

var tlsHandlers = map[string]func(*converter, *tlsFiles, *statement){
	"certificate": func(c *converter, f *tlsFiles, s *statement) { f.certificate = s },
	"key":         func(c *converter, f *tlsFiles, s *statement) { f.key = s },
}

// emitChecks writes the checks of a real server, and returns their names. port is what keepalived asks.
func (c *converter) emitChecks(v *virtualServer, p part, r *realServer, method string, port uint16) (names []string) {
	own := uint16(0) // what tandem asks by itself
	switch {
	case len(p.virtuals) > 0:
		own = p.virtuals[0].Port()
	}
	if own = ownPort(own, method, r); p.mark != 0 && method != "nat" {
		own = 0
	}
	for _, x := range r.checkers {
		host := x.virtualhost
		for _, h := range []string{r.virtualhost, v.virtualhost} {
			if host == "" {
				host = h
			}
		}
		paced := x.pace.over(r.pace).over(v.pace)
		switch x.kind {
		case "HTTP_GET", "SSL_GET":
			for _, page := range x.pages {
				names = append(names, c.emitPage(x, page, paced, host, own, port))
			}
			if len(x.pages) == 0 {
				c.note(x.at, "", "%s: has no url, and is left out", x.kind)
			}
		default:
			if name := c.emitChecker(x, paced, own, port); name != "" {
				names = append(names, name)
			}
		}
	}
	return names
}

// ownPort returns the port of a server in the converted file.
func ownPort(service uint16, method string, r *realServer) uint16 {
	if r.method != nil {
		method = map[string]string{"NAT": "nat"}[strings.ToUpper(r.method.value())]
	}
	if r.hasPort && method == "nat" && r.port != 0 {
		return r.port
	}
	return service
}

// emitEndpoint writes where a check goes.
func (c *converter) emitEndpoint(t *table, x *checker, own, port uint16, hasPort bool) {
	if x.port != nil {
		if n, ok := c.integer(x.port, 1, 65535); ok {
			port = uint16(n)
		}
	}
	at := x.at
	if x.port != nil {
		at = x.port.at
	}
	if hasPort && port != own && port != 0 {
		t.set(at, "port", tomlInt(int64(port)))
	}
	if s := x.address; s != nil {
		t.set(s.at, "address", tomlString(s.value()))
	}
	if s := x.source; s != nil {
		t.set(s.at, "source", tomlString(s.value()))
	}
	if s := x.values["bind_if"]; s != nil {
		t.set(s.at, "bind_if", tomlString(s.value()))
	}
	if s := x.mark; s != nil {
		if n, ok := c.integer(s, 0, 1<<32-1); ok && n > 0 {
			t.set(s.at, "fwmark", tomlInt(n))
		}
	}
}

// emitChecker writes a check other than one over HTTP, and returns its name.
func (c *converter) emitChecker(x *checker, paced pace, own, port uint16) string {
	kind := map[string]string{
		"TCP_CHECK": "tcp", "SMTP_CHECK": "smtp", "DNS_CHECK": "dns", "MISC_CHECK": "exec", "PING_CHECK": "ping", "UDP_CHECK": "udp",
	}[x.kind]
	t := &table{at: x.at}
	t.set(x.at, "type", tomlString(kind))
	timeout := time.Duration(0)
	if s := x.values["misc_timeout"]; s != nil {
		timeout, _ = c.seconds(s)
	}
	paced.emit(c, t, x.at, x.kind, timeout)
	if kind != "exec" {
		c.emitEndpoint(t, x, own, port, kind != "ping")
	}
	switch kind {
	case "smtp":
		if s := x.values["helo_name"]; s != nil {
			t.set(s.at, "hello", tomlString(s.value()))
		}
	case "dns":
		c.emitQuery(t, x)
	case "udp":
		c.emitDatagram(t, x)
	case "exec":
		if x.cmd == nil || len(x.cmd.args) == 0 {
			c.note(x.at, "", "MISC_CHECK: has no misc_path, and is left out")
			return ""
		}
		value, list := x.cmd.value()
		t.set(x.cmd.at, "command", value).list = list
		x.cmd.user = x.user
		t.set(x.cmd.at, "user", tomlString(c.userOf(x.cmd)))
		if s := x.values["misc_dynamic"]; s != nil {
			t.set(s.at, "exit_weight", "true")
		}
	}
	return c.checks.add(kind, t)
}

func (c *converter) emitQuery(t *table, x *checker) {
	query, kind := ".", "SOA"
	at := x.at
	if s := x.values["name"]; s != nil {
		query, at = s.value(), s.at
	}
	if s := x.values["type"]; s != nil {
		kind = strings.ToUpper(s.value())
	}
	t.set(at, "query", tomlString(query))
	t.set(at, "query_type", tomlString(kind))
}

// emitDatagram translates UDP_CHECK. Its octets may be written with one digit, and with an X for a digit of any value.
func (c *converter) emitDatagram(t *table, x *checker) {
	if s := x.values["payload"]; s != nil {
		if octets, ok := hexOctets(s.values()); ok {
			t.set(s.at, "send_hex", tomlString(octets))
		} else {
			c.odd(s, "hexadecimal")
		}
	}
	s := x.values["require_reply"]
	if s == nil {
		return
	}
	switch octets, ok := hexOctets(s.values()); {
	case len(s.values()) == 0:
		c.note(s.at, "set expect or expect_hex to something that each answer has",
			"require_reply: an answer cannot be required without saying what is in it")
	case !ok:
		c.note(s.at, "set expect_hex to the octets before or after the X",
			"require_reply: %s cannot be expected: digits of any value have no equivalent",
			abbreviate(strings.Join(s.values(), " ")))
	default:
		t.set(s.at, "expect_hex", tomlString(octets))
	}
}

// hexOctets writes words of hexadecimal digits with two digits for each octet. A last single digit of a word is an octet.
func hexOctets(words []string) (string, bool) {
	var all []string
	for _, w := range words {
		for f := range strings.FieldsSeq(w) {
			if strings.Trim(f, "0123456789abcdefABCDEF") != "" {
				return "", false
			}
			for len(f) > 2 {
				all, f = append(all, f[:2]), f[2:]
			}
			if len(f) == 1 {
				f = "0" + f
			}
			all = append(all, f)
		}
	}
	return strings.ToLower(strings.Join(all, " ")), len(all) > 0
}

// emitCheckUse writes the names of the checks: at the service if all its servers have the same.
func (c *converter) emitCheckUse(t *table, v *virtualServer, servers *table, names [][]string) {
	const most = 16
	same := true
	for i, n := range names {
		n = distinct(n)
		names[i] = n
		if len(n) > most {
			c.note(v.servers[i].at, "", "real_server: has %d checks: the first %d are left now", len(n), most)
			names[i] = n[:most]
		}
		same = same && strings.Join(names[i], " ") == strings.Join(names[0], " ")
	}
	use := func(t *table, at Place, names []string) {
		switch {
		case len(names) == 1:
			t.set(at, "check", tomlString(names[0]))
		case len(names) > 1:
			t.setList(at, "check", tomlStrings(names))
		}
	}
	if same && len(names) > 0 {
		use(t, v.at, names[0])
		return
	}
	for i, n := range names {
		use(servers.children[i], v.servers[i].at, n)
	}
}

// distinct returns the first of each.
func distinct(all []string) (some []string) {
	for _, s := range all {
		if !slices.Contains(some, s) {
			some = append(some, s)
		}
	}
	return some
}
