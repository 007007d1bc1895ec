// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A page is a url of HTTP_GET or SSL_GET.
type page struct {
	at          Place
	path        *statement
	status      *statement
	virtualhost string
	regex       *statement
	noMatch     *statement
	options     *statement
}

var pageHandlers = map[string]func(*converter, *page, *statement){
	"path":           func(c *converter, p *page, s *statement) { p.path = s },
	"status_code":    func(c *converter, p *page, s *statement) { p.status = s },
	"virtualhost":    func(c *converter, p *page, s *statement) { p.virtualhost = s.value() },
	"regex":          func(c *converter, p *page, s *statement) { p.regex = s },
	"regex_no_match": func(c *converter, p *page, s *statement) { p.noMatch = s },
	"regex_options":  func(c *converter, p *page, s *statement) { p.options = s },
}

func (c *converter) readPage(x *checker, st *statement) {
	p := &page{at: st.at}
	walk(c, "url", p, pageHandlers, st.block)
	x.pages = append(x.pages, p)
}

// emitPage writes a check over HTTP, and returns its name.
func (c *converter) emitPage(x *checker, p *page, paced pace, host string, own, port uint16) string {
	kind := "http"
	if x.kind == "SSL_GET" {
		kind = "https"
	}
	t := &table{at: x.at}
	t.set(x.at, "type", tomlString(kind))
	paced.emit(c, t, x.at, x.kind, 0)
	c.emitEndpoint(t, x, own, port, true)
	if p.path != nil && p.path.value() != "" {
		c.emitPath(t, p)
	}
	if p.virtualhost != "" {
		host = p.virtualhost
	}
	if host != "" {
		t.set(p.at, "host", tomlString(host))
	}
	c.emitVersion(t, x)
	c.emitStatus(t, p)
	c.emitRegex(t, p)
	if kind == "https" {
		t.set(x.at, "tls_verify", "false").because("as keepalived, which never verifies a certificate")
		if s := x.values["sni_name"]; s != nil && s.value() != "" {
			t.set(s.at, "tls_name", tomlString(s.value()))
		}
		if f := c.tls; f.certificate != nil && f.key != nil {
			t.set(f.certificate.at, "tls_cert", tomlString(f.certificate.value()))
			t.set(f.key.at, "tls_key", tomlString(f.key.value()))
		}
	}
	return c.checks.add(kind, t)
}

func (c *converter) emitPath(t *table, p *page) {
	s := p.path.value()
	if !strings.HasPrefix(s, "/") {
		c.note(p.path.at, "", "path: %s does not begin with a slash: it has one now", abbreviate(s))
		s = "/" + s
	}
	t.set(p.path.at, "path", tomlString(s))
}

// emitVersion writes the version of HTTP. keepalived asks with 1.0 unless it is told otherwise.
func (c *converter) emitVersion(t *table, x *checker) {
	version, at := "1.0", x.at
	if s := x.version; s != nil {
		at = s.at
		switch strings.ToUpper(s.value()) {
		case "1.0", "1.0C":
		case "1.1":
			version = "1.1"
		default:
			c.odd(s, "1.0, 1.0C or 1.1")
		}
	}
	if version != "1.1" {
		t.set(at, "version", `"1.0"`)
	}
}

// emitStatus translates status_code NUMBER|RANGE…
func (c *converter) emitStatus(t *table, p *page) {
	s := p.status
	if s == nil {
		return
	}
	var list []string
	for _, w := range s.values() {
		from, to, is := strings.Cut(w, "-")
		if !is {
			to = from
		}
		a, err := strconv.Atoi(from)
		b, wrong := strconv.Atoi(to)
		if err != nil || wrong != nil || a < 200 || b > 599 || a > b {
			c.note(s.at, "", "status_code: %s is not a code or a range from 200 to 599, and is left out", abbreviate(w))
			continue
		}
		if v := tomlString(w); !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	if list != nil {
		t.setList(s.at, "status", list)
	}
}

// regexFlags are the options of keepalived that an expression of RE2 can have.
var regexFlags = map[string]string{"caseless": "i", "multiline": "m", "dotall": "s", "ungreedy": "U"}

// needless are options that change nothing here.
var needless = []string{"utf", "never_utf", "ucp", "never_ucp", "no_auto_capture", "no_auto_possess", "no_dotstar_anchor",
	"no_start_optimize", "auto_callout", "dupnames", "never_backslash_c"}

// emitRegex translates a regular expression of PCRE, if it is one of RE2 too.
func (c *converter) emitRegex(t *table, p *page) {
	s := p.regex
	if s == nil {
		return
	}
	flags := ""
	if p.options != nil {
		for _, o := range p.options.values() {
			switch flag := regexFlags[o]; {
			case flag != "" && !strings.Contains(flags, flag):
				flags += flag
			case flag == "" && !slices.Contains(needless, o):
				c.note(p.options.at, "see whether the expression still matches", "regex_options: %s has no equivalent", abbreviate(o))
			}
		}
	}
	expression := s.value()
	if p.noMatch != nil {
		if flags != "" || regexp.QuoteMeta(expression) != expression || expression == "" {
			c.note(p.noMatch.at, "set not_contains to a text, or let the page say that all is well, and set contains",
				"regex_no_match: %s is no plain text, and is left out", abbreviate(expression))
			return
		}
		t.set(s.at, "not_contains", tomlString(expression))
		return
	}
	if flags != "" {
		expression = "(?" + flags + ")" + expression
	}
	if _, err := regexp.Compile(expression); err != nil || expression == "" {
		c.note(s.at, "write it as an expression of RE2", "regex: %s is not one of RE2, and is left out", abbreviate(s.value()))
		return
	}
	t.set(s.at, "matches", tomlString(expression))
}
