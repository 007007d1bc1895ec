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
	{"am_droprate", 1, maxInt, 1, "", "With drop_packet = 3, one of this many packets is dropped."},
	{"amemthresh", 0, maxInt, 1, "", "With fewer free pages of memory than this, the automatic defences act."},
	{"backup_only", 0, 1, 1, "0", "1 turns balancing off while the director receives connection sync. " +
		"The master receives it too if both directors send, so leave it at 0."},
	{"cache_bypass", 0, 1, 1, "", "For transparent caches. 1 forwards packets to their destination when no cache is available."},
	{"conn_reuse_mode", 0, 3, 1, "1", "1 schedules a new connection anew if the client uses a port that is still in TIME_WAIT. " +
		"So it reaches a server that is available."},
	{"conntrack", 0, 1, 1, "", "1 keeps netfilter's entries for balanced connections. Some firewalls need them. It costs speed."},
	{"drop_entry", 0, 3, 1, "", "Defence against floods. Drops half-open connections: 1 when memory is short, 3 always."},
	{"drop_packet", 0, 3, 1, "", "Defence against floods. Drops packets: 1 when memory is short, 3 always."},
	{"expire_nodest_conn", 0, 1, 1, "1", "1 ends the connections to a removed server at once, so that clients connect again and " +
		"reach another server. With 0 their packets are dropped until the connections time out."},
	{"expire_quiescent_template", 0, 1, 1, "1", "1 lets a persistent client go to another server when its own has weight 0. " +
		"A failed or drained server has weight 0."},
	{"ignore_tunneled", 0, 1, 1, "", "1 does not balance tunnelled packets."},
	{"nat_icmp_send", 0, 1, 1, "", "1 sends ICMP errors to real servers of method nat for packets without a connection."},
	{"pmtu_disc", 0, 1, 1, "1", "1 tells clients the MTU of the path, which a tunnel reduces."},
	{"run_estimation", 0, 1, 1, "1", "1 updates the statistics, 0 does not."},
	{"schedule_icmp", 0, 1, 1, "", "1 schedules ICMP errors without a connection. For several active directors of one service."},
	{"secure_tcp", 0, 3, 1, "", "Defence against floods. Uses shorter timeouts: 1 when memory is short, 3 always."},
	{"sloppy_sctp", 0, 1, 1, "", "1 accepts SCTP connections whose start was not seen."},
	{"sloppy_tcp", 0, 1, 1, "", "1 accepts TCP connections whose start was not seen. " +
		"For several active directors of one service."},
	{"snat_reroute", 0, 1, 1, "", "1 routes the answers of a server of method nat again, by their new source address."},
	{"sync_persist_mode", 0, 1, 1, "", "1 copies persistent clients only. " +
		"Their connections are not copied, and do not survive a failover."},
	{"sync_ports", 1, 64, 1, "", "The number of threads and UDP ports of sync, from its port upwards. It must be the same on both " +
		"directors. A change takes effect when sync starts."},
	{"sync_qlen_max", 1, maxInt, 1, "", "The maximum number of messages that wait to be sent."},
	{"sync_refresh_period", 0, maxInt, 1, "", "After this many seconds a changed connection is copied again. " +
		"0 copies it again after a number of packets; see sync_threshold."},
	{"sync_retries", 0, 3, 1, "", "How often a connection is copied again, at intervals of an eighth of sync_refresh_period."},
	{"sync_sock_size", 0, maxInt, 1, "", "The size of the buffers of the sync sockets in bytes. 0 is the kernel's default."},
	{"sync_threshold", 0, maxInt, 2, "", "Two numbers of packets. A connection is copied after the first " +
		"number, and again each time it has had the second number of further packets. " +
		"With the kernel's default, 3 and 50, a connection with fewer than 3 packets is not copied."},
	{"sync_version", 0, 1, 1, "1", "1 is the protocol for IPv6, persistence engines and timeouts. 0 is for old kernels."},
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
