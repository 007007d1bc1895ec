// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/lvs"
)

func lvsTable() toml.SchemaType[LVS] {
	return toml.Table(nil,
		toml.Optional("on_stop", toml.Enum(OnStopKeep, OnStopRemove), OnStopKeep,
			"What becomes of our services in the kernel when the daemon is stopped on purpose.",
			func(l *LVS, v OnStop) { l.OnStop = v }),
		toml.Optional("manage", toml.Enum(ManageOwn, ManageAll), ManageOwn,
			"Whose services the daemon keeps in order: its own, or all that the kernel has, so that those of others are deleted.",
			func(l *LVS, v Manage) { l.Manage = v }),
		toml.Optional("probe_fwmark", probeMark(), defaultProbeMark,
			"The first of 65536 firewall marks for checks through the VIP, which must be on no other packets: the kernel's table "+
				"has a service by such a mark for each real server that is checked so.",
			func(l *LVS, v uint32) { l.ProbeMark = v }),
		toml.Derived("sync", syncTable(),
			"Tells the other director of our connections and hears of its, so that they survive a failover; the same on both. "+
				"The messages are not protected: use a network that nobody else can write to.",
			func(l *LVS, v lvs.Sync) { l.Sync = v }),
		toml.Derived("sysctl", sysctlTable(), "Settings of the kernel's IPVS, net.ipv4.vs.NAME. Those that are not given stay as they are.",
			func(l *LVS, v map[string]string) { l.Sysctl = v }),
		toml.Optional("sysctl_restore", toml.Boolean(), false,
			"Gives those settings their former values back when the daemon is stopped on purpose.",
			func(l *LVS, v bool) { l.SysctlRestore = v }),
	)
}

func syncTable() toml.SchemaType[lvs.Sync] {
	return toml.Table(func(at toml.Node, s *lvs.Sync) {
		s.Roles = lvs.SyncBoth
		if err := s.Validate(); err != nil && at.Sound("interface", "id", "group", "port", "ttl", "max_len") {
			at.Mistake("", "%s", refusedByTable(err))
		}
	},
		toml.Required("interface", interfaceName(), "The interface between the directors.",
			func(s *lvs.Sync, v string) { s.Interface = v }),
		toml.Required("id", toml.Integer[uint8](1, math.MaxUint8), "The number of the pair: messages with another one are ignored.",
			func(s *lvs.Sync, v uint8) { s.ID = v }),
		toml.Optional("group", multicast(), netip.AddrFrom4([4]byte{224, 0, 0, 81}), "The multicast group.",
			func(s *lvs.Sync, v netip.Addr) { s.Group = v }),
		toml.Optional("port", toml.Integer[uint16](1, math.MaxUint16), 8848, "The UDP port.",
			func(s *lvs.Sync, v uint16) { s.Port = v }),
		toml.Optional("ttl", toml.Integer[uint8](1, math.MaxUint8), 1, "The TTL or hop limit.",
			func(s *lvs.Sync, v uint8) { s.TTL = v }),
		toml.Derived("max_len", toml.Integer(1024, 65507),
			"The most bytes of a message, over IPv6 at most 65487; as the interface's MTU allows unless given.",
			func(s *lvs.Sync, v int) { s.MaxLen = v }),
	)
}

// multicast is the address of a group.
func multicast() toml.SchemaType[netip.Addr] {
	return toml.Text("a multicast address", func(s string) (netip.Addr, *toml.Refusal) {
		a, err := netip.ParseAddr(s)
		switch {
		case err != nil:
			return a, toml.Refuse("", "%q is not an address", toml.Abbreviate(s))
		case a.Zone() != "":
			return a, needlessZone(a)
		case !a.IsMulticast() || a.Is4In6():
			return a, toml.Refuse("", "%s is not a multicast address", a)
		}
		return a, nil
	}, netip.Addr.String)
}

// sysctlTable has a key for each setting that the kernel has. The values stay text, as the kernel takes them.
func sysctlTable() toml.SchemaType[map[string]string] {
	var fields []toml.Field[map[string]string]
	for _, s := range lvs.Sysctls() {
		doc := s.Why
		if s.Recommended != "" {
			doc += " Recommended is " + s.Recommended + "."
		}
		fields = append(fields, toml.Derived(s.Name, sysctl(s), doc, func(m *map[string]string, v string) {
			if *m == nil {
				*m = make(map[string]string)
			}
			(*m)[s.Name] = v
		}))
	}
	return toml.Table(nil, fields...)
}

// sysctl is a whole number or, for a setting that has several, an array of them.
func sysctl(s lvs.Sysctl) toml.SchemaType[string] {
	number := toml.Integer(0, math.MaxUint32)
	number.Values = fmt.Sprintf("%d to %d", s.Min, s.Max)
	k := toml.SchemaType[string]{Name: "integer", Values: number.Values}
	numbers := func(at toml.Node) []any { return []any{at.Value} }
	if s.Numbers > 1 {
		k.Name, k.Values = "array of integers", fmt.Sprintf("%d numbers, each %s", s.Numbers, number.Values)
		numbers = func(at toml.Node) []any {
			v, _ := at.Value.([]any)
			return v
		}
	}
	k.Read = func(at toml.Node) string {
		var words []string
		for _, v := range numbers(at) {
			if n, ok := v.(int64); ok {
				words = append(words, strconv.FormatInt(n, 10))
			}
		}
		if len(words) != s.Numbers || len(words) != len(numbers(at)) {
			at.WrongType(k.Name, "write "+k.Values)
			return ""
		}
		value := strings.Join(words, " ")
		if err := lvs.CheckSysctl(s.Name, value); err != nil {
			_, problem, _ := strings.Cut(err.Error(), s.Name+": ")
			at.Mistake("", "%s", problem)
		}
		return value
	}
	return k
}

// checkSync refuses services that the kernel has not beside connection sync.
func checkSync(at toml.Node, c *Config) {
	if c.LVS.Sync == (lvs.Sync{}) {
		return
	}
	for i, s := range c.Services {
		for j, server := range s.Servers {
			here := at.Index(i).Key("server").Index(j)
			if !here.Sound("address") || !at.Index(i).Sound("virtual") || len(s.Virtuals) == 0 {
				continue
			}
			if !slices.ContainsFunc(s.Virtuals, func(v lvs.Service) bool { return serviceFamily(v.ServiceID) != familyOf(server.Addr) }) {
				continue
			}
			here.Key("address").Mistake("remove [lvs] sync, or use a server of the service's family",
				"%s is of another family than the service, which the kernel refuses beside connection sync", server.Addr)
		}
	}
}
