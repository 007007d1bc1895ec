// SPDX-License-Identifier: Apache-2.0

// Package api defines the messages between a director and its operators. It does no input or output.
package api

import (
	"net/netip"
	"slices"
	"time"
)

// A Status is the state of a director. Its JSON form is stable: members are added, never renamed or removed.
type Status struct {
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	Config   Config    `json:"config"`
	VRRP     []Router  `json:"vrrp"`
	Services []Service `json:"services"`
	Sync     []Sync    `json:"sync"`            // the kernel's connection sync; empty: none runs
	Hooks    []Hook    `json:"hooks,omitempty"` // in the order of the file, those of the virtual routers first
	// Warnings are sentences about faults that need an operator, those of the greatest weight first. It is empty if there are none.
	Warnings []string `json:"warnings"`
	// WireWarnings are those of Warnings that are about what other machines send. They last for a while after their cause.
	WireWarnings []string `json:"wire_warnings,omitempty"`
	// ServerWarnings are those of Warnings that follow from failures of real servers.
	ServerWarnings []string `json:"server_warnings,omitempty"`
	// GuardWarnings are those of Warnings that are about the paths of advertisements and the witnesses: see paths and track of the
	// virtual routers.
	GuardWarnings []string `json:"guard_warnings,omitempty"`
	// Isolated are the interfaces on which no other machine answers, although a sync group needs them. Each has a warning.
	Isolated []string `json:"isolated,omitempty"`
	// Table says why the kernel's IPVS table is not as it should be; absent: it is.
	Table *TableFault `json:"table,omitempty"`
	// Drill is the drill under way; absent: there is none. Drills are the last ones of each kind, the latest first.
	Drill  *DrillUnderWay `json:"drill,omitempty"`
	Drills []Drill        `json:"drills,omitempty"`
	// Peer is what the other director of the pair tells; absent: there is no [peer].
	Peer *Peer `json:"peer,omitempty"`
	// Upgraded says what this version has replaced in the running process; absent: the process was started with it.
	Upgraded *Upgraded `json:"upgraded,omitempty"`
}

// An Upgraded says that a version has replaced another one in the running process: see tandem upgrade.
type Upgraded struct {
	// Count is how many times in a row the process has been given another program.
	Count int `json:"count"`
	// From is the former version.
	From string    `json:"from"`
	At   time.Time `json:"at"`
	// Waits says why the election process of the former version still runs; absent: it does not.
	Waits string `json:"waits,omitempty"`
}

// A Config says which configuration is in force.
type Config struct {
	File     string    `json:"file"`
	SHA256   string    `json:"sha256"`
	LoadedAt time.Time `json:"loaded_at"`
	// Revision is its number in the log of configurations; absent: it has none.
	Revision int `json:"revision,omitempty"`
	// Apart says that it is not what the director's own file has: it counts until that file changes.
	Apart bool  `json:"apart,omitempty"`
	Waits *Wait `json:"waits,omitempty"` // for confirmation; absent: it does not wait
}

// A TableFault says why the kernel's IPVS table is not as it should be.
type TableFault struct {
	Warning string   `json:"warning"`           // one of the status's Warnings
	Refused []string `json:"refused,omitempty"` // the services that the kernel refuses; absent: the state of the table is not known
}

// A Router is the state of a virtual router. State is one of initialize, backup, master, fault.
type Router struct {
	Name              string         `json:"name"`
	Interface         string         `json:"interface"`
	VRID              uint8          `json:"vrid"`
	Version           uint8          `json:"version"`
	State             string         `json:"state"`
	Priority          uint8          `json:"priority"`
	EffectivePriority uint8          `json:"effective_priority"`
	Master            string         `json:"master"` // address of the present master; empty while unknown
	Since             time.Time      `json:"since"`
	Reason            string         `json:"reason"`
	VIPs              []netip.Prefix `json:"vips"`
	Family            uint8          `json:"family"`               // 4 or 6
	SyncGroup         string         `json:"sync_group,omitempty"` // whose members change state together
	Standby           bool           `json:"standby"`              // by command, until tandem release
	HandingOver       bool           `json:"handing_over"`         // it hands over, and keeps the VIPs until its successor announces them
	AdvertInterval    string         `json:"advert_interval"`      // "1s"
	UnicastPeers      []netip.Addr   `json:"unicast_peers,omitempty"`
	AddressInterface  string         `json:"address_interface"` // that has the VIPs; differs from interface with a virtual MAC
	ExcludedVIPs      []netip.Prefix `json:"excluded_vips,omitempty"`
	// VIPInterfaces has the interfaces of the VIPs and excluded VIPs that are not on the AddressInterface.
	VIPInterfaces map[netip.Addr]string `json:"vip_interfaces,omitempty"`
	DownAdverts   uint8                 `json:"down_adverts"` // intervals after which a silent master counts as gone
	Carrier       string                `json:"carrier"`      // "track", or "ignore": a missing carrier of the interface is no fault
	Preempt       bool                  `json:"preempt"`
	// PreemptSyncLimit is how long the router waits at most for the other director's connections before it preempts; absent: it does not.
	PreemptSyncLimit string `json:"preempt_sync_limit,omitempty"` // "1m0s"
	// PreemptSyncOverruns counts how often that time was over.
	PreemptSyncOverruns uint64     `json:"preempt_sync_overruns,omitempty"`
	Waits               *SyncWait  `json:"waits,omitempty"` // absent: it does not wait now
	HMAC                *HMAC      `json:"hmac,omitempty"`  // how advertisements are signed; absent: they are not
	Paths               []Path     `json:"paths"`           // of the advertisements, with a heartbeat; else empty
	Asked               *Asked     `json:"asked,omitempty"` // who still answered for the VIPs when the master was silent last; absent: that was never asked
	Track               []Track    `json:"track"`           // empty: nothing
	Counters            Counters   `json:"counters"`
	TwoMasters          TwoMasters `json:"two_masters"`
}

// A SyncWait says that a virtual router does not take over from its master before this director has the other one's connections.
type SyncWait struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"` // then it takes over all the same
	Known bool      `json:"known"` // false: Have and Of are not known
	Have  int       `json:"have"`  // established connections of the other director that this one has
	Of    int       `json:"of"`
	Text  string    `json:"text"` // "waits for connections: 180 of 200"
}

// TwoMasters are the moments in which this router, as master, heard another master that claimed its place.
type TwoMasters struct {
	Count        uint64     `json:"count"`            // with the present one
	TotalSeconds float64    `json:"total_seconds"`    // of those that are over
	Since        *time.Time `json:"since,omitempty"`  // when the present one began; absent: there is none
	Peer         string     `json:"peer,omitempty"`   // the other master of the present one
	Latest       *Moment    `json:"latest,omitempty"` // of those that are over
}

// A Moment is a time with two masters that is over, from the first advertisement of the other one to the last.
type Moment struct {
	Began   time.Time `json:"began"`
	Seconds float64   `json:"seconds"`
	Peer    string    `json:"peer"`
}

// A Path is a way of a virtual router's advertisements. State is one of unknown (no master has to be heard), heard, silent (the
// master is heard on other paths only) and down. Since is absent if it is not known.
type Path struct {
	Name       string     `json:"name"` // an interface, or the address of a peer
	Unicast    bool       `json:"unicast"`
	State      string     `json:"state"`
	Since      time.Time  `json:"since,omitzero"`
	Source     netip.Addr `json:"source,omitzero"` // ours
	Master     netip.Addr `json:"master,omitzero"` // who was heard last
	Reason     string     `json:"reason,omitempty"`
	Sent       uint64     `json:"adverts_sent"`
	Received   uint64     `json:"adverts_received"` // also those that another path brought first
	SendErrors uint64     `json:"send_errors"`
}

// An Asked is the latest question who still answers for the VIPs of a silent master. It is asked before a takeover, and changes
// nothing in it.
type Asked struct {
	At       time.Time  `json:"at"`
	Master   netip.Addr `json:"master"`
	Answers  []Answer   `json:"answers"` // empty: nobody
	Problem  string     `json:"problem,omitempty"`
	Count    uint64     `json:"count"`    // questions since the election started
	Answered uint64     `json:"answered"` // those that somebody answered
}

// An Answer is a machine that has an address of a silent master.
type Answer struct {
	Address  netip.Addr `json:"address"`
	Hardware string     `json:"hardware"`
	Peer     bool       `json:"peer"` // it is the silent master itself
}

// An HMAC is how a virtual router signs its advertisements, and which ones it has refused.
type HMAC struct {
	Mode       string    `json:"mode"`                  // receive-only, permissive or enforce
	Keys       []int     `json:"keys"`                  // the ids of the keys whose signatures are accepted
	ActiveKey  uint8     `json:"active_key,omitempty"`  // the id of the key that signs; absent with receive-only
	AntiReplay string    `json:"anti_replay"`           // time or monotonic
	TimeWindow string    `json:"time_window,omitempty"` // "5s"; absent with monotonic
	Refused    []Refusal `json:"refused"`               // the latest for each reason; empty: none
}

// A Refusal is the latest packet that was refused for a reason. From is the sender that it named, which may be forged.
type Refusal struct {
	Reason string     `json:"reason"` // "wrong_hmac", as in adverts_dropped
	Count  uint64     `json:"count"`
	Last   time.Time  `json:"last"`
	From   netip.Addr `json:"from"`
}

// Counters count since the virtual router was configured.
type Counters struct {
	AdvertsSent       uint64            `json:"adverts_sent"`
	AdvertsReceived   uint64            `json:"adverts_received"` // those that were accepted
	AdvertsDropped    map[string]uint64 `json:"adverts_dropped"`  // by reason: "wrong_password"; empty: none
	SendErrors        uint64            `json:"send_errors"`
	AnswersWithheld   uint64            `json:"answers_withheld"`    // advertisements that a master did not answer, because it had just answered many
	BecameMaster      uint64            `json:"became_master"`       // transitions to master
	LongestGapSeconds float64           `json:"longest_gap_seconds"` // the longest time between two advertisements of a master
}

// A Track is an interface, script, file or service that a virtual router tracks. It counts as OK until it fails.
type Track struct {
	Name   string `json:"name"` // "script /usr/local/bin/check-uplink", "service www"
	OK     bool   `json:"ok"`
	Reason string `json:"reason"` // "exit code 0", "1 of 3 servers healthy, 2 needed"
}

// A Service is an IPVS service, or several that share one pool of real servers.
type Service struct {
	Name       string `json:"name"`
	Virtual    string `json:"virtual"` // "192.0.2.100:80", "192.0.2.100:80, 192.0.2.100:8000-8010" or "fwmark 1"
	Protocol   string `json:"protocol"`
	Scheduler  string `json:"scheduler"`
	Method     string `json:"method"`      // of the servers without a method of their own
	Up         int    `json:"up"`          // servers that are up and neither drained nor disabled
	QuorumLost bool   `json:"quorum_lost"` // the sorry server serves, if there is one
	Panic      bool   `json:"panic"`       // too few servers are healthy: all of them get connections
	// Quorum is the total weight of healthy servers that is needed, and PanicBelow the share of them below which all servers get
	// connections. Absent: none is.
	Quorum     int      `json:"quorum,omitempty"`
	PanicBelow float64  `json:"panic_below,omitempty"`
	Stats      Stats    `json:"stats"`
	Servers    []Server `json:"servers"`
}

// Serves reports whether new clients reach a server.
func (s *Service) Serves() bool {
	return slices.ContainsFunc(s.Servers, func(srv Server) bool { return srv.EffectiveWeight > 0 })
}

// Pool returns the number of servers that ought to be up: without the sorry server and those that leave.
func (s *Service) Pool() (n int) {
	for i := range s.Servers {
		if srv := &s.Servers[i]; !srv.Sorry && !srv.Leaving {
			n++
		}
	}
	return n
}

// A Server is a real server. Health is one of unknown, healthy, unhealthy, unchecked. Weight is the configured one,
// EffectiveWeight the one that the kernel is to have now; it is 0 also for a server that is out of the table. The
// kernel's counts are sums over all virtual addresses and ports of the service.
type Server struct {
	Address         netip.Addr `json:"address"`
	Port            uint16     `json:"port"`
	Weight          int        `json:"weight"`
	EffectiveWeight int        `json:"effective_weight"`
	Health          string     `json:"health"`
	Reason          string     `json:"reason"`
	Since           time.Time  `json:"since"`
	Active          int        `json:"active"`   // active connections, as the kernel counts them
	Inactive        int        `json:"inactive"` // likewise
	Checks          []Check    `json:"checks"`   // empty: it is not checked
	Method          string     `json:"method"`
	Drained         bool       `json:"drained"`  // by command, as the next two
	Disabled        bool       `json:"disabled"` //
	Override        *int       `json:"override"` // the weight instead of the configured one; null: none
	Sorry           bool       `json:"sorry"`    // the service's sorry server
	Leaving         bool       `json:"leaving"`  // no longer in the configuration, and draining
	// Maintenance is the path of the file whose existence drains it; absent: no such file exists.
	Maintenance string `json:"maintenance,omitempty"`
	// Tracks is the server whose health and orders it follows; absent: none.
	Tracks string `json:"tracks,omitempty"`
	Note   string `json:"note"` // which of these are true, in words; empty: none
	Stats  Stats  `json:"stats"`
	// Unanswered says that it does not answer clients; null: it does, or this is not known.
	Unanswered *Unanswered `json:"unanswered"`
}

// An Unanswered says that a real server does not answer clients, by the kernel's table of connections.
type Unanswered struct {
	Server        string    `json:"server"`         // its name in commands
	Since         time.Time `json:"since"`          // start of the first of the unanswered connections
	Connections   int       `json:"connections"`    // that it has not answered since
	OthersPercent int       `json:"others_percent"` // the share of connections that the other servers have answered since
	Checked       bool      `json:"checked"`        // its own checks pass
	// TriedAgain is when it gets new clients again. It is absent if it gets them now.
	TriedAgain time.Time `json:"tried_again,omitzero"`
	// Peer is what the other director of the pair says of the server; absent: nothing.
	Peer *PeerView `json:"peer,omitempty"`
}

// A Check is one check of a real server. Health is one of unknown, healthy, unhealthy.
type Check struct {
	Type           string     `json:"type"`         // "http"
	Via            netip.Addr `json:"via,omitzero"` // the VIP to which it is sent, with via = "vip"
	Health         string     `json:"health"`
	Reason         string     `json:"reason"` // the last result
	Since          time.Time  `json:"since"`
	Flapping       bool       `json:"flapping"`         // Health changes too often
	LastAt         time.Time  `json:"last_at,omitzero"` // when the last probe ended
	LatencySeconds float64    `json:"latency_seconds"`  // how long it took
	Successes      uint64     `json:"successes"`        // probes so far
	Failures       uint64     `json:"failures"`
}

// Stats are the kernel's counts since it has the service or server. Rates are per second.
type Stats struct {
	Connections    uint64 `json:"connections"`
	InPackets      uint64 `json:"in_packets"`
	OutPackets     uint64 `json:"out_packets"` // counted with method nat only
	InBytes        uint64 `json:"in_bytes"`
	OutBytes       uint64 `json:"out_bytes"` // likewise
	ConnectionRate uint64 `json:"connection_rate"`
	InPacketRate   uint64 `json:"in_packet_rate"`
	OutPacketRate  uint64 `json:"out_packet_rate"`
	InByteRate     uint64 `json:"in_byte_rate"`
	OutByteRate    uint64 `json:"out_byte_rate"`
}

// A Sync is the kernel's connection sync in one role, master or backup.
type Sync struct {
	Role      string     `json:"role"`
	Interface string     `json:"interface"`
	ID        uint8      `json:"id"`
	Group     netip.Addr `json:"group"`
	Port      uint16     `json:"port"`
	TTL       uint8      `json:"ttl"`
	MaxLen    int        `json:"max_len"`
}

// A Hook is a command or a URL that is told events.
type Hook struct {
	Name    string   `json:"name"`
	On      []string `json:"on"`                // events
	Command []string `json:"command,omitempty"` // either this
	URL     string   `json:"url,omitempty"`     // or this
	Running int      `json:"running"`           // runs at this moment, each of another router, service or server
	Waiting int      `json:"waiting"`           // events that wait for their turn or for a retry
	// Failing counts the routers, services and servers whose latest event the hook was not told, although all attempts were made.
	Failing     int      `json:"failing"`
	Succeeded   uint64   `json:"succeeded"`  // runs
	Failed      uint64   `json:"failed"`     // runs; a retry is one
	Superseded  uint64   `json:"superseded"` // events that were not told, because a newer one came before their turn
	Last        *HookRun `json:"last"`       // null: none has ended
	LastFailure *HookRun `json:"last_failure"`
}

// A HookRun is a run of a hook that has ended.
type HookRun struct {
	Subject     string    `json:"subject"` // "router web"
	Event       string    `json:"event"`   // "master"
	Attempt     int       `json:"attempt"` // from 1
	EndedAt     time.Time `json:"ended_at"`
	TookSeconds float64   `json:"took_seconds"`
	Error       string    `json:"error"` // empty: it succeeded
}

// A Failure is the body of every answer that is not a success.
type Failure struct {
	// Problems are sentences. A refused configuration has one for each mistake.
	Problems []string `json:"problems"`
	// Routers and NotRemembered are as in RoutersDone: a command about several can fail for some of them only.
	Routers       []string `json:"routers,omitempty"`
	NotRemembered string   `json:"not_remembered,omitempty"`
	// Unanswered says that the other director of the pair may have carried out the command, or not: its answer did not come.
	Unanswered bool `json:"unanswered,omitempty"`
}
