// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// A Sysctl is one of the kernel's settings of IPVS, net.ipv4.vs.<Name>. They belong to a network namespace.
type Sysctl struct {
	Name     string
	Min, Max int64 // of each number
	Numbers  int   // how many numbers the value has
	// Recommended is the value for a pair of directors, or empty where the kernel's own is right or it depends.
	Recommended string
	Why         string // what it does, and why the recommendation
}

const maxInt = 1<<31 - 1

// sysctls are those of Linux 6.1 that belong to IPVS itself, not to a scheduler.
var sysctls = []Sysctl{
	{"am_droprate", 1, maxInt, 1, "", "Under drop_packet 3: of so many packets one is dropped."},
	{"amemthresh", 0, maxInt, 1, "", "Free pages of memory below which the automatic defences act."},
	{"backup_only", 0, 1, 1, "0", "1 stops balancing while sync runs as backup. With both roles on both directors " +
		"that includes the master: leave it at 0."},
	{"cache_bypass", 0, 1, 1, "", "For transparent caches: 1 lets packets through to their destination when no " +
		"cache is there."},
	{"conn_reuse_mode", 0, 3, 1, "1", "1 schedules a client's new connection from a port that is still in TIME_WAIT " +
		"anew, so that it reaches a server that is there."},
	{"conntrack", 0, 1, 1, "", "1 keeps netfilter's entries for balanced connections: for firewalls that need " +
		"them, at the cost of speed."},
	{"drop_entry", 0, 3, 1, "", "Defence against floods: drop half-open connections; 1 when memory is short, 3 always."},
	{"drop_packet", 0, 3, 1, "", "Defence against floods: drop packets; 1 when memory is short, 3 always."},
	{"expire_nodest_conn", 0, 1, 1, "1", "1 ends the connections to a removed server at once, instead of dropping their " +
		"packets until they time out: clients connect again and reach another."},
	{"expire_quiescent_template", 0, 1, 1, "1", "1 lets a persistent client go to another server when its own has " +
		"weight 0, as a failed or drained one has."},
	{"ignore_tunneled", 0, 1, 1, "", "1 leaves tunnelled packets alone."},
	{"nat_icmp_send", 0, 1, 1, "", "1 answers with ICMP errors from real servers behind NAT that have no connection."},
	{"pmtu_disc", 0, 1, 1, "1", "1 tells clients the path's MTU, which a tunnel makes smaller."},
	{"run_estimation", 0, 1, 1, "1", "1 keeps the statistics; with 0 they stand still."},
	{"schedule_icmp", 0, 1, 1, "", "1 schedules ICMP errors without a connection: for several directors in front " +
		"of one service."},
	{"secure_tcp", 0, 3, 1, "", "Defence against floods: shorter time-outs; 1 when memory is short, 3 always."},
	{"sloppy_sctp", 0, 1, 1, "", "1 takes up SCTP connections in their middle."},
	{"sloppy_tcp", 0, 1, 1, "", "1 takes up TCP connections in their middle: for several directors in front of one " +
		"service."},
	{"snat_reroute", 0, 1, 1, "", "1 routes a NAT server's answers again, by their new source."},
	{"sync_persist_mode", 0, 1, 1, "", "1 syncs persistent clients and not their connections, which then do not " +
		"survive a failover."},
	{"sync_ports", 1, 64, 1, "", "Threads and UDP ports of sync, from its port upward; the same on both directors. " +
		"Takes effect when sync starts."},
	{"sync_qlen_max", 1, maxInt, 1, "", "Messages that may wait to be sent."},
	{"sync_refresh_period", 0, maxInt, 1, "", "Seconds after which a changed connection is synced again, instead " +
		"of by packets; 0: by packets."},
	{"sync_retries", 0, 3, 1, "", "How often a connection is synced again, each an eighth of sync_refresh_period " +
		"after the other."},
	{"sync_sock_size", 0, maxInt, 1, "", "Bytes of the sync sockets' buffers; 0: the kernel's."},
	{"sync_threshold", 0, maxInt, 2, "", "Two numbers: a connection is synced from so many packets on, and again " +
		"after so many. The kernel's 3 50 leaves out connections that have sent fewer than three."},
	{"sync_version", 0, 1, 1, "1", "1 is the protocol that carries IPv6, persistence engines and time-outs; 0 is " +
		"for old kernels."},
}

// Sysctls returns the kernel's settings of IPVS, by name.
func Sysctls() []Sysctl { return slices.Clone(sysctls) }

// CheckSysctl says what is wrong with the value of a setting, its numbers separated by spaces. The error is ErrInvalid.
func CheckSysctl(name, value string) error {
	i := slices.IndexFunc(sysctls, func(s Sysctl) bool { return s.Name == name })
	if i < 0 {
		return invalid("there is no setting net.ipv4.vs.%s", name)
	}
	s := sysctls[i]
	fields := strings.Fields(value)
	if len(fields) != s.Numbers {
		return invalid("net.ipv4.vs.%s: %q: want %d numbers", name, value, s.Numbers)
	}
	for _, f := range fields {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil || n < s.Min || n > s.Max {
			return invalid("net.ipv4.vs.%s: %s: want %d to %d", name, f, s.Min, s.Max)
		}
	}
	return checkRelation(name, fields)
}

// checkRelation says what the kernel refuses though each number is in its range.
func checkRelation(name string, fields []string) error {
	var n [2]int64
	for i, f := range fields {
		n[i], _ = strconv.ParseInt(f, 10, 64)
	}
	switch {
	case name == "sync_threshold" && n[1] != 0 && n[0] >= n[1]:
		return invalid("net.ipv4.vs.%s: %d %d: want the second number above the first, or 0", name, n[0], n[1])
	case name == "sync_ports" && bits.OnesCount64(uint64(n[0])) != 1:
		return invalid("net.ipv4.vs.%s: %d: want a power of two", name, n[0])
	}
	return nil
}
