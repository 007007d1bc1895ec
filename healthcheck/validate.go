// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// ownHeaders are the header fields that the check itself sends.
var ownHeaders = []string{"Host", "Content-Length", "Transfer-Encoding", "Connection"}

// problems are the mistakes in a check.
type problems []error

// wrong adds a mistake if is is true.
func (p *problems) wrong(is bool, format string, args ...any) {
	if is {
		*p = append(*p, fmt.Errorf(format, args...))
	}
}

// Validate returns everything that prevents the check from running, in one error. It sets no policy: it accepts an interval
// of any length.
func (c Config) Validate() error {
	var p problems
	p.wrong(c.Type < TCP || c.Type > Neighbour, "check type %s: does not exist", c.Type)
	p.wrong(c.Interval <= 0, "interval %s: must be above 0", c.Interval)
	p.wrong(c.IntervalDown < 0, "interval while down %s: must not be below 0", c.IntervalDown)
	p.wrong(c.FastInterval < 0, "fast interval %s: must not be below 0", c.FastInterval)
	p.wrong(c.Jitter < 0 || c.Jitter > 50, "jitter %d%%: must be 0 to 50", c.Jitter)
	p.wrong(c.Timeout <= 0, "timeout %s: must be above 0", c.Timeout)
	p.wrong(c.Rise < 1, "rise %d: must be at least 1", c.Rise)
	p.wrong(c.Fall < 1, "fall %d: must be at least 1", c.Fall)
	f := c.Flap
	p.wrong(f.Changes < 0 || f.Changes == 1 || f.Changes > 100, "flap changes %d: must be 0, or 2 to 100", f.Changes)
	p.wrong(f.Changes > 0 && f.Window <= 0 || f.Window < 0 || f.Hold < 0,
		"flap window %s, hold %s: must be above 0", f.Window, f.Hold)
	switch c.Type {
	case Exec:
		p.wrong(len(c.Command) == 0 || !strings.HasPrefix(c.Command[0], "/"),
			"command %q: must begin with the absolute path of a program", c.Command)
		p.wrong(strings.Contains(strings.Join(c.Command, ""), "\x00"), "command %q: must not hold NUL", c.Command)
		p.wrong(c.User == "", "user: must be given")
	case HTTP, HTTPS:
		c.validateHTTP(&p)
	case TCP:
		c.validateSteps(&p)
	case DNS:
		_, known := dns.StringToType[c.Query.Type]
		p.wrong(!known, "query type %q: no record has this type", c.Query.Type)
		_, fits := dns.IsDomainName(c.Query.Name)
		p.wrong(!fits || c.Query.Name == "", "query name %q: not a domain name", c.Query.Name)
		if _, err := c.Query.Expected(); known && err != nil {
			p = append(p, fmt.Errorf("answer %q: not the data of a %s record", c.Query.Answer, c.Query.Type))
		}
	case Process:
		p.wrong(c.Process == "" || strings.ContainsAny(c.Process, "/\x00"), "process %q: want the file name of a program", c.Process)
	case Neighbour:
		p.wrong(c.Device == "", "interface: must be given")
	case Unit:
		p.wrong(c.Unit == "", "unit: must be given")
	case File:
		p.wrong(!strings.HasPrefix(c.File, "/") || strings.Contains(c.File, "\x00"), "file %q: must be an absolute path", c.File)
	case RADIUS:
		r := c.Radius
		p.wrong(r.Secret == "", "secret: must be given")
		p.wrong(len(r.User) > 253, "user name of %d octets: must have at most 253", len(r.User))
		p.wrong(len(r.Password) > 128, "password of %d octets: must have at most 128", len(r.Password))
		p.wrong(r.Password != "" && r.User == "", "password: needs a user name")
	case SMTP:
		p.wrong(c.Hello != "" && !isHost(c.Hello), "hello %q: not a host name", c.Hello)
	}
	p.wrong(c.Via.IsValid() && slices.Contains([]Type{Ping, Neighbour, Exec, Agent, File, Process, Unit}, c.Type), "%s checks cannot use via = \"vip\"", c.Type)
	p.wrong(c.Via.IsValid() && c.Type == UDP && c.Expect == "", "udp checks with via = \"vip\" need something to expect")
	p.wrong(c.Device != "" && (c.Via.IsValid() || local(c.Type)), "%s checks with an interface to be bound to: cannot be made", c.Type)
	p.wrong(c.ExitWeight && c.Type != Exec, "%s checks have no exit code", c.Type)
	p.wrong(c.IgnoreSilence && c.Type != Agent, "%s checks cannot ignore silence", c.Type)
	p.wrong(c.Proxy > 2, "PROXY protocol version %d: does not exist", c.Proxy)
	p.wrong(c.Proxy != 0 && !slices.Contains([]Type{TCP, HTTP, HTTPS, SMTP}, c.Type), "%s checks cannot use the PROXY protocol", c.Type)
	c.TLS.validate(&p)
	return errors.Join(p...)
}

// validateSteps accepts only steps that do something, and that say where the answer ends if it must not contain something.
func (c *Config) validateSteps(p *problems) {
	p.wrong(len(c.Steps) > 0 && c.Send+c.Expect+c.Forbid != "", "steps: replace send, expect and forbid, so both must not be given")
	for i, s := range c.Conversation() {
		p.wrong(len(c.Steps) > 0 && s == Step{}, "step %d: does nothing", i+1)
		p.wrong(s.Expect != "" && s.Matches != "", "step %d: must not have both a text and a regular expression", i+1)
		p.wrong(s.Forbid != "" && !s.Reads(), "step %d: forbids a text, but expects nothing that ends the answer", i+1)
		if _, err := regexp.Compile(s.Matches); err != nil {
			*p = append(*p, fmt.Errorf("step %d: regular expression %q: %w", i+1, s.Matches, err))
		}
	}
}

// validateHTTP accepts only values that cannot end their line of a request.
func (c Config) validateHTTP(p *problems) {
	p.wrong(!isToken(c.Method) || c.Method == "CONNECT", "method %q: not a method with a path", c.Method)
	p.wrong(!isPath(c.Path), "path %q: must begin with a slash and be printable ASCII without spaces or #", c.Path)
	_, err := url.ParseRequestURI(c.Path)
	p.wrong(c.Version == HTTP2 && err != nil, "path %q: not valid in version 2", c.Path)
	p.wrong(!isHost(c.Host), "host %q: not fit for a Host header", c.Host)
	p.wrong(c.Version > HTTP2, "HTTP version %s: does not exist", c.Version)
	p.wrong(c.TLS.On != (c.Type == HTTPS), "TLS: must be on with https, and off with http")
	for _, h := range c.Headers {
		p.wrong(!isToken(h.Name), "header %q: not a valid name", h.Name)
		p.wrong(!isFieldValue(h.Value), "header %s: %q is not a valid value", h.Name, h.Value)
		p.wrong(slices.ContainsFunc(ownHeaders, func(own string) bool { return strings.EqualFold(own, h.Name) }),
			"header %s: the check itself sends this header", h.Name)
	}
	p.wrong(len(c.Status) == 0, "status: at least one is needed")
	for _, s := range c.Status {
		if err := s.validate(); err != nil {
			*p = append(*p, err)
		}
	}
	sum := c.Content.SHA256
	b, err := hex.DecodeString(sum)
	p.wrong(sum != "" && (err != nil || len(b) != 32 || sum != strings.ToLower(sum)),
		"SHA-256 %q: not 64 lower-case hexadecimal digits", sum)
	if _, err := regexp.Compile(c.Content.Matches); err != nil {
		*p = append(*p, fmt.Errorf("regular expression %q: %w", c.Content.Matches, err))
	}
	for _, f := range c.Fields {
		p.wrong(!isToken(f.Name), "header %q: not a valid name", f.Name)
		if _, err := regexp.Compile(f.Matches); err != nil {
			*p = append(*p, fmt.Errorf("header %s: regular expression %q: %w", f.Name, f.Matches, err))
		}
	}
	p.wrong(c.Content != Content{} && c.Method == "HEAD", "method HEAD: its response has no body to examine")
}

func (t TLS) validate(p *problems) {
	p.wrong((t.CertFile == "") != (t.KeyFile == ""), "TLS: a certificate needs its key, and a key its certificate")
	p.wrong(t.Minimum != 0 && (t.Minimum < TLS10 || t.Minimum > TLS13), "TLS version %#x: does not exist", t.Minimum)
	p.wrong(!t.On && t != TLS{}, "TLS: has settings, but is not on")
}

func (s StatusRange) validate() error {
	if s.First < 200 || s.Last > 599 || s.First > s.Last {
		return fmt.Errorf("status %d-%d: not a range between 200 and 599", s.First, s.Last)
	}
	return nil
}

// Validate returns what prevents the target from being probed.
func (t Target) Validate() error {
	var p problems
	to := t.Endpoint()
	if !local(t.Config.Type) {
		p.wrong(!to.Addr().IsValid(), "no address to check")
		p.wrong(to.Port() == 0 && t.Config.Type != Ping && t.Config.Type != Neighbour, "no port to check")
		from := t.Config.Source
		via := t.Config.Via
		other := to.Addr().IsValid() && via.Is4() != to.Addr().Is4()
		p.wrong(via.IsValid() && other && (t.Config.Mark == 0 || !from.IsValid()), "VIP %s: of another family than %s", via, to.Addr())
		p.wrong(via.IsValid() && t.Config.Mark == 0 && !t.Config.OnlyConnects(),
			"checks through the VIP that do more than connect need a firewall mark")
		peer := t.Peer().Addr()
		p.wrong(from.IsValid() && peer.IsValid() && from.Is4() != peer.Is4(), "source %s: of another family than %s", from, peer)
	}
	return errors.Join(append(p, t.Config.Validate())...)
}

// local reports whether checks of a type ask this machine, and so need no address.
func local(t Type) bool { return slices.Contains([]Type{Exec, File, Process, Unit}, t) }

// isToken reports whether s is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	})
}

// isFieldValue reports whether s is valid in a header line (RFC 9110, section 5.5). Above all, it cannot end that line.
func isFieldValue(s string) bool {
	return s == strings.TrimSpace(s) && !slices.ContainsFunc([]byte(s), func(c byte) bool {
		return c < ' ' && c != '\t' || c == 0x7f
	})
}

// isPath reports whether s is valid in a request line (RFC 9112, section 3.2.1). Above all, it cannot end that line.
func isPath(s string) bool {
	return strings.HasPrefix(s, "/") && !slices.ContainsFunc([]byte(s), func(c byte) bool {
		return c <= ' ' || c >= 0x7f || c == '#'
	})
}

// isHost reports whether s is valid in a Host header (RFC 9110, section 7.2). An empty s means the default.
func isHost(s string) bool {
	return !slices.ContainsFunc([]byte(s), func(c byte) bool {
		return c <= ' ' || c >= 0x7f || strings.IndexByte(`/\?#@"<>`, c) >= 0
	})
}

// Expected returns the record that the answer must hold; nil: any record of the type. Its data may be written in every form
// that zone files allow (RFC 1035, section 5.1). Names are relative to the root.
func (q Query) Expected() (dns.RR, error) {
	if q.Answer == "" {
		return nil, nil
	}
	record, err := dns.NewRR(". 0 IN " + q.Type + " " + q.Answer)
	if err == nil && record == nil {
		err = errors.New("no data")
	}
	return record, err
}
