// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/healthcheck"
)

// httpFields returns the keys of checks over HTTP.
func httpFields() []toml.Field[healthcheck.Config] {
	usual := healthcheck.DefaultConfig(healthcheck.HTTP)
	return []toml.Field[healthcheck.Config]{
		only(httpTypes,
			toml.Optional("method", toml.OneOf("GET", "HEAD", "OPTIONS", "POST", "PUT"), usual.Method, "The HTTP method.",
				func(c *healthcheck.Config, v string) { c.Method = v })),
		only(httpTypes,
			toml.Optional("path", toml.String("a path that begins with a slash, with its query", validPath), usual.Path,
				"The page that is asked for. Redirects are not followed.",
				func(c *healthcheck.Config, v string) { c.Path = v })),
		only(types(healthcheck.HTTP, healthcheck.HTTPS, healthcheck.GRPC),
			toml.Derived("host", toml.String("a host name or address, with or without a port", validHost), "The Host header.",
				func(c *healthcheck.Config, v string) { c.Host = v }).Unset("the address that is probed").Example(`"www.example.org"`)),
		only(httpTypes,
			toml.Optional("version", toml.Enum(healthcheck.HTTP10, healthcheck.HTTP11, healthcheck.HTTP2), usual.Version,
				"The version of HTTP. Without TLS, version 2 is h2c with prior knowledge: there is no upgrade. A response "+
					"that breaks the rules of its version fails the check. Examples are a header line without a colon and a "+
					"bad Content-Length. Browsers may accept such a response, but some proxies and libraries refuse it.",
				func(c *healthcheck.Config, v healthcheck.HTTPVersion) { c.Version = v })),
		only(httpTypes,
			toml.Derived("headers", headerTable(), "More header lines.",
				func(c *healthcheck.Config, v []healthcheck.Header) { c.Headers = v }).Unset("none").Example(`{ X-Probe = "lb1" }`)),
		only(httpTypes,
			toml.Derived("body", toml.String("any text", anything), "The body of the request.",
				func(c *healthcheck.Config, v string) { c.Body = v }).Unset("none").Example(`"ping"`)),
		only(httpTypes,
			toml.Optional("status", statuses(), usual.Status, "The status codes that count as success.",
				func(c *healthcheck.Config, v []healthcheck.StatusRange) { c.Status = slices.Clone(v) })),
		only(httpTypes,
			toml.Derived("expect_headers", fieldRules(),
				"Headers that the response must have. Each value is a regular expression (RE2) that a part of the header's value must "+
					"match: \"\" matches any value, \"^primary$\" only this one.",
				func(c *healthcheck.Config, v []healthcheck.FieldRule) { c.Fields = v }).Unset("none").Example(`{ X-Role = "^primary$" }`)),
		only(httpTypes,
			toml.Derived("contains", toml.String("any text", nonEmpty),
				"A text that the first 1 MiB of the response's body must contain.",
				func(c *healthcheck.Config, v string) { c.Content.Contains = v }).Unset("none").Example(`"in service"`)),
		only(httpTypes,
			toml.Derived("not_contains", toml.String("any text", nonEmpty),
				"A text that the first 1 MiB of the body must not contain.",
				func(c *healthcheck.Config, v string) { c.Content.Lacks = v }).Unset("none").Example(`"out of service"`)),
		only(httpTypes,
			toml.Derived("matches", toml.String("a regular expression (RE2)", validPattern),
				"A regular expression that a part of the first 1 MiB of the body must match.",
				func(c *healthcheck.Config, v string) { c.Content.Matches = v }).Unset("none").Example(`"nodes: [3-9]"`)),
		only(httpTypes,
			toml.Derived("sha256", toml.String("64 hexadecimal digits in lower case", validSHA256),
				"The SHA-256 sum of the body, which may have at most 1 MiB.",
				func(c *healthcheck.Config, v string) { c.Content.SHA256 = v }).
				Unset("any sum").Example(`"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`)),
	}
}

// checkContent refuses rules about the body of a response to HEAD, which has none.
func checkContent(at toml.Node, c healthcheck.Config) {
	for _, name := range []string{"contains", "not_contains", "matches", "sha256"} {
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

// headerTable returns the schema type of a table of header names and values.
func headerTable() toml.SchemaType[[]healthcheck.Header] {
	value := toml.Secret(toml.String("", validHeaderValue), "*")
	k := toml.SchemaType[[]healthcheck.Header]{Name: toml.TableName, Values: `names and values ({ X-Probe = "lb1" }); a value may be ` +
		`in a file ({ Authorization = { file = "/PATH" } }), or in a credential of systemd ({ credential = "NAME" })`}
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

// fieldRules returns the schema type of a table of header names and regular expressions.
func fieldRules() toml.SchemaType[[]healthcheck.FieldRule] {
	pattern := toml.String("", func(s string) *toml.Refusal {
		if s == "" {
			return nil
		}
		return validPattern(s)
	})
	k := toml.SchemaType[[]healthcheck.FieldRule]{Name: toml.TableName, Values: `names and regular expressions ({ X-Role = "^primary$" })`}
	k.Read = func(at toml.Node) (all []healthcheck.FieldRule) {
		m, ok := at.Value.(map[string]any)
		if !ok {
			at.WrongType(toml.TableName, "")
			return nil
		}
		for _, name := range slices.Sorted(maps.Keys(m)) {
			probe := healthcheck.DefaultConfig(healthcheck.HTTP)
			probe.Fields = []healthcheck.FieldRule{{Name: name}}
			if probe.Validate() != nil {
				at.Key(name).Mistake("", "%q is not the name of a header", toml.Abbreviate(name))
			}
			all = append(all, healthcheck.FieldRule{Name: name, Matches: pattern.Read(at.Key(name))})
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
