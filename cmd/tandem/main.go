// SPDX-License-Identifier: Apache-2.0

// Command tandem is a load-balancer director for a pair of Linux machines: VRRP elects the master, which claims the
// virtual addresses; both hold the same IPVS rules, and health checks set the real servers' weights.
//
// # Processes
//
// "tandem run" is the director. While it has virtual routers it runs "tandem election" as a child, which owns the
// VRRP sockets, the virtual addresses and their announcements. Either survives the death of the other to the user's
// good: an election without a director hands over and lets its addresses go; a director without an election takes
// them off and starts another.
//
// # Signals
//
// SIGTERM and SIGINT leave cleanly: the election hands over and the addresses go; the IPVS rules stay or go as
// [lvs] on_stop says. SIGHUP reloads the configuration; one that is wrong is refused whole and the old one stays.
//
// # Control socket
//
// The director answers HTTP with JSON on a unix socket: GET /v1/status, POST /v1/reload, POST
// /v1/failover and /v1/release with {"routers": ["NAME"]}, POST /v1/servers with {"server": "SERVICE/ADDRESS:PORT",
// "action": "drain", "weight": 0}, where action is one of drain, undrain, disable, enable, weight (which alone needs the
// number) and reset, and GET /v1/servers?server=SERVICE/ADDRESS:PORT. The latter two answer
//
//	{"name": "SERVICE/ADDRESS:PORT", "connections": 0, "effective_weight": 0, "note": "drained by command"}
//
// once the kernel's table is so. A command is carried out first and stored next: where its file cannot be written, the
// answer (of failover and release too) has "not_remembered" with the cause. A restart would forget such a command. The
// status is
//
//	{
//	  "name": "lb1", "version": "v1.0.0",
//	  "config": {"file": "…", "sha256": "…", "loaded_at": "2006-01-02T15:04:05Z"},
//	  "vrrp": [{"name", "interface", "vrid", "version", "state", "priority", "effective_priority", "master", "since",
//	            "reason", "vips", "family", "sync_group", "standby", "handing_over", "advert_interval", "unicast_peers",
//	            "address_interface", "excluded_vips", "preempt", "track": [{"name", "ok", "reason"}],
//	            "counters": {"adverts_sent", "adverts_received", "adverts_dropped": {"wrong_ttl": 1}, "send_errors",
//	                         "became_master", "longest_gap_seconds"}}],
//	  "services": [{"name", "virtual", "protocol", "scheduler", "method", "up", "quorum_lost", "panic", "stats": {},
//	                "servers": [{"address", "port", "weight", "effective_weight", "health", "reason", "since",
//	                             "active", "inactive", "method", "drained", "disabled", "override", "sorry", "leaving",
//	                             "note", "stats": {},
//	                             "checks": [{"type", "via", "health", "reason", "since", "flapping", "last_at",
//	                                         "latency_seconds", "successes", "failures"}]}]}],
//	  "sync": [{"role", "interface", "id", "group", "port", "ttl", "max_len"}],
//	  "warnings": ["…"]
//	}
//
// where state is one of initialize, backup, master, fault and health one of unknown, healthy, unhealthy, unchecked;
// master is the address of the present master, empty while unknown. Every stats has the kernel's counts, connections,
// in_packets, out_packets, in_bytes and out_bytes, and its rates a second, connection_rate, in_packet_rate,
// out_packet_rate, in_byte_rate and out_byte_rate. The role of a sync is master or backup. Members may be added; none is
// renamed or removed.
//
// # Exit codes
//
// 0 is success. 1 is a failure, said in words on standard error: a configuration with mistakes, a missing privilege,
// a kernel without IPVS, a director that does not answer. "tandem doctor" adds 2 and 3: it found warnings, or errors.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	if err := newRoot().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitCode(err))
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "tandem",
		Short: "A load-balancer director for a pair of Linux machines",
		Long: `tandem makes a pair of Linux machines into one load balancer that does not go away: VRRP elects
a master, the master claims the virtual addresses, both hold the same IPVS rules, and health
checks set the real servers' weights.`,
		Example: `  tandem check /etc/tandem/tandem.toml
  tandem run -c /etc/tandem/tandem.toml
  tandem status`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newRun(), newElection(), newCheck(), newStatus(), newReload(), newFailover(), newRelease(),
		newDrain(), newUndrain(), newWeight(), newDisable(), newEnable(), newRealServer(), newDoctor(),
		newVersion())
	return root
}
