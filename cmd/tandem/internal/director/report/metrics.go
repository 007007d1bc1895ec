// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tandem_"+name, help, labels, nil)
}

var (
	infoDesc     = desc("info", "The director and its version; always 1.", "name", "version")
	loadedDesc   = desc("config_loaded_timestamp_seconds", "When the configuration in force was loaded.")
	reloadsDesc  = desc("config_reloads_total", "Reloads that were asked for, by their result.", "result")
	revisionDesc = desc("config_revision", "The number of the configuration in force in the log of configurations, 0 if it has none.")
	waitsDesc    = desc("config_waits_for_confirmation", "1 while the configuration in force waits for confirmation, 0 otherwise.")
	apartDesc    = desc("config_apart", "1 while another configuration is in force than that of the director's own file, 0 otherwise.")
	rollbackDesc = desc("config_rollbacks_total", "Configurations that were rolled back because nobody confirmed them.")
	historyDesc  = desc("history_lost_events_total", "Events that are missing in the file of the history, because it could not be written.")
	stateDirDesc = desc("state_dir_fails", "1 while the state directory cannot be written, so that a restart would forget something, 0 otherwise.")
	warningsDesc = desc("warnings_count", "Warnings in the status.")

	electionRunningDesc  = desc("election_running", "1 while the election process runs, 0 otherwise; absent without virtual routers.")
	electionRestartsDesc = desc("election_restarts_total", "Election processes that died and were started again.")
	routerStateDesc      = desc("vrrp_state", "1 for the state that the virtual router is in, 0 for the others.", "router", "state")
	routerPriorityDesc   = desc("vrrp_priority", "The present priority of the virtual router in the election.", "router")
	trackOKDesc          = desc("vrrp_track_ok", "0 for a track of a virtual router that fails, 1 for one that works or whose result is not known yet.", "router", "track")
	advertsSentDesc      = desc("vrrp_adverts_sent_total", "VRRP advertisements sent.", "router")
	advertsReceivedDesc  = desc("vrrp_adverts_received_total", "VRRP advertisements received and accepted.", "router")
	advertsDroppedDesc   = desc("vrrp_adverts_dropped_total", "VRRP packets discarded, by reason.", "router", "reason")
	straysDroppedDesc    = desc("vrrp_strays_dropped_total", "VRRP packets discarded because they belong to no virtual router of this director, by reason.", "interface", "reason")
	pathHeardDesc        = desc("vrrp_path_heard", "1 for a path of the advertisements on which the master is heard, 0 for one that is silent or down; absent while no master has to be heard.", "router", "path")
	pathSentDesc         = desc("vrrp_path_adverts_sent_total", "VRRP advertisements sent on a path.", "router", "path")
	pathReceivedDesc     = desc("vrrp_path_adverts_received_total", "VRRP advertisements accepted on a path, also those that another path brought first.", "router", "path")
	pathErrorsDesc       = desc("vrrp_path_send_errors_total", "VRRP advertisements that could not be sent on a path.", "router", "path")
	askedDesc            = desc("vrrp_asked_total", "Times that the master was silent, and the director asked who still answers for its VIPs.", "router")
	answeredDesc         = desc("vrrp_asked_answered_total", "Of these, those in which another machine still answered.", "router")
	advertErrorsDesc     = desc("vrrp_send_errors_total", "VRRP advertisements that could not be sent.", "router")
	answersWithheldDesc  = desc("vrrp_answers_withheld_total", "VRRP advertisements that a master did not answer, because it had just answered many.", "router")
	latenessDesc         = desc("vrrp_advert_lateness_seconds", "How late the advertisements of a master were sent.", "router")
	takeoverDesc         = desc("vrrp_takeover_seconds", "How long nobody advertised when this director took a virtual router over: from the last advertisement of the former master to its own first one.", "router")
	longestGapDesc       = desc("vrrp_advert_longest_gap_seconds", "The longest time between two advertisements of a master.", "router")
	standbyDesc          = desc("vrrp_standby", "1 while the virtual router is in standby (after tandem failover).", "router")
	syncWaitsDesc        = desc("vrrp_waits_for_connections", "1 while the virtual router does not take over because this director lacks connections of the other one, 0 otherwise; absent without preempt = \"synced\".", "router")
	syncMissingDesc      = desc("vrrp_connections_missing", "Established connections of the other director that this one lacks, while the virtual router waits for them; absent while they are not known.", "router")
	syncOverrunsDesc     = desc("vrrp_preempt_sync_overruns_total", "Times that the virtual router took over although connections were missing, because preempt_sync_limit was over.", "router")
	hmacEnforcedDesc     = desc("vrrp_hmac_enforced", "1 for a virtual router that accepts only signed advertisements, 0 for any other.", "router")
	hmacActiveKeyDesc    = desc("vrrp_hmac_active_key", "The id of the key that signs the virtual router's advertisements, 0 if they are not signed.", "router")
	twoMastersDesc       = desc("vrrp_two_masters", "1 while this virtual router is master and hears another master that claims its place.", "router")
	twoMastersCountDesc  = desc("vrrp_two_masters_total", "Times with two masters, as this virtual router has heard them as master.", "router")
	twoMastersTimeDesc   = desc("vrrp_two_masters_seconds_total", "The length of the times with two masters that are over, from the first advertisement of the other master to the last.", "router")
	becameMasterDesc     = desc("vrrp_became_master_total", "Transitions to master.", "router")
	announcementsDesc    = desc("announcements_sent_total", "Frames sent to announce an address.", "interface", "form")
	announceErrorsDesc   = desc("announcement_errors_total", "Frames that could not be sent.", "interface")
	rivalsDesc           = desc("rivals_count", "Other machines that claim a virtual address of ours on the interface.", "interface")
	rivalClaimsDesc      = desc("rival_claims_total", "Frames by which other machines claimed a virtual address of ours.", "interface")
	addressWritesDesc    = desc("address_writes_total", "Netlink messages that added or removed an address.", "interface")
	addressRepairsDesc   = desc("address_repairs_total", "Addresses, routes and rules that another program removed or changed, and that were put back.", "interface")

	serverWeightDesc      = desc("server_weight", "The weight that the real server should have in the kernel.", "service", "server")
	serverHealthyDesc     = desc("server_healthy", "1 for a real server that is healthy or unchecked, 0 for any other.", "service", "server")
	serverConnectionsDesc = desc("server_connections", "Connections in the kernel's table.", "service", "server", "state")
	serverUnansweredDesc  = desc("server_unanswered", "1 for a real server that does not answer clients although others of its service do, 0 for any other.", "service", "server")
	serverSinceDesc       = desc("server_since_timestamp_seconds", "When the real server's health changed last.", "service", "server")
	checkHealthyDesc      = desc("check_healthy", "1 for a check whose real server is healthy, 0 for one whose server is not; absent while this is not known.", "service", "server", "check")
	checkLatencyDesc      = desc("check_latency_seconds", "How long the last probe of a check took.", "service", "server", "check")
	checkResultsDesc      = desc("check_results_total", "Probes of a check that ended, by their result.", "service", "server", "check", "result")
	checkFlappingDesc     = desc("check_flapping", "1 for a check whose result changes too often, 0 for the others.", "service", "server", "check")

	serviceQuorumDesc      = desc("service_quorum", "1 for a service that has its quorum, 0 for one that has lost it.", "service")
	serviceConnectionsDesc = desc("service_connections_total", "Connections that the kernel has scheduled.", "service")
	servicePacketsDesc     = desc("service_packets_total", "Packets that passed the kernel's table.", "service", "direction")
	serviceBytesDesc       = desc("service_bytes_total", "Bytes that passed the kernel's table.", "service", "direction")
	serverNewDesc          = desc("server_connections_total", "Connections that the kernel has scheduled to the real server.", "service", "server")
	serverPacketsDesc      = desc("server_packets_total", "Packets to and from the real server that passed the kernel's table.", "service", "server", "direction")
	serverBytesDesc        = desc("server_bytes_total", "Bytes to and from the real server that passed the kernel's table.", "service", "server", "direction")
	syncRunningDesc        = desc("connection_sync_running", "1 for each role (master, backup) in which the kernel's connection sync runs, 0 for the other role.", "role")

	ipvsInLineDesc = desc("ipvs_in_line", "1 while the kernel's IPVS table is as the director wants it, 0 otherwise.")
	ipvsWritesDesc = desc("ipvs_writes_total", "Commands that wrote to the kernel's IPVS table.")
	ipvsPassesDesc = desc("ipvs_reconciles_total", "Passes that compared the kernel's IPVS table with the wanted one in full.")
	ipvsDriftDesc  = desc("ipvs_drift_repaired_total", "Changes of the IPVS table that another program made and that were repaired.")
	ipvsErrorsDesc = desc("ipvs_errors_total", "Passes over the IPVS table that failed.")

	probesDesc       = desc("check_probes_total", "Health check probes started.")
	probesFailedDesc = desc("check_probes_failed_total", "Health check probes that ended as the real server's failure.")
	probesLateDesc   = desc("check_probes_late_total", "Health check probes that started late because the director was busy.")
	probesNotRunDesc = desc("check_probes_not_run_total", "Health check probes that could not run because the director lacked files, memory, ports or time.")
	probesPanicsDesc = desc("check_probes_panics_total", "Health check probes that ended in a panic.")
)

// A sink receives the metrics of one collection.
type sink chan<- prometheus.Metric

func (s sink) count(d *prometheus.Desc, v uint64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

// seconds writes a counter of time.
func (s sink) seconds(d *prometheus.Desc, v float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

func (s sink) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// flag is the value of a gauge that is 1 or 0.
func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// traffic counts packets and bytes in both directions.
func (s sink) traffic(packets, bytes *prometheus.Desc, of api.Stats, labels ...string) {
	s.count(packets, of.InPackets, append(slices.Clone(labels), "in")...)
	s.count(packets, of.OutPackets, append(slices.Clone(labels), "out")...)
	s.count(bytes, of.InBytes, append(slices.Clone(labels), "in")...)
	s.count(bytes, of.OutBytes, append(slices.Clone(labels), "out")...)
}

// Metrics is the input of the metrics beside a status.
type Metrics struct {
	Status           api.Status
	State            *core.Snapshot
	ElectionRunning  bool
	ElectionRestarts uint64
	TableWrites      uint64
	TablePasses      uint64
	TableRepairs     uint64
	TableErrors      uint64
	Probes           healthcheck.Stats
}

// Collect sends the metrics.
func Collect(ch chan<- prometheus.Metric, m Metrics) {
	out, status := sink(ch), m.Status
	out.gauge(infoDesc, 1, status.Name, status.Version)
	out.gauge(loadedDesc, float64(status.Config.LoadedAt.UnixMilli())/1000)
	out.count(reloadsDesc, m.State.Reloads.Done, "done")
	out.count(reloadsDesc, m.State.Reloads.Refused, "refused")
	out.gauge(revisionDesc, float64(status.Config.Revision))
	out.gauge(waitsDesc, flag(status.Config.Waits != nil))
	out.gauge(apartDesc, flag(status.Config.Apart))
	out.count(rollbackDesc, m.State.Revisions.RolledBack)
	out.count(historyDesc, m.State.StateDir.History.Lost)
	out.gauge(stateDirDesc, flag(stateDirFails(m.State.StateDir)))
	out.gauge(warningsDesc, float64(len(status.Warnings)))
	if len(m.State.Config.Routers) > 0 {
		out.gauge(electionRunningDesc, flag(m.ElectionRunning))
	}
	out.count(electionRestartsDesc, m.ElectionRestarts)
	collectVRRP(out, status.VRRP, m.State.Report)
	collectServices(out, status.Services)
	collectHooks(out, status.Hooks)
	collectPeer(out, status.Peer)
	collectDrills(out, status.Drills)
	for _, role := range []lvs.Roles{lvs.SyncMaster, lvs.SyncBackup} {
		running := slices.ContainsFunc(status.Sync, func(s api.Sync) bool { return s.Role == role.String() })
		out.gauge(syncRunningDesc, flag(running), role.String())
	}

	out.gauge(ipvsInLineDesc, flag(status.Table == nil))
	out.count(ipvsWritesDesc, m.TableWrites)
	out.count(ipvsPassesDesc, m.TablePasses)
	out.count(ipvsDriftDesc, m.TableRepairs)
	out.count(ipvsErrorsDesc, m.TableErrors)

	out.count(probesDesc, m.Probes.Probes)
	out.count(probesFailedDesc, m.Probes.Failed)
	out.count(probesLateDesc, m.Probes.StartedLate)
	out.count(probesNotRunDesc, m.Probes.NotRun)
	out.count(probesPanicsDesc, m.Probes.Panics)
}

// paths writes the paths of a virtual router with a heartbeat.
func (s sink) paths(r api.Router) {
	for _, p := range r.Paths {
		switch p.State {
		case vrrp.PathHeard.String():
			s.gauge(pathHeardDesc, 1, r.Name, p.Name)
		case vrrp.PathSilent.String(), vrrp.PathDown.String():
			s.gauge(pathHeardDesc, 0, r.Name, p.Name)
		}
		s.count(pathSentDesc, p.Sent, r.Name, p.Name)
		s.count(pathReceivedDesc, p.Received, r.Name, p.Name)
		s.count(pathErrorsDesc, p.SendErrors, r.Name, p.Name)
	}
}

// hmac writes how a virtual router signs.
func (s sink) hmac(r api.Router) {
	enforced, active := false, 0
	if r.HMAC != nil {
		enforced, active = r.HMAC.Mode == vrrp.HMACEnforce.String(), int(r.HMAC.ActiveKey)
	}
	s.gauge(hmacEnforcedDesc, flag(enforced), r.Name)
	s.gauge(hmacActiveKeyDesc, float64(active), r.Name)
}

func collectVRRP(out sink, routers []api.Router, report message.Report) {
	for _, r := range routers {
		out.router(r)
	}
	collectCounters(out, routers, report.Routers)
	collectInterfaces(out, report.Interfaces)
}

// router writes the state of a virtual router.
func (s sink) router(r api.Router) {
	for _, state := range []vrrp.State{vrrp.Initialize, vrrp.Backup, vrrp.Master, vrrp.Fault} {
		s.gauge(routerStateDesc, flag(r.State == state.String()), r.Name, state.String())
	}
	s.gauge(standbyDesc, flag(r.Standby), r.Name)
	s.gauge(routerPriorityDesc, float64(r.EffectivePriority), r.Name)
	s.syncWait(r)
	s.hmac(r)
	s.gauge(twoMastersDesc, flag(r.TwoMasters.Since != nil), r.Name)
	s.count(twoMastersCountDesc, r.TwoMasters.Count, r.Name)
	s.seconds(twoMastersTimeDesc, r.TwoMasters.TotalSeconds, r.Name)
	s.paths(r)
	if r.Asked != nil {
		s.count(askedDesc, r.Asked.Count, r.Name)
		s.count(answeredDesc, r.Asked.Answered, r.Name)
	}
	for _, t := range r.Track {
		s.gauge(trackOKDesc, flag(t.OK), r.Name, t.Name)
	}
}

// collectCounters sends the election's counters of the routers that are shown.
func collectCounters(out sink, routers []api.Router, reported []vrrp.Status) {
	type id struct{ iface, name string } // a router that moves to another interface is on both for a while
	shown := make(map[id]bool)
	for _, r := range routers {
		shown[id{r.Interface, r.Name}] = true
	}
	for _, r := range reported {
		if !shown[id{r.Interface, r.Name}] {
			continue
		}
		out.count(advertsSentDesc, r.Counters.AdvertsSent, r.Name)
		out.count(advertsReceivedDesc, r.Counters.AdvertsReceived, r.Name)
		out.count(advertErrorsDesc, r.Counters.SendErrors, r.Name)
		out.count(answersWithheldDesc, r.Counters.AnswersWithheld, r.Name)
		late, took := r.Counters.Lateness, r.Counters.Takeovers
		out.histogram(latenessDesc, vrrp.LatenessBounds[:], late.Counts[:], late.Powers, late.Sum, r.Name)
		out.histogram(takeoverDesc, vrrp.TakeoverBounds[:], took.Counts[:], took.Powers, took.Sum, r.Name)
		out.gauge(longestGapDesc, r.Counters.LongestGap.Seconds(), r.Name)
		out.count(becameMasterDesc, r.Counters.BecameMaster, r.Name)
		for reason, n := range r.Counters.Drops.All() {
			if n > 0 {
				out.count(advertsDroppedDesc, n, r.Name, reason.String())
			}
		}
	}
}

// collectInterfaces sends what the election did and saw on its interfaces.
func collectInterfaces(out sink, interfaces []message.Interface) {
	for _, i := range interfaces {
		out.count(announcementsDesc, i.Announce.Requests, i.Name, "arp_request")
		out.count(announcementsDesc, i.Announce.Replies, i.Name, "arp_reply")
		out.count(announcementsDesc, i.Announce.Advertisements, i.Name, "neighbour_advertisement")
		out.count(announceErrorsDesc, i.Announce.Errors, i.Name)
		for reason, n := range i.Stray.All() {
			if n > 0 {
				out.count(straysDroppedDesc, n, i.Name, reason.String())
			}
		}
		out.count(addressWritesDesc, i.AddressWrites, i.Name)
		out.count(addressRepairsDesc, i.Repairs, i.Name)
		out.gauge(rivalsDesc, float64(len(i.Rivals)), i.Name)
		out.count(rivalClaimsDesc, i.Claims, i.Name)
	}
}

func collectServices(out sink, services []api.Service) {
	for _, svc := range services {
		out.gauge(serviceQuorumDesc, flag(!svc.QuorumLost), svc.Name)
		out.count(serviceConnectionsDesc, svc.Stats.Connections, svc.Name)
		out.traffic(servicePacketsDesc, serviceBytesDesc, svc.Stats, svc.Name)
		for _, srv := range svc.Servers {
			server := netip.AddrPortFrom(srv.Address, srv.Port).String()
			out.gauge(serverHealthyDesc, flag(srv.Health == "healthy" || srv.Health == "unchecked"), svc.Name, server)
			out.gauge(serverUnansweredDesc, flag(srv.Unanswered != nil), svc.Name, server)
			if !srv.Since.IsZero() {
				out.gauge(serverSinceDesc, float64(srv.Since.UnixMilli())/1000, svc.Name, server)
			}
			out.gauge(serverWeightDesc, float64(srv.EffectiveWeight), svc.Name, server)
			out.gauge(serverConnectionsDesc, float64(srv.Active), svc.Name, server, "active")
			out.gauge(serverConnectionsDesc, float64(srv.Inactive), svc.Name, server, "inactive")
			out.count(serverNewDesc, srv.Stats.Connections, svc.Name, server)
			out.traffic(serverPacketsDesc, serverBytesDesc, srv.Stats, svc.Name, server)
			for i, c := range srv.Checks {
				collectCheck(out, c, svc.Name, server, fmt.Sprintf("%d %s", i+1, c.Type))
			}
		}
	}
}

// collectCheck sends the metrics of one check of a real server. labels are on all of them.
func collectCheck(out sink, c api.Check, labels ...string) {
	switch c.Health {
	case healthcheck.Healthy.String():
		out.gauge(checkHealthyDesc, 1, labels...)
	case healthcheck.Unhealthy.String():
		out.gauge(checkHealthyDesc, 0, labels...)
	}
	out.gauge(checkLatencyDesc, c.LatencySeconds, labels...)
	out.gauge(checkFlappingDesc, flag(c.Flapping), labels...)
	out.count(checkResultsDesc, c.Successes, append(labels, "success")...)
	out.count(checkResultsDesc, c.Failures, append(labels, "failure")...)
}

func (s sink) syncWait(r api.Router) {
	if r.PreemptSyncLimit == "" {
		return
	}
	s.gauge(syncWaitsDesc, flag(r.Waits != nil), r.Name)
	s.count(syncOverrunsDesc, r.PreemptSyncOverruns, r.Name)
	if r.Waits != nil && r.Waits.Known {
		s.gauge(syncMissingDesc, float64(r.Waits.Of-r.Waits.Have), r.Name)
	}
}
