// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Ipvsadm converts what `ipvsadm -Sn` has printed: the services of the kernel, without checks.
func (i Importer) Ipvsadm(s Source) Result {
	c := newConverter(i)
	c.files = []string{s.File}
	d := &table{}
	if s.Name != "" {
		d.set(Place{}, "name", tomlString(s.Name))
	}
	x := &rules{converter: c, byName: make(map[string]*table)}
	n := 0
	for l := range strings.SplitSeq(strings.ToValidUTF8(string(s.Text), "?"), "\n") {
		n++
		if words := strings.Fields(l); len(words) > 0 && !strings.HasPrefix(words[0], "#") {
			x.rule(Place{s.File, n}, words)
		}
	}
	for _, t := range x.services {
		if t.find("server") == nil {
			c.note(t.at, "", "%s has no real server: a [[service]] needs one, and it is left out", t.get("name"))
			continue
		}
		d.children = append(d.children, t)
	}
	if len(d.children) > 0 {
		c.note(Place{File: s.File}, "write a [service.check] for each", "the kernel knows of no checks: all servers count as healthy")
	} else {
		c.note(Place{File: s.File}, "", "has no service: there is nothing to convert")
	}
	return c.finish(s, d)
}

// rules are the services that were read so far.
type rules struct {
	*converter
	services []*table
	byName   map[string]*table
}

// options of ipvsadm have one or two names, and a value or none.
var ipvsadmOptions = map[string]string{
	"--tcp-service": "-t", "--udp-service": "-u", "--fwmark-service": "-f", "--scheduler": "-s", "--persistent": "-p",
	"--netmask": "-M", "--real-server": "-r", "--gatewaying": "-g", "--ipip": "-i", "--masquerading": "-m", "--weight": "-w",
	"--u-threshold": "-x", "--l-threshold": "-y", "--ops": "-o", "--sched-flags": "-b", "--ipv6": "-6", "--add-service": "-A", "--add-server": "-a",
}

// valued are the options that have a value.
var valued = []string{"-t", "-u", "-f", "--sctp-service", "-s", "-p", "-M", "-r", "-w", "-x", "-y", "-b", "--pe",
	"--tun-type", "--tun-port"}

// rule reads a line: -A SERVICE OPTION… or -a SERVICE -r SERVER OPTION…
func (x *rules) rule(at Place, words []string) {
	given := make(map[string]string)
	command := ""
	for k := 0; k < len(words); k++ {
		o := words[k]
		if short, ok := ipvsadmOptions[o]; ok {
			o = short
		}
		switch {
		case k == 0 && (o == "-A" || o == "-a"):
			command = o
		case o == "-p" && (k+1 == len(words) || strings.HasPrefix(words[k+1], "-")):
			given[o] = "360"
		case slices.Contains(valued, o) && k+1 < len(words):
			k++
			given[o] = words[k]
		case slices.Contains([]string{"-g", "-i", "-m", "-o", "-6", "--tun-nocsum", "--tun-csum", "--tun-remcsum"}, o):
			given[o] = "yes"
		default:
			x.refuse(at, "run ipvsadm -Sn", "%s is not understood", abbreviate(words[k]))
			return
		}
	}
	if command == "" {
		x.refuse(at, "run ipvsadm -Sn", "%s adds no service and no server", abbreviate(words[0]))
		return
	}
	name, virtual, protocol, ok := x.virtual(given)
	switch {
	case !ok:
		x.refuse(at, "run ipvsadm -Sn, with -n", "the service is not an address with a port, or a firewall mark")
	case command == "-A" && x.byName[name] != nil:
		x.refuse(at, "", "service %s is there twice", name)
	case command == "-A":
		x.service(at, name, virtual, protocol, given)
	case x.byName[name] == nil:
		x.refuse(at, "", "service %s is not there", name)
	default:
		x.server(at, x.byName[name], given)
	}
}

// virtual returns the service of a line: its name, the value of virtual, and the protocol.
func (x *rules) virtual(given map[string]string) (name, value, protocol string, ok bool) {
	if f := given["-f"]; f != "" {
		n, ok := integer(f, 1, math.MaxUint32)
		value = "{ fwmark = " + tomlInt(n)
		if given["-6"] != "" {
			value += `, family = "ipv6"`
		}
		return markName(n, given["-6"] != ""), value + " }", "", ok
	}
	for _, p := range []struct{ option, name string }{{"-t", "tcp"}, {"-u", "udp"}, {"--sctp-service", "sctp"}} {
		to, err := netip.ParseAddrPort(given[p.option])
		if given[p.option] == "" {
			continue
		}
		name = to.String()
		if p.name != "tcp" {
			name += "-" + p.name
		}
		return name, tomlString(to.String()), p.name, err == nil
	}
	return "", "", "", false
}

func (x *rules) service(at Place, name, virtual, protocol string, given map[string]string) {
	t := &table{key: "service", array: true, at: at}
	t.set(at, "name", tomlString(name))
	t.set(at, "virtual", virtual)
	if protocol != "" && protocol != "tcp" {
		t.set(at, "protocol", tomlString(protocol))
	}
	if s := given["-s"]; s != "" {
		t.set(at, "scheduler", tomlString(s))
	}
	var flags []string
	for f := range strings.SplitSeq(given["-b"], ",") {
		owner, _, _ := strings.Cut(f, "-")
		switch {
		case f == "":
		case owner == given["-s"] && (owner == "sh" || owner == "mh"):
			flags = append(flags, f)
		case f == "flag-1" || f == "flag-2":
			x.note(at, "", "%s has no meaning for the scheduler %s", f, abbreviate(given["-s"]))
		default:
			x.note(at, "", "the flag %s has no equivalent", abbreviate(f))
		}
	}
	if flags != nil {
		t.setList(at, "scheduler_flags", tomlStrings(flags))
	}
	if given["-o"] != "" {
		t.set(at, "one_packet", "true")
	}
	x.persistence(t, at, given)
	x.services, x.byName[name] = append(x.services, t), t
}

func (x *rules) persistence(t *table, at Place, given map[string]string) {
	if given["-p"] == "" && given["--pe"] == "" {
		return
	}
	n := t.child(at, "persistence", false)
	if d, ok := seconds(given["-p"]); ok && d >= time.Second {
		n.set(at, "timeout", span(d))
	}
	if bits, ok := maskLength(given["-M"]); ok && bits > 0 && bits < 32 {
		n.set(at, "prefix", tomlInt(int64(bits)))
	} else if bits, ok := integer(given["-M"], 1, 127); ok {
		n.set(at, "prefix", tomlInt(bits))
	}
	if pe := given["--pe"]; pe != "" {
		n.set(at, "engine", tomlString(pe))
	}
}

// server adds a real server. Its port is written if NAT maps it.
func (x *rules) server(at Place, service *table, given map[string]string) {
	to, err := netip.ParseAddrPort(given["-r"])
	if err != nil {
		a, wrong := netip.ParseAddr(given["-r"])
		if wrong != nil {
			x.refuse(at, "run ipvsadm -Sn, with -n", "%s is not an address with a port", abbreviate(given["-r"]))
			return
		}
		to = netip.AddrPortFrom(a, 0)
	}
	method := "dr"
	switch {
	case given["-m"] != "":
		method = "nat"
	case given["-i"] != "":
		method = "tunnel"
	}
	s := service.child(at, "server", true)
	s.set(at, "address", tomlString(to.Addr().String()))
	own := service.get("virtual")
	same := strings.HasSuffix(own, ":"+tomlInt(int64(to.Port()))+`"`)
	if method == "nat" && to.Port() != 0 && !same {
		s.set(at, "port", tomlInt(int64(to.Port())))
	}
	if w := given["-w"]; w != "" && w != "1" {
		if n, ok := integer(w, 0, 65535); ok {
			s.set(at, "weight", tomlInt(n))
		}
	}
	s.set(at, "method", tomlString(method))
	x.tunnel(s, at, given)
	if upper, ok := integer(given["-x"], 1, math.MaxUint32); ok {
		t := s.child(at, "thresholds", false)
		t.set(at, "upper", tomlInt(upper))
		if lower, ok := integer(given["-y"], 1, math.MaxUint32); ok {
			t.set(at, "lower", tomlInt(lower))
		}
	}
}

func (x *rules) tunnel(s *table, at Place, given map[string]string) {
	kind := given["--tun-type"]
	if kind == "" || kind == "ipip" {
		return
	}
	t := s.child(at, "tunnel", false)
	t.set(at, "type", tomlString(kind))
	if n, ok := integer(given["--tun-port"], 1, 65535); ok {
		t.set(at, "port", tomlInt(n))
	}
	switch {
	case given["--tun-csum"] != "":
		t.set(at, "checksum", `"csum"`)
	case given["--tun-remcsum"] != "":
		t.set(at, "checksum", `"remcsum"`)
	}
}
