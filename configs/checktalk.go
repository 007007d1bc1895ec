// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"strings"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// talkFields are the keys of checks that are neither HTTP nor secured.
func talkFields() []field[healthcheck.Config] {
	usual := healthcheck.DefaultConfig(healthcheck.DNS).Query
	return []field[healthcheck.Config]{
		derived("send", plain("any text", anything), "What is sent once the connection stands, or in a datagram. Nothing unless given.",
			func(c *healthcheck.Config, v string) { c.Send = v }),
		derived("expect", plain("any text", nonEmpty),
			"A text that must be in the first 64 KiB of the answer. Without it no answer is needed, and a datagram only must not be refused.",
			func(c *healthcheck.Config, v string) { c.Expect = v }),
		derived("grpc_service", plain("any text", nonEmpty), "The gRPC service that is asked about; the server as a whole unless given.",
			func(c *healthcheck.Config, v string) { c.Service = v }),
		optional("query", plain("a domain name", validDomain), usual.Name, "The name that a name server is asked for.",
			func(c *healthcheck.Config, v string) { c.Query.Name = v }),
		optional("query_type", oneOf("A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"), usual.Type,
			"The type of the records that are asked for.",
			func(c *healthcheck.Config, v string) { c.Query.Type = v }),
		derived("answer", plain("the data of a record as zone files have it", nonEmpty),
			"A record that must be among the answers; any of the type unless given.",
			func(c *healthcheck.Config, v string) { c.Query.Answer = v }),
		optional("over_tcp", boolean(), false, "Whether a name server is asked over TCP.",
			func(c *healthcheck.Config, v bool) { c.Query.TCP = v }),
		derived("hello", plain("a host name", validHello), "What a mail server is greeted with; localhost unless given.",
			func(c *healthcheck.Config, v string) { c.Hello = v }),
		derived("command", stringOr(program(), commandLine()), "The program that is run, and succeeds with exit code 0.",
			func(c *healthcheck.Config, v []string) { c.Command = v }),
		optional("user", plain("a user's name or number", validUser), "nobody", "Who runs it.",
			func(c *healthcheck.Config, v string) { c.User = v }),
	}
}

// checkAnswer refuses an answer that no record can be.
func checkAnswer(at place, c healthcheck.Config) {
	probe := healthcheck.DefaultConfig(healthcheck.DNS)
	probe.Query.Type, probe.Query.Answer = c.Query.Type, c.Query.Answer
	if probe.Validate() != nil && at.sound("query_type", "answer") {
		at.key("answer").mistake("write it as a zone file has it, without name and type", "%q is not the data of a record of type %s",
			abbreviate(c.Query.Answer), c.Query.Type)
	}
}

func validDomain(s string) *refusal {
	if name := strings.TrimSuffix(s, "."); s != "." && !validHostName(name) {
		return refuse("", "%q is not a domain name", abbreviate(s))
	}
	return nil
}

func validHello(s string) *refusal {
	if !validHostName(s) {
		return refuse("", "%q is not a host name", abbreviate(s))
	}
	return nil
}
