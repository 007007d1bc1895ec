// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"strings"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/healthcheck"
)

// protocolFields returns the keys of the protocols other than HTTP and TLS, and those of programs.
func protocolFields() []toml.Field[healthcheck.Config] {
	usual := healthcheck.DefaultConfig(healthcheck.DNS).Query
	return []toml.Field[healthcheck.Config]{
		only(types(healthcheck.GRPC),
			toml.Derived("grpc_service", toml.String("any text", nonEmpty), "The gRPC service whose health is asked for.",
				func(c *healthcheck.Config, v string) { c.Service = v }).Unset("the server as a whole").Example(`"shop.Orders"`)),
		only(types(healthcheck.DNS),
			toml.Optional("query", toml.String("a domain name", validDomain), usual.Name,
				"The name that the name server is asked for. Only records of this name count. If the name is an alias, the "+
					"records of its target count too.",
				func(c *healthcheck.Config, v string) { c.Query.Name = v })),
		only(types(healthcheck.DNS),
			toml.Optional("query_type", toml.OneOf("A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"), usual.Type,
				"The type of the records that are asked for.",
				func(c *healthcheck.Config, v string) { c.Query.Type = v })),
		only(types(healthcheck.DNS),
			toml.Derived("answer", toml.String("the data of a record, written as in a zone file", nonEmpty),
				"A record that must be among the answers.",
				func(c *healthcheck.Config, v string) { c.Query.Answer = v }).
				Unset("any record of the type").Example(`"a.root-servers.net."`)),
		only(types(healthcheck.DNS),
			toml.Optional("over_tcp", toml.Boolean(), false, "If true, the name server is asked over TCP.",
				func(c *healthcheck.Config, v bool) { c.Query.TCP = v })),
		only(types(healthcheck.SMTP),
			toml.Derived("hello", toml.String("a host name", validHello), "The name in EHLO. If the server does not know EHLO, the check sends HELO.",
				func(c *healthcheck.Config, v string) { c.Hello = v }).Unset("localhost").Example(`"lb1.example.org"`)),
		only(types(healthcheck.Exec),
			toml.Derived("command", toml.StringOr(program(nil), commandLine(nil)),
				"The program that is run. Exit code 0 is success. At the timeout the program is killed with everything that it has started. "+
					"What it prints beyond 1 MiB is dropped. "+
					"The real server is in the environment variables TANDEM_ADDRESS and TANDEM_PORT. See exit_weight too.",
				func(c *healthcheck.Config, v []string) { c.Command = v }).Unset("none").Example(`"/usr/local/bin/check-queue"`)),
		only(types(healthcheck.Exec),
			toml.Optional("user", toml.String("a user's name or number", validUser), "nobody", userDoc,
				func(c *healthcheck.Config, v string) { c.User = v })),
	}
}

// checkAnswer refuses an answer that is not the data of a record.
func checkAnswer(at toml.Node, c healthcheck.Config) {
	probe := healthcheck.DefaultConfig(healthcheck.DNS)
	probe.Query.Type, probe.Query.Answer = c.Query.Type, c.Query.Answer
	if probe.Validate() != nil && at.Sound("query_type", "answer") {
		at.Key("answer").Mistake("write it as a zone file has it, without name and type", "%q is not the data of a record of type %s",
			toml.Abbreviate(c.Query.Answer), c.Query.Type)
	}
}

func validDomain(s string) *toml.Refusal {
	if name := strings.TrimSuffix(s, "."); s != "." && !validHostName(name) {
		return toml.Refuse("", "%q is not a domain name", toml.Abbreviate(s))
	}
	return nil
}

func validHello(s string) *toml.Refusal {
	if !validHostName(s) {
		return toml.Refuse("", "%q is not a host name", toml.Abbreviate(s))
	}
	return nil
}
