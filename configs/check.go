// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/healthcheck"
)

// The types of checks, and the types that share keys.
var (
	checkTypes = types(healthcheck.TCP, healthcheck.HTTP, healthcheck.HTTPS, healthcheck.GRPC, healthcheck.DNS, healthcheck.SMTP,
		healthcheck.UDP, healthcheck.RADIUS, healthcheck.Ping, healthcheck.Agent, healthcheck.File, healthcheck.Exec)
	httpTypes  = types(healthcheck.HTTP, healthcheck.HTTPS)
	tlsTypes   = types(healthcheck.HTTPS, healthcheck.GRPC, healthcheck.TCP)
	proxyTypes = types(healthcheck.TCP, healthcheck.HTTP, healthcheck.HTTPS, healthcheck.SMTP)
	viaTypes   = types(healthcheck.TCP, healthcheck.HTTP, healthcheck.HTTPS, healthcheck.GRPC, healthcheck.DNS,
		healthcheck.SMTP, healthcheck.UDP, healthcheck.RADIUS)
	remoteTypes = types(healthcheck.TCP, healthcheck.HTTP, healthcheck.HTTPS, healthcheck.GRPC, healthcheck.DNS, healthcheck.SMTP,
		healthcheck.UDP, healthcheck.RADIUS, healthcheck.Ping, healthcheck.Agent)
)

func types(all ...healthcheck.Type) []healthcheck.Type { return all }

// only returns a key that is limited to some types of checks. If the type itself is a mistake, c.Type is zero, and the key is
// allowed.
func only(types []healthcheck.Type, f toml.Field[healthcheck.Config]) toml.Field[healthcheck.Config] {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.String()
	}
	words := "type " + names[0]
	if last := len(names) - 1; last > 0 {
		words = "types " + strings.Join(names[:last], ", ") + " and " + names[last]
	}
	return f.When(words,
		func(c *healthcheck.Config) bool { return c.Type == 0 || slices.Contains(types, c.Type) },
		func(at toml.Node, c *healthcheck.Config) {
			at.Mistake(`write type = "`+names[0]+`", or remove it`, "has no meaning for a check of type %q", c.Type.String())
		})
}

func checkTable() toml.SchemaType[healthcheck.Config] {
	fields := slices.Concat(paceFields(), flapFields(), endpointFields(), dialogueFields(), protocolFields(), adviceFields(), radiusFields(),
		httpFields(), tlsFields())
	return toml.Table(checkCheck, fields...)
}

// paceFields are the type of a check, and how often it probes.
func paceFields() []toml.Field[healthcheck.Config] {
	usual := healthcheck.DefaultConfig(healthcheck.TCP)
	return []toml.Field[healthcheck.Config]{
		toml.Optional("type", toml.Enum(checkTypes...), healthcheck.TCP,
			"The type of check. tcp connects, and may then send and expect. http and https ask for a page. grpc asks the gRPC health service. dns asks a name server. "+
				"smtp greets a mail server. udp sends a datagram. radius asks a RADIUS server. ping sends an ICMP echo request. "+
				"exec runs a program. "+
				"agent reads one line in which the server reports its own state, as HAProxy's agent-check does: up, down, drain (no new "+
				"connections) or 75% (that part of its weight). file reads the same from a file of the director.",
			func(c *healthcheck.Config, v healthcheck.Type) { c.Type = v }),
		toml.Optional("interval", toml.Duration(100*time.Millisecond, time.Hour, time.Nanosecond), usual.Interval,
			"The time from the start of one probe to the start of the next.",
			func(c *healthcheck.Config, v time.Duration) { c.Interval = v }),
		toml.Derived("interval_down", toml.Duration(100*time.Millisecond, time.Hour, time.Nanosecond),
			"The interval while the server is unhealthy.",
			func(c *healthcheck.Config, v time.Duration) { c.IntervalDown = v }).Unset("interval").Example(`"2s"`),
		toml.Derived("fast_interval", toml.Duration(10*time.Millisecond, time.Hour, time.Nanosecond),
			"The interval after a result that contradicts the server's health. It applies until the health has changed, or until a "+
				"result confirms it.",
			func(c *healthcheck.Config, v time.Duration) { c.FastInterval = v }).
			Unset("interval or interval_down").Example(`"100ms"`),
		toml.Optional("jitter", toml.Integer(0, 50).Valued("0 to 50, in percent"), usual.Jitter,
			"Each interval is shortened by a random part of up to this much, so that checks do not run all at the same time.",
			func(c *healthcheck.Config, v int) { c.Jitter = v }),
		toml.Optional("timeout", toml.Duration(10*time.Millisecond, time.Hour, time.Nanosecond), usual.Timeout,
			"The maximum time of a whole probe. If it is longer than the interval, the next probe of a server that does not answer waits "+
				"for the end of this one: probes of a server never overlap.",
			func(c *healthcheck.Config, v time.Duration) { c.Timeout = v }),
		toml.Optional("rise", toml.Integer(1, 100), usual.Rise, "An unhealthy server becomes healthy after this many successes in a row.",
			func(c *healthcheck.Config, v int) { c.Rise = v }),
		toml.Optional("fall", toml.Integer(1, 100), usual.Fall, "A server becomes unhealthy after this many failures in a row.",
			func(c *healthcheck.Config, v int) { c.Fall = v }),
	}
}

// flapFields are about servers whose health changes often.
func flapFields() []toml.Field[healthcheck.Config] {
	usual := healthcheck.DefaultConfig(healthcheck.TCP)
	return []toml.Field[healthcheck.Config]{
		toml.Optional("flap_changes", flapChanges(), usual.Flap.Changes,
			"A server whose health changes this many times within flap_window is flapping. tandem logs this instead of each change. "+
				"0 turns this off.",
			func(c *healthcheck.Config, v int) { c.Flap.Changes = v }),
		toml.Optional("flap_window", toml.Duration(time.Second, 24*time.Hour, time.Nanosecond), usual.Flap.Window,
			"The period over which flap_changes counts the changes.",
			func(c *healthcheck.Config, v time.Duration) { c.Flap.Window = v }),
		toml.Optional("flap_hold", toml.Duration(0, 24*time.Hour, time.Nanosecond), usual.Flap.Hold,
			"How long a flapping server is held unhealthy. With 0s, it is not held.",
			func(c *healthcheck.Config, v time.Duration) { c.Flap.Hold = v }),
	}
}

// endpointFields are where probes go, and from where.
func endpointFields() []toml.Field[healthcheck.Config] {
	return []toml.Field[healthcheck.Config]{
		toml.Derived("port", toml.Integer[uint16](1, math.MaxUint16), "The port that is probed.",
			func(c *healthcheck.Config, v uint16) { c.Port = v }).
			Unset("the real server's port; if it has several, the first one").Example("80"),
		toml.Derived("address", hostAddress(), "The address that is probed.",
			func(c *healthcheck.Config, v netip.Addr) { c.Address = v }).Unset("the real server's own address").Example(`"192.0.2.11"`),
		only(viaTypes,
			toml.Optional("via", toml.OneOf("server", "vip"), "server",
				"Where the probe goes. \"server\": to the real server's own address. \"vip\": to each VIP of the service at that real "+
					"server, as the packets of clients do. Only \"vip\" notices that a server lacks a VIP. \"vip\" is for methods dr and "+
					"tunnel. It adds services and connection entries to the kernel: see probe_fwmark.",
				func(c *healthcheck.Config, v string) {
					if v == "vip" {
						c.Via = serviceVIP
					}
				})),
		toml.Derived("source", hostAddress(), "The director's address that probes are sent from.",
			func(c *healthcheck.Config, v netip.Addr) { c.Source = v }).Unset("the kernel's choice").Example(`"192.0.2.2"`),
		toml.Derived("fwmark", toml.Integer[uint32](1, math.MaxUint32), "The firewall mark of the probes' packets.",
			func(c *healthcheck.Config, v uint32) { c.Mark = v }).Unset("none").Example("7"),
		only(remoteTypes,
			toml.Derived("bind_if", interfaceName(),
				"The interface that probes must leave through, or the VRF that has the routes to the servers.",
				func(c *healthcheck.Config, v string) { c.Device = v }).Unset("the routes decide").Example(`"vrf-blue"`)),
	}
}

func flapChanges() toml.SchemaType[int] {
	k := toml.Integer(0, 100)
	k.Values = "0, or 2 to 100"
	read := k.Read
	k.Read = func(at toml.Node) int {
		if at.Value == int64(1) {
			at.Mistake("", "1 is out of range: want %s", k.Values)
		}
		return read(at)
	}
	return k
}

func checkCheck(at toml.Node, c *healthcheck.Config) {
	checkPace(at, *c)
	if !at.Sound("type") {
		return
	}
	if c.Flap.Changes == 0 {
		c.Flap = healthcheck.Flap{}
	}
	checkVia(at, *c)
	checkDialogue(at, *c)
	switch c.Type {
	case healthcheck.Exec:
		if len(c.Command) == 0 && at.Sound("command") {
			at.Key("command").Mistake("", "is missing: a check of type %q runs a program", c.Type.String())
		}
	case healthcheck.HTTP, healthcheck.HTTPS:
		checkContent(at, *c)
		checkPath(at, *c)
	case healthcheck.DNS:
		checkAnswer(at, *c)
	case healthcheck.RADIUS:
		checkRadius(at, *c)
	case healthcheck.File:
		if c.File == "" && at.Sound("file") {
			at.Key("file").Mistake(`write file = "/run/tandem/weight/{address}"`, "is missing: a check of type %q reads a file", c.Type.String())
		}
	}
	checkTLS(at, c)
}

// checkPace refuses a default timeout that is longer than the interval, and a fast interval that is not faster.
func checkPace(at toml.Node, c healthcheck.Config) {
	if c.FastInterval > c.Interval && at.Sound("fast_interval", "interval") {
		at.Key("fast_interval").Mistake("", "%s is longer than the interval, %s",
			toml.ShowDuration(c.FastInterval), toml.ShowDuration(c.Interval))
	}
	if c.Timeout > c.Interval && !at.Has("timeout") && at.Sound("interval") {
		at.Key("timeout").Mistake("write a timeout: if it is longer than the interval, the next probe waits for the end of this one",
			"its default, %s, is longer than the interval, %s", toml.ShowDuration(c.Timeout), toml.ShowDuration(c.Interval))
	}
}

// checkTimeout refuses a run of a script that may last longer than the interval.
func checkTimeout(at toml.Node, c healthcheck.Config) {
	if c.Timeout > c.Interval && at.Sound("timeout", "interval") {
		at.Key("timeout").Mistake("set both so that a probe ends before the next begins",
			"%s is longer than the interval, %s", toml.ShowDuration(c.Timeout), toml.ShowDuration(c.Interval))
	}
}

func anything(string) *toml.Refusal { return nil }

func nonEmpty(s string) *toml.Refusal {
	if s == "" {
		return toml.Refuse("", "is empty")
	}
	return nil
}
