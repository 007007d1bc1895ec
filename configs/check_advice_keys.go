// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"strings"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/healthcheck"
)

// adviceFields returns the keys of checks that give a server its weight.
func adviceFields() []toml.Field[healthcheck.Config] {
	return []toml.Field[healthcheck.Config]{
		only(types(healthcheck.Exec),
			toml.Optional("exit_weight", toml.Boolean(), false,
				"If true, the exit code gives the server its weight, as with misc_dynamic of keepalived. 0: success, with the weight of the "+
					"configuration. 1: failure. 2 to 255: success, with the code minus 2 as the weight. 126 and 127 are failures, because "+
					"shells return them for a program that they cannot run.",
				func(c *healthcheck.Config, v bool) { c.ExitWeight = v })),
		only(types(healthcheck.File),
			toml.Derived("file", toml.String("an absolute path", pathOfServer),
				"The file whose first line is the state of the server: a weight (0 to 65535), a part of its configured weight (75%), "+
					"up, drain (no new connections) or down. {address} and {port} in the path stand for the server's. Without the file, or "+
					"with an empty one, the server has its configured weight. A file that cannot be read, or has something else in it, "+
					"changes nothing. To replace the file in one step, write another file and rename it.",
				func(c *healthcheck.Config, v string) { c.File = v }).
				Unset("none: a check of type file needs one").Example(`"/run/tandem/weight/{address}"`)),
	}
}

// pathOfServer refuses a path that is not absolute, and a placeholder that stands for nothing.
func pathOfServer(s string) *toml.Refusal {
	if no := absolutePath(s); no != nil {
		return no
	}
	rest := strings.NewReplacer(healthcheck.AddressPlaceholder, "", healthcheck.PortPlaceholder, "").Replace(s)
	if strings.ContainsAny(rest, "{}") {
		return toml.Refuse("write {address} or {port}", "%q has another placeholder", toml.Abbreviate(s))
	}
	return nil
}

// radiusFields returns the keys of RADIUS checks.
func radiusFields() []toml.Field[healthcheck.Config] {
	radius := types(healthcheck.RADIUS)
	return []toml.Field[healthcheck.Config]{
		only(radius,
			toml.Derived("secret", toml.Secret(toml.String("any text", nonEmpty), "********"),
				"The secret that this director and the RADIUS server share. Answers must be signed with it.",
				func(c *healthcheck.Config, v string) { c.Radius.Secret = v }).
				Unset("none: a check of type radius needs one").Example(`{ file = "/etc/tandem/radius.secret" }`)),
		only(radius,
			toml.Derived("username", toml.String("1 to 253 bytes", validRadiusName),
				"The user whose login the server must accept (Access-Request), so that its database of users is checked too. Without a "+
					"user, the server is asked only whether it is up (Status-Server).",
				func(c *healthcheck.Config, v string) { c.Radius.User = v }).Unset("none").Example(`"tandem"`)),
		only(radius,
			toml.Derived("password", toml.Secret(toml.String("1 to 128 bytes", validRadiusPassword), "********"), "The user's password (PAP).",
				func(c *healthcheck.Config, v string) { c.Radius.Password = v }).Unset("none").
				Example(`{ file = "/etc/tandem/radius.password" }`)),
	}
}

func checkRadius(at toml.Node, c healthcheck.Config) {
	if c.Radius.Secret == "" && at.Sound("secret") {
		at.Key("secret").Mistake("", "is missing: a RADIUS server answers only those who share a secret with it")
	}
	for _, pair := range [][2]string{{"username", "password"}, {"password", "username"}} {
		if at.Has(pair[0]) && !at.Has(pair[1]) {
			at.Key(pair[1]).Mistake("", "is missing: there is a %s", pair[0])
		}
	}
}

func validRadiusName(s string) *toml.Refusal {
	if s == "" || len(s) > 253 {
		return toml.Refuse("", "has %d bytes: want 1 to 253", len(s))
	}
	return nil
}

func validRadiusPassword(s string) *toml.Refusal {
	if s == "" || len(s) > 128 {
		return toml.Refuse("", "has %d bytes: want 1 to 128", len(s))
	}
	return nil
}
