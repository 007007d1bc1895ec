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
	// Recommended is the value for a pair of directors. It is empty if the kernel's own value is right, or if the right value
	// depends on the case.
	Recommended string
	Why         string // what it does, and the reason of the recommendation
}

const maxInt = 1<<31 - 1

// sysctls are those of Linux 6.1 that belong to IPVS itself, not to a scheduler.
var sysctls = []Sysctl{
	{"am_droprate", 1, maxInt, 1, "", "Only for drop_packet = 3: the kernel drops one packet in this many."},
	{"amemthresh", 0, maxInt, 1, "", "If fewer pages of memory than this are free, memory is short: see " +
		"drop_entry, drop_packet and secure_tcp."},
	{"backup_only", 0, 1, 1, "0", "1 turns balancing off while the director receives connection sync. " +
		"With tandem both directors send and receive, so leave it at 0."},
	{"cache_bypass", 0, 1, 1, "", "For transparent caches. 1 forwards packets to their destination when no cache is available."},
	{"conn_reuse_mode", 0, 3, 1, "1", "A client may reuse a port whose old connection is still in TIME_WAIT. 1 schedules the " +
		"new connection anew, so that it reaches a server that is available."},
	{"conntrack", 0, 1, 1, "", "1 keeps netfilter's connection tracking for balanced connections. Some firewall rules need " +
		"it. It makes balancing slower."},
	{"drop_entry", 0, 3, 1, "", "Defence against floods. The kernel drops half-open connections. 1: when memory is short. 3: always."},
	{"drop_packet", 0, 3, 1, "", "Defence against floods. The kernel drops packets. 1: when memory is short. 3: always."},
	{"expire_nodest_conn", 0, 1, 1, "1", "1 ends the connections to a removed server at once, so that clients connect again and " +
		"reach another server. With 0 the kernel drops the packets of such connections until they time out."},
	{"expire_quiescent_template", 0, 1, 1, "1", "1 sends a persistent client to another server when its own server has weight 0. " +
		"A failed or drained server has weight 0."},
	{"ignore_tunneled", 0, 1, 1, "", "1 does not balance tunnelled packets."},
	{"nat_icmp_send", 0, 1, 1, "", "If a real server of method nat sends a packet that belongs to no connection, 1 answers with an " +
		"ICMP error."},
	{"pmtu_disc", 0, 1, 1, "1", "1 tells clients the MTU of the path, which a tunnel reduces."},
	{"run_estimation", 0, 1, 1, "1", "1 updates the statistics, 0 does not."},
	{"schedule_icmp", 0, 1, 1, "", "1 schedules ICMP errors that belong to no connection. It is for services that have several " +
		"active directors."},
	{"secure_tcp", 0, 3, 1, "", "Defence against floods. The kernel uses shorter timeouts. 1: when memory is short. 3: always."},
	{"sloppy_sctp", 0, 1, 1, "", "1 accepts SCTP connections whose start was not seen."},
	{"sloppy_tcp", 0, 1, 1, "", "1 accepts TCP connections whose start was not seen. " +
		"It is for services that have several active directors."},
	{"snat_reroute", 0, 1, 1, "", "The director replaces the source address of answers of method nat. 1 routes these answers " +
		"again, by the new source address."},
	{"sync_persist_mode", 0, 1, 1, "", "1 copies only which server each persistent client has. " +
		"Connections are not copied, and do not survive a failover."},
	{"sync_ports", 1, 64, 1, "", "The number of threads of connection sync. Each has its own UDP port: the first uses the port of " +
		"[lvs.sync], the others use the ports that follow. The number must be a power of two, and the same on both directors. A change " +
		"takes effect when sync starts."},
	{"sync_qlen_max", 1, maxInt, 1, "", "The maximum number of messages that wait to be sent."},
	{"sync_refresh_period", 0, maxInt, 1, "", "A connection that is in use is copied again after this many seconds. " +
		"With 0, it is copied again after a number of packets: see sync_threshold."},
	{"sync_retries", 0, 3, 1, "", "The number of extra copies of a connection, in case a message is lost. The time between " +
		"two copies is an eighth of sync_refresh_period."},
	{"sync_sock_size", 0, maxInt, 1, "", "The size of the buffers of the sync sockets in bytes. 0 is the kernel's default."},
	{"sync_threshold", 0, maxInt, 2, "", "[N, M]: a connection is copied at its packet N, and then after every M more packets. " +
		"The kernel's default is 3 and 50: a connection with fewer than 3 packets is not copied."},
	{"sync_version", 0, 1, 1, "1", "1 is the protocol for IPv6, persistence engines and timeouts. 0 is for old kernels."},
}

// Sysctls returns the kernel's settings of IPVS, by name.
func Sysctls() []Sysctl { return slices.Clone(sysctls) }

// CheckSysctl returns an error if a setting cannot have a value, which is a list of numbers separated by spaces. The error is
// ErrInvalid.
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

// checkRelation refuses values that the kernel refuses although each number is in its range.
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
