// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"crypto/tls"
	"net/netip"
	"strings"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/healthcheck"
)

// tlsFields returns the keys of checks that can use TLS.
func tlsFields() []toml.Field[healthcheck.Config] {
	return []toml.Field[healthcheck.Config]{
		only(types(healthcheck.TCP, healthcheck.GRPC),
			toml.Optional("tls", toml.Boolean(), false,
				"If true, the server is asked over TLS. The other keys of TLS are the same as for https.",
				func(c *healthcheck.Config, v bool) { c.TLS.On = v })),
		only(tlsTypes,
			toml.Optional("tls_verify", toml.Boolean(), true, "If true, the server's certificate must be valid.",
				func(c *healthcheck.Config, v bool) { c.TLS.Insecure = !v })),
		only(tlsTypes,
			toml.Derived("tls_name", toml.String("a host name or address", validName1123),
				"The name that the certificate must be for. It is also sent as SNI.",
				func(c *healthcheck.Config, v string) { c.TLS.Name = v }).
				Unset("host, or the address that is probed").Example(`"www.example.org"`)),
		only(tlsTypes,
			toml.Derived("tls_ca", toml.String("an absolute path", absolutePath),
				"A PEM file with the certificates that are trusted.",
				func(c *healthcheck.Config, v string) { c.TLS.CAFile = v }).Unset("those of the system").Example(`"/etc/tandem/ca.pem"`)),
		only(tlsTypes,
			toml.Derived("tls_cert", toml.String("an absolute path", absolutePath),
				"A PEM file with the director's own certificate, for servers that ask for one.",
				func(c *healthcheck.Config, v string) { c.TLS.CertFile = v }).Unset("none").Example(`"/etc/tandem/lb1.pem"`)),
		only(tlsTypes,
			toml.Derived("tls_key", toml.String("an absolute path", absolutePath), "A PEM file with the key of tls_cert.",
				func(c *healthcheck.Config, v string) { c.TLS.KeyFile = v }).Unset("none").Example(`"/etc/tandem/lb1.key"`)),
		only(tlsTypes,
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
	case healthcheck.GRPC, healthcheck.TCP:
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

func validName1123(s string) *toml.Refusal {
	if _, err := netip.ParseAddr(s); err != nil && !validHostName(s) {
		return toml.Refuse("", "%q is neither a host name nor an address", toml.Abbreviate(s))
	}
	return nil
}
