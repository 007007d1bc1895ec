// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"maps"
	"slices"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/lvs"
)

// warnClients warns if clients of a failed server will be refused or get no answer, because the file or the kernel breaks the
// rule in the package comment of lvs.
func warnClients(at toml.Node, c *Config) {
	for i, s := range c.Services {
		here := at.Key("service").Index(i)
		if here.Sound("virtual", "scheduler", "on_failure", "protocol", "server") && len(s.Virtuals) > 0 {
			warnLostServer(here, s)
			warnOutlier(here, s)
		}
		if here.Sound("virtual", "one_packet", "method", "server") && len(s.Virtuals) > 0 {
			warnOnePacket(here, s)
		}
	}
	sysctl := at.Key("lvs").Key("sysctl")
	needed := c.NeededSysctls()
	for _, name := range slices.Sorted(maps.Keys(needed)) {
		if given, ok := c.LVS.Sysctl[name]; ok && given != needed[name] {
			sysctl.Key(name).Warn("remove it, or set it to "+needed[name], "is %s: %s", given, lvs.WithoutSysctl(name))
		}
	}
}

// binding are the schedulers that choose a server by the client or by the destination. So one server may get all the noise, and
// another all the questions.
var binding = []string{"sh", "dh", "mh", "lblc", "lblcr"}

// CountsReplies tells whether the kernel's counters can show which servers of a service for UDP do not answer. With dr and
// tunnel, a director sees no packet of a server. With one-packet scheduling, the kernel counts none.
func (s Service) CountsReplies() bool {
	for _, v := range s.Virtuals {
		if v.FWMark != 0 || v.Protocol != lvs.UDP || v.Flags&(lvs.OnePacket|lvs.Persistent) != 0 || slices.Contains(binding, v.Scheduler) {
			return false
		}
	}
	return !slices.ContainsFunc(s.Servers, func(srv Server) bool { return srv.Method != lvs.NAT })
}

// warnOutlier warns if a service has an outlier action that cannot work, or that does not help.
func warnOutlier(at toml.Node, s Service) {
	if s.Outlier != OutlierWeightZero || !at.Sound("outlier") {
		return
	}
	action := at.Key("outlier").Key("action")
	switch v := s.Virtuals[0]; {
	case len(s.Servers) < MinOutlierServers:
		action.Warn("", "has no effect with fewer than %d servers: at most a third of them is taken out", MinOutlierServers)
	case v.FWMark == 0 && v.Protocol != lvs.TCP && !s.CountsReplies():
		action.Warn("remove it", "has no effect: only connections of TCP, and of UDP with method nat, show who does not answer")
	case lvs.RefusesForWeightless(v.Scheduler):
		action.Warn("use mh", "with %s, weight-zero refuses the new clients of the server", v.Scheduler)
	}
}

// warnOnePacket warns if the clients of a service cannot use the answers: with one-packet scheduling the kernel forgets a datagram as
// soon as the server has it. With nat it needs this memory, to put the VIP into the answer in place of the server's address.
func warnOnePacket(at toml.Node, s Service) {
	i := slices.IndexFunc(s.Servers, func(srv Server) bool { return srv.Method == lvs.NAT })
	if s.Virtuals[0].Flags&lvs.OnePacket != 0 && i >= 0 {
		at.Key("one_packet").Warn("remove it, or use dr or tunnel",
			"does not work with method nat: the answers of %s keep the server's own address, and clients ignore them", s.Servers[i].Addr)
	}
}

// warnLostServer warns if clients of a failed server of one service will be refused or get no answer.
func warnLostServer(at toml.Node, s Service) {
	v := s.Virtuals[0]
	if lvs.RefusesForWeightless(v.Scheduler) {
		at.Key("scheduler").Warn(`mh does not; or use "tandem disable", which ends the connections`,
			"%s refuses the new clients of a server that is drained or has weight 0", v.Scheduler)
	}
	total := 0
	for _, srv := range s.Servers {
		total += srv.Weight
	}
	if v.Scheduler == "sh" && total > lvs.SourceHashBuckets {
		at.Key("scheduler").Warn("use smaller weights, or mh",
			"sh has %d buckets, and the weights sum to %d: the last servers get no clients", lvs.SourceHashBuckets, total)
	}
	if s.OnFailure != lvs.WeightZero || !slices.ContainsFunc(s.Servers, func(srv Server) bool { return len(srv.Checks) > 0 }) {
		return
	}
	switch {
	case lvs.RefusesForWeightless(v.Scheduler):
		at.Key("on_failure").Warn("use remove", "with %s, weight-zero refuses the new clients of a failed server", v.Scheduler)
	case v.Protocol == lvs.UDP && v.Flags&lvs.OnePacket == 0:
		at.Key("on_failure").Warn("use remove", "with weight-zero, a UDP client that keeps its port stays with a dead server, which is silent")
	}
}
