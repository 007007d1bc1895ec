// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"encoding/hex"
	"strings"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/healthcheck"
)

// maxSteps is the maximum number of steps of a check.
const maxSteps = 32

// The types of checks that send and expect what the user writes.
var (
	sendTypes   = types(healthcheck.TCP, healthcheck.UDP, healthcheck.Agent)
	expectTypes = types(healthcheck.TCP, healthcheck.UDP)
)

// dialogueFields returns the keys of checks that send and expect what the user writes, and the key of the PROXY protocol.
func dialogueFields() []toml.Field[healthcheck.Config] {
	return []toml.Field[healthcheck.Config]{
		only(sendTypes,
			toml.Derived("send", toml.String("any text", anything), "The text that is sent after connecting, or in the datagram.",
				func(c *healthcheck.Config, v string) { c.Send = v }).Unset("nothing").Example(`"PING\r\n"`)),
		only(sendTypes,
			toml.Derived("send_hex", hexBytes(), "The same as send, for bytes that are not text.",
				func(c *healthcheck.Config, v string) { c.Send = v }).Unset("nothing").Example(`"00 00 00 08 04 d2 16 2f"`)),
		only(expectTypes,
			toml.Derived("expect", toml.String("any text", nonEmpty),
				"A text that the first 64 KiB of the answer must contain. If it is not set, the check needs no answer: "+
					"type tcp passes if the connection is made, type udp passes if no refusal or unreachable message comes back.",
				func(c *healthcheck.Config, v string) { c.Expect = v }).Unset("none").Example(`"PONG"`)),
		only(expectTypes,
			toml.Derived("expect_hex", hexBytes(), "The same as expect, for bytes that are not text.",
				func(c *healthcheck.Config, v string) { c.Expect = v }).Unset("none").Example(`"65 07 0a 01 00"`)),
		only(expectTypes,
			toml.Derived("expect_not", toml.String("any text", nonEmpty),
				"A text that the answer must not contain. With type tcp, the answer ends where the expected text ends, so the check "+
					"needs one. With type udp, any datagram with this text fails the check.",
				func(c *healthcheck.Config, v string) { c.Forbid = v }).Unset("none").Example(`"ERROR"`)),
		only(types(healthcheck.TCP),
			toml.Derived("steps", toml.List(stepTable(), 1, maxSteps),
				"The steps of a conversation, in their order. They replace send and expect. Each step sends first, and then reads "+
					"until it finds what it expects. The next step reads on behind that. All steps together have the time of timeout. "+
					"configs/checks.toml has steps for common servers.",
				func(c *healthcheck.Config, v []healthcheck.Step) { c.Steps = v })),
		only(types(healthcheck.Agent),
			toml.Optional("ignore_silence", toml.Boolean(), false,
				"If true, an agent that does not answer, or that says nothing that tandem understands, changes nothing: the server keeps "+
					"what its agent said last. Before the agent's first word, the server counts as healthy. Such an agent can take a "+
					"server out of service, but another check must put it into service. It is for agents on another machine: see address.",
				func(c *healthcheck.Config, v bool) { c.IgnoreSilence = v })),
		only(proxyTypes,
			toml.Derived("proxy_protocol", toml.Integer[uint8](1, 2),
				"The version of the PROXY protocol header that is sent first, for servers that accept no connection without one. "+
					"Version 1 names the addresses of the connection itself. Version 2 has the command LOCAL.",
				func(c *healthcheck.Config, v uint8) { c.Proxy = v }).Unset("no header").Example("2")),
	}
}

// stepTable returns the schema type of a step.
func stepTable() toml.SchemaType[healthcheck.Step] {
	return toml.Table(checkStep,
		toml.Derived("send", toml.String("any text", nonEmpty), "The text that is sent.",
			func(s *healthcheck.Step, v string) { s.Send = v }).Unset("nothing").Example(`"AUTH tandem secret\r\n"`),
		toml.Derived("send_hex", hexBytes(), "The same as send, for bytes that are not text.",
			func(s *healthcheck.Step, v string) { s.Send = v }).Unset("nothing").Example(`"01 00 00 00 01"`),
		toml.Derived("expect", toml.String("any text", nonEmpty),
			"A text that must be among the next 64 KiB. A step without expect, expect_hex and matches reads nothing.",
			func(s *healthcheck.Step, v string) { s.Expect = v }).Unset("none").Example(`"+OK\r\n"`),
		toml.Derived("expect_hex", hexBytes(), "The same as expect, for bytes that are not text.",
			func(s *healthcheck.Step, v string) { s.Expect = v }).Unset("none").Example(`"00 00 02 00"`),
		toml.Derived("matches", toml.String("a regular expression (RE2)", validPattern),
			"A regular expression that a part of the next 64 KiB must match. It is tried each time that more of the answer comes, so "+
				"the end of a line is \\r?\\n and not $, which is the end of what has come.",
			func(s *healthcheck.Step, v string) { s.Matches = v }).Unset("none").Example(`"role:(master|slave)\r\n"`),
		toml.Derived("expect_not", toml.String("any text", nonEmpty),
			"A text that must not come before the end of what expect, expect_hex or matches finds.",
			func(s *healthcheck.Step, v string) { s.Forbid = v }).Unset("none").Example(`"-ERR"`),
	)
}

// hexBytes returns the schema type of bytes in hexadecimal digits.
func hexBytes() toml.SchemaType[string] {
	return toml.Text("hexadecimal digits, two for each byte, with or without spaces", func(s string) (string, *toml.Refusal) {
		var all []byte
		for part := range strings.FieldsSeq(s) {
			b, err := hex.DecodeString(part)
			if err != nil {
				return "", toml.Refuse(`write two digits for each byte, for example "00 0a ff"`, "%q is not hexadecimal", toml.Abbreviate(s))
			}
			all = append(all, b...)
		}
		if len(all) == 0 {
			return "", toml.Refuse("", "is empty")
		}
		return string(all), nil
	}, func(s string) string { return hex.EncodeToString([]byte(s)) })
}

// checkStep refuses keys of a step that contradict each other, and a step that does nothing.
func checkStep(at toml.Node, s *healthcheck.Step) {
	checkEither(at, "send", "send_hex")
	checkEither(at, "expect", "expect_hex", "matches")
	if !at.Sound("send", "send_hex", "expect", "expect_hex", "matches", "expect_not") {
		return
	}
	keys, _ := at.Value.(map[string]any)
	switch {
	case len(keys) == 0:
		at.Mistake("write send or expect, or remove the step", "does nothing")
	case s.Forbid != "" && !s.Reads():
		at.Key("expect_not").Mistake("write expect too", "needs expect, expect_hex or matches, which says where the answer ends")
	}
}

// checkDialogue refuses keys of a check that contradict each other.
func checkDialogue(at toml.Node, c healthcheck.Config) {
	checkEither(at, "send", "send_hex")
	checkEither(at, "expect", "expect_hex")
	if at.Has("steps") {
		for _, name := range []string{"send", "send_hex", "expect", "expect_hex", "expect_not"} {
			if at.Has(name) {
				at.Key(name).Mistake("make it a step", "has no meaning with steps")
			}
		}
		return
	}
	if c.Type == healthcheck.TCP && c.Forbid != "" && c.Expect == "" && at.Sound("expect", "expect_hex") {
		at.Key("expect_not").Mistake("write expect too", "needs expect or expect_hex, which says where the answer ends")
	}
}

// checkEither refuses all but the first of keys that stand for the same.
func checkEither(at toml.Node, names ...string) {
	first := ""
	for _, name := range names {
		switch {
		case !at.Has(name):
		case first == "":
			first = name
		default:
			at.Key(name).Mistake("remove one of them", "cannot be combined with %s", first)
		}
	}
}
