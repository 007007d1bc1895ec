// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"cmp"
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
			"What happens to the daemon's services in the kernel when the daemon is stopped, not when it crashes.",
			func(l *LVS, v OnStop) { l.OnStop = v }),
		toml.Optional("manage", toml.Enum(ManageOwn, ManageAll), ManageOwn,
			"Which services the daemon keeps in order: its own, or all in the kernel. "+
				"With all, it deletes services that it does not have.",
			func(l *LVS, v Manage) { l.Manage = v }),
		toml.Optional("probe_fwmark", probeMark(), defaultProbeMark, probeMarkDoc,
			func(l *LVS, v uint32) { l.ProbeMark = v }),
		toml.Derived("sync", syncTable(),
			"Copies the connections to the other director, and the other director's to this one, so that they survive a failover. "+
				"The settings must be the same on both.\n"+
				"The messages are not protected: use a network that nobody else can write to.",
			func(l *LVS, v lvs.Sync) { l.Sync = v }),
		toml.Derived("sysctl", sysctlTable(),
			"Settings of IPVS in the kernel: net.ipv4.vs.NAME. A setting that is not given is not changed, except for two that clients "+
				"of a lost server need: expire_nodest_conn is set to 1 if there is a [[service]], and expire_quiescent_template if one has "+
				"persistence. Their former values are restored when the daemon is stopped. "+
				"The values below are the recommended ones, or else what the kernel usually has.",
			func(l *LVS, v map[string]string) { l.Sysctl = v }),
		toml.Optional("sysctl_restore", toml.Boolean(), false,
			"Restores the former values of the settings in [lvs.sysctl] when the daemon is stopped.",
			func(l *LVS, v bool) { l.SysctlRestore = v }),
	)
}

// probeMarkDoc is the documentation of probe_fwmark. It explains what checks through the VIP leave in the kernel.
const probeMarkDoc = "" +
	"The first of 65,536 firewall marks for checks with via = \"vip\". No other packets may have these marks.\n" +
	"A tcp check that only connects to a server of method dr needs no mark: it sends one SYN to the server's MAC address. " +
	"Every other check through the VIP needs a mark for each real server, and an IPVS service for the mark that leads to " +
	"that server alone. `ipvsadm -Ln` shows these services as FWM.\n" +
	"Over IPv4, the interface that receives the answers gets accept_local = 1, and rp_filter = 2 if strict filtering would drop " +
	"the answers. tandem restores both when it stops; if it was killed, when it starts again.\n" +
	"These checks end their connections with a reset. The kernel keeps the entry of such a connection for 10 s, or for 60 s if " +
	"the server refused it or did not answer. Connection sync copies the entries of established connections to the peer, and this " +
	"cannot be turned off. Datagrams leave no entries, and are not copied."

func syncTable() toml.SchemaType[lvs.Sync] {
	return toml.Table(func(at toml.Node, s *lvs.Sync) {
		s.Roles = lvs.SyncBoth
		if err := s.Validate(); err != nil && at.Sound("interface", "id", "group", "port", "ttl", "max_len") {
			at.Mistake("", "%s", refusedByTable(err))
		}
	},
		toml.Required("interface", interfaceName(), `"eth0"`, "The interface between the directors.",
			func(s *lvs.Sync, v string) { s.Interface = v }),
		toml.Required("id", toml.Integer[uint8](1, math.MaxUint8), "51",
			"The number of the pair. Messages with another number are ignored.",
			func(s *lvs.Sync, v uint8) { s.ID = v }),
		toml.Optional("group", multicast(), netip.AddrFrom4([4]byte{224, 0, 0, 81}), "The multicast group.",
			func(s *lvs.Sync, v netip.Addr) { s.Group = v }),
		toml.Optional("port", toml.Integer[uint16](1, math.MaxUint16), 8848, "The UDP port.",
			func(s *lvs.Sync, v uint16) { s.Port = v }),
		toml.Optional("ttl", toml.Integer[uint8](1, math.MaxUint8), 1, "The TTL or hop limit.",
			func(s *lvs.Sync, v uint8) { s.TTL = v }),
		toml.Derived("max_len", toml.Integer(1024, 65507), "The maximum size of a message in bytes; over IPv6 at most 65487.",
			func(s *lvs.Sync, v int) { s.MaxLen = v }).Unset("what the MTU of the interface allows").Example("1400"),
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

// sysctlTable has a key for each setting of the kernel. The values are text, as the kernel expects them.
func sysctlTable() toml.SchemaType[map[string]string] {
	var fields []toml.Field[map[string]string]
	for _, s := range lvs.Sysctls() {
		doc := s.Why
		if s.Recommended != "" {
			doc += " Recommended: " + s.Recommended + "."
		}
		field := toml.Derived(s.Name, sysctl(s), doc, func(m *map[string]string, v string) {
			if *m == nil {
				*m = make(map[string]string)
			}
			(*m)[s.Name] = v
		})
		fields = append(fields, field.Unset("not changed").Example(sysctlExample(s)))
	}
	return toml.Table(nil, fields...)
}

// sysctlExample is the recommended value of a setting, or else what the kernel usually has.
func sysctlExample(s lvs.Sysctl) string {
	usual := map[string]string{
		"am_droprate": "10", "amemthresh": "1024", "snat_reroute": "1", "sync_qlen_max": "8192", "sync_threshold": "[3, 50]",
	}
	return cmp.Or(s.Recommended, usual[s.Name], strconv.FormatInt(s.Min, 10))
}

// sysctl is a whole number, or an array of them for a setting with several numbers.
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

// checkSync refuses services that the kernel does not allow together with connection sync.
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
			family := lvs.FamilyOf(server.Addr)
			if !slices.ContainsFunc(s.Virtuals, func(v lvs.Service) bool { return v.AddrFamily() != family }) {
				continue
			}
			here.Key("address").Mistake("remove [lvs] sync, or use a server of the service's family",
				"%s is of another family than the service: the kernel refuses that while connection sync is on", server.Addr)
		}
	}
}
