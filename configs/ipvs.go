// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/lvs"
)

func lvsTable() toml.SchemaType[LVS] {
	return toml.Table(nil,
		toml.Optional("on_stop", toml.Enum(OnStopKeep, OnStopRemove), OnStopKeep,
			"keep: when the daemon is stopped, its services stay in the kernel. remove: the daemon removes its services "+
				"before it stops. After a crash the services stay, with either value.",
			func(l *LVS, v OnStop) { l.OnStop = v }),
		toml.Optional("manage", toml.Enum(ManageOwn, ManageAll), ManageOwn,
			"own: the daemon manages only the services that it added to the kernel. "+
				"all: it manages all services of the kernel, and deletes those that its configuration does not have.",
			func(l *LVS, v Manage) { l.Manage = v }),
		toml.Optional("probe_fwmark", probeMark(), defaultProbeMark, probeMarkDoc,
			func(l *LVS, v uint32) { l.ProbeMark = v }),
		toml.Derived("sync", syncTable(),
			"Each director copies its connections to the other director, so that they survive a failover. "+
				"The settings must be the same on both directors.\n"+
				"The messages are not protected: use a network that nobody else can write to.",
			func(l *LVS, v lvs.Sync) { l.Sync = v }),
		toml.Derived("timeouts", timeoutTable(),
			"How long the kernel keeps the entry of a connection without packets, for all services. A timeout that is not given stays as "+
				"it is. The daemon restores the former values when it is stopped. They must be the same on both directors. Clients and "+
				"servers that are silent for longer, for example in a database session, need TCP keep-alive, or a longer timeout.",
			func(l *LVS, v lvs.Timeouts) { l.Timeouts = v }),
		toml.Derived("sysctl", sysctlTable(),
			"Settings of IPVS in the kernel: net.ipv4.vs.NAME. The daemon changes a setting only if it is given here. There are two "+
				"exceptions, because clients of a failed server need them. If there is a [[service]], the daemon sets expire_nodest_conn "+
				"to 1. If a service has persistence, it also sets expire_quiescent_template to 1. It restores these two when it is "+
				"stopped.\n"+
				"A value below is the recommended value. For a setting without a recommendation, it is the kernel's usual value.",
			func(l *LVS, v map[string]string) { l.Sysctl = v }),
		toml.Optional("sysctl_restore", toml.Boolean(), false,
			"If true, the daemon restores the former values of all settings in [lvs.sysctl] when it is stopped.",
			func(l *LVS, v bool) { l.SysctlRestore = v }),
	)
}

// probeMarkDoc is the documentation of probe_fwmark. It explains what checks through the VIP leave in the kernel.
const probeMarkDoc = "" +
	"The first of 65,536 firewall marks for checks with via = \"vip\". No other packets may have these marks.\n" +
	"A tcp check that only connects to a server of method dr needs no mark: it sends one SYN to the server's MAC address.\n" +
	"For every other check through the VIP, each real server gets its own mark. tandem adds an IPVS service for this mark. " +
	"That service has only this server. `ipvsadm -Ln` shows these services as FWM.\n" +
	"Over IPv4, tandem sets accept_local = 1 on the interface that receives the answers. If strict filtering would drop the " +
	"answers, it also sets rp_filter = 2 there. It restores both when it stops. If it was killed, it restores both at its " +
	"next start.\n" +
	"Checks with a mark end their connections with a reset. The connection entry stays in the kernel for 10 s. If the server " +
	"refused or did not answer, it stays for 60 s. Connection sync copies the entries of established connections to the peer. " +
	"This cannot be turned off. Datagrams leave no entries, and are not copied."

func timeoutTable() toml.SchemaType[lvs.Timeouts] {
	limit := func() toml.SchemaType[time.Duration] {
		return toml.Duration(lvs.MinConnectionTimeout, lvs.MaxConnectionTimeout, time.Second)
	}
	return toml.Table(nil,
		toml.Derived("tcp", limit(), "Of an established TCP connection.",
			func(t *lvs.Timeouts, v time.Duration) { t.TCP = v }).Unset("unchanged; the kernel's own is 15m").Example(`"15m"`),
		toml.Derived("tcp_fin", limit(), "Of a TCP connection that one side has ended.",
			func(t *lvs.Timeouts, v time.Duration) { t.TCPFin = v }).Unset("unchanged; the kernel's own is 2m").Example(`"2m"`),
		toml.Derived("udp", limit(), "Of a UDP client.",
			func(t *lvs.Timeouts, v time.Duration) { t.UDP = v }).Unset("unchanged; the kernel's own is 5m").Example(`"5m"`),
	)
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
		fields = append(fields, field.Unset("the setting is not changed").Example(sysctlExample(s)))
	}
	return toml.Table(nil, fields...)
}

// sysctlExample returns the recommended value of a setting, or else what the kernel usually has.
func sysctlExample(s lvs.Sysctl) string {
	usual := map[string]string{
		"am_droprate": "10", "amemthresh": "1024", "snat_reroute": "1", "sync_qlen_max": "8192", "sync_threshold": "[3, 50]",
	}
	return cmp.Or(s.Recommended, usual[s.Name], strconv.FormatInt(s.Min, 10))
}

// sysctl returns the schema type of a whole number, or an array of them for a setting with several numbers.
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
