// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"crypto/tls"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/healthcheck"
)

// webFields are the keys of checks over HTTP.
func webFields() []toml.Field[healthcheck.Config] {
	usual := healthcheck.DefaultConfig(healthcheck.HTTP)
	return []toml.Field[healthcheck.Config]{
		only(webTypes,
			toml.Optional("method", toml.OneOf("GET", "HEAD", "OPTIONS", "POST", "PUT"), usual.Method, "The HTTP method.",
				func(c *healthcheck.Config, v string) { c.Method = v })),
		only(webTypes,
			toml.Optional("path", toml.String("a path that begins with a slash, with its query", validPath), usual.Path,
				"The page that is asked for. Redirects are not followed.",
				func(c *healthcheck.Config, v string) { c.Path = v })),
		only(types(healthcheck.HTTP, healthcheck.HTTPS, healthcheck.GRPC),
			toml.Derived("host", toml.String("a host name or address, with or without a port", validHost), "The Host header.",
				func(c *healthcheck.Config, v string) { c.Host = v }).Unset("the address that is probed").Example(`"www.example.org"`)),
		only(webTypes,
			toml.Optional("version", toml.Enum(healthcheck.HTTP10, healthcheck.HTTP11, healthcheck.HTTP2), usual.Version,
				"The version of HTTP. Without TLS, version 2 is h2c with prior knowledge: there is no upgrade. A response that breaks "+
					"the rules of its version fails the check, even if browsers tolerate it (a header line without a colon, a bad "+
					"Content-Length): proxies and libraries among the clients refuse it.",
				func(c *healthcheck.Config, v healthcheck.HTTPVersion) { c.Version = v })),
		only(webTypes,
			toml.Derived("headers", headerTable(), "More header lines.",
				func(c *healthcheck.Config, v []healthcheck.Header) { c.Headers = v }).Unset("none").Example(`{ X-Probe = "lb1" }`)),
		only(webTypes,
			toml.Derived("body", toml.String("any text", anything), "The body of the request.",
				func(c *healthcheck.Config, v string) { c.Body = v }).Unset("none").Example(`"ping"`)),
		only(webTypes,
			toml.Optional("status", statuses(), usual.Status, "The status codes that count as success.",
				func(c *healthcheck.Config, v []healthcheck.StatusRange) { c.Status = slices.Clone(v) })),
		only(webTypes,
			toml.Derived("contains", toml.String("any text", nonEmpty),
				"A text that the first 1 MiB of the response's body must contain.",
				func(c *healthcheck.Config, v string) { c.Content.Contains = v }).Unset("none").Example(`"in service"`)),
		only(webTypes,
			toml.Derived("matches", toml.String("a regular expression (RE2)", validPattern),
				"A regular expression that a part of the first 1 MiB of the body must match.",
				func(c *healthcheck.Config, v string) { c.Content.Matches = v }).Unset("none").Example(`"nodes: [3-9]"`)),
		only(webTypes,
			toml.Derived("sha256", toml.String("64 hexadecimal digits in lower case", validSHA256),
				"The SHA-256 sum of the body, which may have at most 1 MiB.",
				func(c *healthcheck.Config, v string) { c.Content.SHA256 = v }).
				Unset("any sum").Example(`"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`)),
	}
}

// tlsFields are the keys of checks that can use TLS.
func tlsFields() []toml.Field[healthcheck.Config] {
	return []toml.Field[healthcheck.Config]{
		only(types(healthcheck.GRPC),
			toml.Optional("tls", toml.Boolean(), false,
				"If true, the server is asked over TLS. The other keys of TLS are the same as for https.",
				func(c *healthcheck.Config, v bool) { c.TLS.On = v })),
		only(securedTypes,
			toml.Optional("tls_verify", toml.Boolean(), true, "If true, the server's certificate must be valid.",
				func(c *healthcheck.Config, v bool) { c.TLS.Insecure = !v })),
		only(securedTypes,
			toml.Derived("tls_name", toml.String("a host name or address", validName1123),
				"The name that the certificate must be for. It is also sent as SNI.",
				func(c *healthcheck.Config, v string) { c.TLS.Name = v }).
				Unset("host, or the address that is probed").Example(`"www.example.org"`)),
		only(securedTypes,
			toml.Derived("tls_ca", toml.String("an absolute path", absolutePath),
				"A PEM file with the certificates that are trusted.",
				func(c *healthcheck.Config, v string) { c.TLS.CAFile = v }).Unset("those of the system").Example(`"/etc/tandem/ca.pem"`)),
		only(securedTypes,
			toml.Derived("tls_cert", toml.String("an absolute path", absolutePath),
				"A PEM file with the director's own certificate, for servers that ask for one.",
				func(c *healthcheck.Config, v string) { c.TLS.CertFile = v }).Unset("none").Example(`"/etc/tandem/lb1.pem"`)),
		only(securedTypes,
			toml.Derived("tls_key", toml.String("an absolute path", absolutePath), "A PEM file with the key of tls_cert.",
				func(c *healthcheck.Config, v string) { c.TLS.KeyFile = v }).Unset("none").Example(`"/etc/tandem/lb1.key"`)),
		only(securedTypes,
			toml.Optional("tls_version", tlsVersion(), tls.VersionTLS12, "The lowest version of TLS that is used.",
				func(c *healthcheck.Config, v uint16) { c.TLS.Minimum = v })),
	}
}

func tlsVersion() toml.SchemaType[uint16] {
	name := func(v uint16) string { return strings.TrimPrefix(tls.VersionName(v), "TLS ") }
	return toml.Choice(name, []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13})
}

// checkTLS refuses keys of TLS in checks that do not use TLS.
func checkTLS(at toml.Node, c *healthcheck.Config) {
	switch c.Type {
	case healthcheck.HTTPS:
		c.TLS.On = true
	case healthcheck.GRPC:
		if c.TLS.On || !at.Sound("tls") {
			break
		}
		for _, name := range []string{"tls_verify", "tls_name", "tls_ca", "tls_cert", "tls_key", "tls_version"} {
			if at.Has(name) {
				at.Key(name).Mistake("write tls = true, or remove it", "has no meaning without tls")
			}
		}
		c.TLS = healthcheck.TLS{}
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") && at.Sound("tls_cert", "tls_key") {
		given, other := "tls_cert", "tls_key"
		if c.TLS.CertFile == "" {
			given, other = other, given
		}
		at.Key(given).Mistake("", "is given without %s", other)
	}
	if c.TLS.Insecure && at.Sound("tls_verify") {
		at.Key("tls_verify").Warn("", "the certificate is not checked: a machine on the path can answer for the server")
	}
}

// checkContent refuses rules about the body of a response to HEAD, which has none.
func checkContent(at toml.Node, c healthcheck.Config) {
	for _, name := range []string{"contains", "matches", "sha256"} {
		if c.Method == "HEAD" && at.Has(name) {
			at.Key(name).Mistake(`write method = "GET", or remove it`, "has no meaning for HEAD, whose response has no body")
		}
	}
}

// checkPath refuses a path that version 2 cannot ask for. Version 1 sends any path as it is.
func checkPath(at toml.Node, c healthcheck.Config) {
	probe := healthcheck.DefaultConfig(healthcheck.HTTP)
	probe.Path, probe.Version = c.Path, c.Version
	if probe.Validate() != nil && at.Sound("path", "version") {
		at.Key("path").Mistake("write each octet that is escaped as %XX",
			"%q is not a path that HTTP version 2 can ask for", toml.Abbreviate(c.Path))
	}
}

// headerTable is a table of header names and values.
func headerTable() toml.SchemaType[[]healthcheck.Header] {
	value := toml.String("", validHeaderValue)
	k := toml.SchemaType[[]healthcheck.Header]{Name: toml.TableName, Values: `names and values ({ X-Probe = "lb1" })`}
	k.Read = func(at toml.Node) (all []healthcheck.Header) {
		m, ok := at.Value.(map[string]any)
		if !ok {
			at.WrongType(toml.TableName, "")
			return nil
		}
		for _, name := range slices.Sorted(maps.Keys(m)) {
			h := healthcheck.Header{Name: name, Value: value.Read(at.Key(name))}
			probe := healthcheck.DefaultConfig(healthcheck.HTTP)
			probe.Headers = []healthcheck.Header{{Name: name, Value: ""}}
			if probe.Validate() != nil {
				at.Key(name).Mistake("", "%q is not a header that a check can add", toml.Abbreviate(name))
			}
			all = append(all, h)
		}
		return all
	}
	return k
}

func validHeaderValue(s string) *toml.Refusal {
	odd := func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
	if strings.ContainsFunc(s, odd) || s != strings.TrimSpace(s) {
		return toml.Refuse("", "%q has control characters, or white space around it", toml.Abbreviate(s))
	}
	return nil
}

func validPattern(s string) *toml.Refusal {
	if s == "" {
		return toml.Refuse("", "is empty")
	}
	if _, err := regexp.Compile(s); err != nil {
		return toml.Refuse("",
			"%q is not a regular expression: %s", toml.Abbreviate(s), strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return nil
}

func validSHA256(s string) *toml.Refusal {
	if len(s) != 64 || strings.Trim(s, "0123456789abcdef") != "" {
		return toml.Refuse("use the output of sha256sum", "%q is not 64 hexadecimal digits in lower case", toml.Abbreviate(s))
	}
	return nil
}

func validName1123(s string) *toml.Refusal {
	if _, err := netip.ParseAddr(s); err != nil && !validHostName(s) {
		return toml.Refuse("", "%q is neither a host name nor an address", toml.Abbreviate(s))
	}
	return nil
}

func anything(string) *toml.Refusal { return nil }

func nonEmpty(s string) *toml.Refusal {
	if s == "" {
		return toml.Refuse("", "is empty")
	}
	return nil
}

// statuses are status codes and ranges of them.
func statuses() toml.SchemaType[[]healthcheck.StatusRange] {
	const most = 100
	return toml.List(toml.Text(`codes ("304") and ranges ("200-299") from 200 to 599`,
		func(s string) (healthcheck.StatusRange, *toml.Refusal) {
			r, err := healthcheck.ParseStatusRange(s)
			if err != nil {
				return r, toml.Refuse(`write a code ("304") or a range ("200-299") from 200 to 599`, "%q is not a status", toml.Abbreviate(s))
			}
			return r, nil
		}, healthcheck.StatusRange.String), 1, most)
}

// validPath refuses characters that would end the request line (RFC 9112, section 3).
func validPath(s string) *toml.Refusal {
	odd := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' }
	switch {
	case !strings.HasPrefix(s, "/"):
		return toml.Refuse("", "%q does not begin with a slash", toml.Abbreviate(s))
	case strings.ContainsFunc(s, odd):
		return toml.Refuse("write such characters in percent notation",
			"%q has white space, a #, or characters beyond ASCII", toml.Abbreviate(s))
	}
	return nil
}

// validHost follows RFC 9110, section 7.2.
func validHost(s string) *toml.Refusal {
	host := s
	if h, port, ok := splitHostPort(s); ok {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return toml.Refuse("", "%q is not a port: want 1 to 65535", toml.Abbreviate(port))
		}
		host = h
	} else if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		host = s[1 : len(s)-1]
	}
	ok := validHostName(host)
	if strings.HasPrefix(s, "[") {
		a, err := netip.ParseAddr(host)
		ok = err == nil && a.Is6() && a.Zone() == ""
	}
	if !ok {
		return toml.Refuse(`write "www.example.org", "192.0.2.1:8080" or "[2001:db8::1]"`,
			"%q cannot be a Host header", toml.Abbreviate(s))
	}
	return nil
}
