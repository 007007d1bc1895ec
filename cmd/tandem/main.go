// SPDX-License-Identifier: Apache-2.0

// Command tandem is a load-balancer director for a pair of Linux machines. VRRP elects the master, and the master holds the
// virtual addresses. Both directors have the same IPVS rules, and health checks set the real servers' weights.
//
// # Processes
//
// "tandem run" is the director. While it has virtual routers, it runs "tandem election" as a child. The election owns the VRRP
// sockets, the virtual addresses and their announcements. If the director dies, the election hands over to the peer; without a
// peer it stays master for the time election.orphan_grace. If the election dies, the director starts another one. The new one
// continues as master if the master-down interval has not passed; otherwise the director removes the addresses first.
//
// If "tandem upgrade" replaces the director in place, the process goes on with the installed program. The election goes on until that
// of the installed version has taken over from it.
//
// # Signals
//
// SIGTERM and SIGINT stop the director cleanly: the election hands over and removes the addresses. The key lvs.on_stop says
// whether the IPVS table stays. SIGHUP reloads the configuration. If the file has mistakes, the director refuses all of it and
// keeps the old configuration.
//
// # Control socket
//
// The director answers HTTP with JSON on a unix socket. [control] group and admin_group say who may read and who may change.
// GET /openapi.json describes the interface as OpenAPI. The endpoints are:
//
//	GET  /v1/status                               the status, see below
//	POST /v1/reload                               reads the configuration again
//	POST /v1/plan      {}                         what a reload would change, see below
//	POST /v1/apply     {"plan": "ID", "confirm_seconds": 300}
//	                                              applies a plan, and rolls back after that time unless it is confirmed
//	POST /v1/confirm                              keeps the configuration that waits for confirmation
//	POST /v1/rollback  {"revision": 7, "confirm_seconds": 300}
//	                                              puts a former configuration into force again
//	GET  /v1/config                               the configurations that were in force, see below
//	POST /v1/config    {"revision": 7}            the files of one of them
//	POST /v1/failover  {"routers": ["NAME"]}      hands the virtual routers over to the peer
//	POST /v1/release   {"routers": ["NAME"]}      ends their standby
//	GET  /v1/servers?server=SERVICE/ADDRESS:PORT  the state of one real server
//	POST /v1/servers   {"server": "SERVICE/ADDRESS:PORT", "action": "drain", "weight": 0, "local": false}
//	                                              changes a real server, and answers with its state
//	POST /v1/upgrade                              replaces the director by the installed version in the same process, see below
//	GET  /v1/history?since=TIME&router=NAME&service=NAME
//	                                              what has happened: a list of events, see below
//	GET  /v1/events?since=TIME&router=NAME&service=NAME
//	                                              server-sent events: those since then, and those that happen from now on
//	GET  /v1/peer/status, /v1/peer/history        the same of the other director of the pair, over the channel of [peer]
//	POST /v1/peer/plan, /v1/peer/apply            likewise; apply needs confirm_seconds
//	POST /v1/peer/confirm, /v1/peer/rollback  {"revision": 7}
//	                                              end the wait for confirmation there, if it is this revision that waits
//
// The action is one of drain, undrain, disable, enable, weight and reset. Only weight needs the number. The state of a real
// server is
//
//	{"name": "SERVICE/ADDRESS:PORT", "connections": 0, "effective_weight": 0, "note": "drained by command"}
//
// The director answers a command when the kernel's table has the change. It runs a command first, and then stores it in a file.
// If it cannot write the file, the answer has "not_remembered" with the cause: a restart would forget the command. The same holds
// for failover and release. The answer of a failover may have "notes", a list of sentences: which connections end.
//
// An answer that is no success has "problems", a list of sentences. If it has "unanswered", the other director may have carried out
// the command, or not: its answer did not come.
//
// An upgrade that works ends the connection without an answer: the process runs another program. The status has "upgraded" then, with
// a higher count. An answer says why it does not work, and the director goes on as before.
//
// With [peer], a command about a real server goes to both directors, unless it has "local". The answer then has "peer": {"name",
// "in_force", "problem"}. If it is not in force there, the director sends it again when the channel works.
//
// With "drill": true, disable and enable are those of a drill: enable does something only if a drill has disabled the server, and
// nobody else since. If it does nothing, the answer has no "peer".
//
// The status is
//
//	{
//	  "name": "lb1", "version": "v1.0.0",
//	  "config": {"file": "…", "sha256": "…", "loaded_at": "2006-01-02T15:04:05Z", "revision", "apart",
//	             "waits": {"former", "until"}},
//	  "vrrp": [{"name", "interface", "vrid", "version", "state", "priority", "effective_priority", "master", "since",
//	            "reason", "vips", "family", "sync_group", "standby", "handing_over", "advert_interval", "unicast_peers",
//	            "address_interface", "excluded_vips", "vip_interfaces", "down_adverts", "carrier", "preempt", "preempt_sync_limit",
//	            "preempt_sync_overruns", "waits": {"since", "until", "known", "have", "of", "text"}, "track": [{"name", "ok", "reason"}],
//	            "paths": [{"name", "unicast", "state", "since", "source", "master", "reason", "adverts_sent", "adverts_received", "send_errors"}],
//	            "asked": {"at", "master", "answers": [{"address", "hardware", "peer"}], "problem", "count", "answered"},
//	            "hmac": {"mode", "keys", "active_key", "anti_replay", "time_window",
//	                     "refused": [{"reason", "count", "last", "from"}]},
//	            "counters": {"adverts_sent", "adverts_received", "adverts_dropped": {"wrong_ttl": 1}, "send_errors",
//	                         "answers_withheld", "became_master", "longest_gap_seconds"},
//	            "two_masters": {"count", "total_seconds", "since", "peer", "latest": {"began", "seconds", "peer"}}}],
//	  "services": [{"name", "virtual", "protocol", "scheduler", "method", "up", "quorum_lost", "panic", "quorum", "panic_below", "stats": {},
//	                "servers": [{"address", "port", "weight", "effective_weight", "health", "reason", "since",
//	                             "active", "inactive", "method", "drained", "disabled", "override", "sorry", "leaving",
//	                             "note", "maintenance", "tracks", "stats": {},
//	                             "unanswered": {"server", "since", "connections", "others_percent", "checked", "tried_again",
//	                                            "peer": {"name", "health", "reason", "unanswered"}},
//	                             "checks": [{"type", "via", "health", "reason", "since", "flapping", "last_at",
//	                                         "latency_seconds", "successes", "failures"}]}]}],
//	  "sync": [{"role", "interface", "id", "group", "port", "ttl", "max_len"}],
//	  "peer": {"address", "name", "version", "can": ["plan"], "to": {"up", "since", "problem", "fault"}, "from": {}, "heard_at", "refused", "refusal",
//	           "clock": {"ahead_seconds", "error_seconds"}, "drift": [{"wrong", "text"}], "servers_not_told",
//	           "routers": [{"name", "family", "state", "effective_priority", "standby", "since"}],
//	           "servers": [{"name", "here", "there", "since"}], "orders": [{"name", "here", "there", "why", "meant"}],
//	           "unanswered": [{"server", "since", "connections", "others_percent", "checked"}],
//	           "warnings": ["…"]},
//	  "upgraded": {"count", "from", "at", "waits"},
//	  "isolated": ["eth0"], "warnings": ["…"]
//	}
//
// With tandem status --pair --json, the command adds what a failover would cost:
//
//	"forecast": {"failures": [{"director", "successor", "cable_or_crash_seconds", "hand_over_seconds", "not_known", "orphans",
//	                           "connections_established", "connections_lost", "connections_lost_why", "services_unserved"}],
//	             "not_known", "last_drill": {}, "last_drill_of", "drills_not_known"}
//
// The upgraded is only there if this version has replaced another one in the running process. Its waits says why the election of the
// former version still runs, and is not there if it does not.
//
// The peer is only there with [peer] in the configuration. Its servers and orders are those that differ. Its warnings are those of
// the status that are about the channel, the clocks and the configurations. The isolated are the interfaces of sync groups on which no
// other machine answers; absent: there are none.
//
// The state of a virtual router is one of initialize, backup, master and fault. The health is one of unknown, healthy,
// unhealthy and unchecked. The master is the address of the present master, empty while unknown. The role of a sync is master
// or backup.
//
// The hmac of a virtual router is only there if it has keys. Its time_window is only there with anti_replay time, and its
// active_key is not there with mode receive-only.
//
// A server's unanswered is null, unless the server does not answer clients' connections although others of its service do.
// Its tried_again is only there while the server gets no new clients for that reason. Its peer is what the other director says of the
// server, while there is a channel. The peer's unanswered are the servers that do not answer the clients of the other director.
// Its maintenance is the path of the file that drains it, and its tracks is the server that it follows: each is only there if there
// is one.
//
// Every stats has the kernel's counts: connections, in_packets, out_packets, in_bytes and out_bytes. It also has the rates
// per second: connection_rate, in_packet_rate, out_packet_rate, in_byte_rate and out_byte_rate.
//
// A plan is
//
//	{
//	  "id", "file", "sha256", "in_force": "SHA-256 of the configuration in force", "refused": ["…"], "warnings": ["…"],
//	  "lines": [{"harm", "area", "op", "object", "change", "cost", "connections", "rows": [{"service", "server"}],
//	             "address", "interface", "setting", "old", "new", "later"}],
//	  "probed": {"healthy", "failed", "not_probed", "causes": [{"servers", "reason"}]}
//	}
//
// With {}, the director reads its own file. With {"file": "NAME", "text": "…"} it takes the text as its configuration.
// If that includes files, "matches" has the names of each pattern, and "included" the text of each name: {"matches": {"PATTERN":
// ["NAME"]}, "included": {"NAME": "…"}}. "name" is the director's name, if it is not that of the running director.
// The harm is one of restart needed, interrupts, moves, drains and none, and the lines are in this order. A line that is later
// happens when a check passes, or when this director becomes master.
//
// With "own": true, the director reads its own file even if a reload would keep the configuration in force, because that file has
// not changed since another one was applied. With "no_probe": true, no server is checked.
//
// The answer to apply, confirm, rollback and reload has the members of config in the status, and "lines" and "warnings" as a plan
// has them, and perhaps "not_remembered". If apart is true, another configuration is in force than that of the director's own file.
// The waits is only there while the configuration waits for confirmation. The configurations that were in force are
//
//	{"revisions": [{"number", "at", "how", "of", "file", "sha256", "bytes", "changes", "lines": ["…"]}], "waits": {…}}
//
// and the files of one are {"revision": {…}, "files": [{"name", "text"}]}. The how is one of start, reload, apply, rollback and
// automatic rollback.
//
// An event is
//
//	{"time": "2006-01-02T15:04:05.123Z", "director": "lb1", "kind": "transition", "on": "router", "name": "web",
//	 "what": "became backup", "cause": "higher priority 100 heard from 192.0.2.3", "old": "master", "new": "backup"}
//
// A command has "by", the user who gave it.
// The kind is one of transition, priority, verdict, repair, order, reload, hook, warning and director. On is one of router,
// sync_group, service, server, interface and director. The words of what and cause may change; cause, old and new can be absent.
// A parameter that is absent selects all; the time is in the form of RFC 3339. In a stream, the type of each event is its kind. A
// reader that is too slow gets an event of type "dropped", and the stream ends. At most 16 readers can follow at the same time.
//
// Later versions may add members, but never rename or remove one.
//
// # Exit codes
//
// 0 is success. 1 is a failure, explained on standard error: a configuration with mistakes, a missing privilege, a kernel without
// IPVS, a director that does not answer. "tandem doctor" adds 2 if it found warnings and 3 if it found errors. "tandem plan" adds
// 2 if something would change, "tandem import" adds 2 if there are notes, "tandem probe" adds 2 if clients were not served,
// "tandem drill" adds 2 if a drill failed, and "tandem upgrade" adds 2 if nothing was restarted because no other director took
// over. "tandem status --check" has the codes of monitoring plugins: 0 ok, 1 warning, 2 critical, 3 not known.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/logsink"
)

func main() {
	if err := newRoot().Execute(); err != nil {
		if text := err.Error(); text != "" {
			_, _ = os.Stderr.Write(logsink.Failure(text))
		}
		os.Exit(exitCode(err))
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "tandem",
		Short: "A load-balancer director for a pair of Linux machines",
		Long: `tandem makes two Linux machines (directors) into one load balancer. If one of them fails, the other takes
over. VRRP elects a master. The master holds the virtual addresses. Both directors hold the same IPVS
table, and health checks set the real servers' weights. The configuration is /etc/tandem/tandem.toml.`,
		Example: `  tandem check /etc/tandem/tandem.toml
  tandem run -c /etc/tandem/tandem.toml
  tandem status`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: see %s --help", err, cmd.CommandPath())
	})
	for _, g := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"A director:", []*cobra.Command{newCheck(), newFmt(), newRun(), newReload(), newStatus(), newTop(), newProbe(), newPeer(), newDoctor(), newImport(),
			newUpgrade(), newCleanup()}},
		{"Its configuration:", []*cobra.Command{newPlan(), newApply(), newConfirm(), newRollback(), newConfig()}},
		{"What has happened:", []*cobra.Command{newWhy(), newHistory(), newEvents()}},
		{"Its role:", []*cobra.Command{newFailover(), newRelease(), newDrill()}},
		{"Its real servers:", []*cobra.Command{newDrain(), newUndrain(), newWeight(), newDisable(), newEnable()}},
		{"A machine that is a real server:", []*cobra.Command{newRealServer()}},
	} {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		for _, cmd := range g.commands {
			cmd.GroupID = g.title
			root.AddCommand(cmd)
		}
	}
	root.AddCommand(newElection(), newVersion(), newCompletion())
	return root
}

// arguments checks the number of a command's arguments, at least and at most (-1: any number).
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && (most < 0 || len(args) <= most) {
			return nil
		}
		return fmt.Errorf("wrong number of arguments: %d; write %s, and see %s --help", len(args), cmd.UseLine(), cmd.CommandPath())
	}
}
