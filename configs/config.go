// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A Config is the configuration of a director, complete with its defaults and consistent in itself.
type Config struct {
	File     string // the name that Parse was given
	SHA256   string // of the file's bytes, in hexadecimal; with included files, of all of them
	Name     string // of the director; empty if it is not given and the host name is not known
	Choice   Choice // where Name comes from
	Log      Log
	Control  Control
	State    State
	Metrics  Metrics
	Web      Web
	Election Election
	Peer     Peer
	Drill    Drill
	Routers  []Router
	Tracks   []Track // of the routers, beside the interfaces that they track
	Hooks    []Hook  // those of the routers first, then those of the file, each in its order
	LVS      LVS
	Services []Service
	// RealServer has the settings of this machine as a real server; nil if it is none.
	RealServer *RealServer
	KeyFiles   []KeyFile
	Warnings   Mistakes // valid, but probably not intended
	NATSplits  []NATSplit
}

// A Log has the settings of the log.
type Log struct {
	Level  string // trace, debug, info, warn or error
	Format string // LogAuto, LogText, LogJournal or LogJSON
}

// The formats of a log line.
const (
	LogAuto    = "auto" // LogJournal where standard error goes to systemd's journal, LogText elsewhere
	LogText    = "text"
	LogJournal = "journal"
	LogJSON    = "json"
)

// DefaultSocket is the control socket unless the file names another.
const DefaultSocket = "/run/tandem/control.sock"

// DefaultStateDir is the state directory unless the file names another.
const DefaultStateDir = "/var/lib/tandem"

// A Control has the settings of the control socket.
type Control struct {
	Socket string // absolute path of a unix socket
	// Group is the group whose members may read, and AdminGroup the one whose members may read and change. Root may both. If
	// both are empty, the group of the process may both.
	Group, AdminGroup string
}

// A State has the settings of the files that survive a restart.
type State struct {
	Dir string // absolute path
}

// Metrics says where Prometheus reads the metrics.
type Metrics struct {
	Listen string // host:port, where the host may be empty; "": nowhere
}

// Web says where browsers find the page about the pair.
type Web struct {
	Listen string   // host:port, where the host may be empty; "": nowhere
	Hosts  []string // names under which a browser may open it, beside those of WebNames
}

// WebNames returns the names with a dot under which a browser may open the page.
func (c *Config) WebNames() []string {
	host, _, _ := splitHostPort(c.Web.Listen)
	return append([]string{host, c.Name}, c.Web.Hosts...)
}

// An Election configures the process that runs the virtual routers.
type Election struct {
	// Realtime locks its memory and gives its loops a real-time thread each.
	Realtime bool
	// OrphanGrace is how long it stays master after the director has died, if no peer takes over; 0: not at all.
	OrphanGrace time.Duration
}

// A Router is one virtual router of one address family, and how its addresses are announced.
type Router struct {
	vrrp.Config
	Announce garp.Config
	// WitnessRelease is how long a master stays master while neither its witnesses nor its peers answer; 0: for ever. Witnesses and
	// peers, its own or those of its sync group, are among the Tracks.
	WitnessRelease time.Duration
	// PreemptSyncLimit is how long it waits at most for the other director's connections before it preempts; 0: preempt is not "synced",
	// and it does not wait.
	PreemptSyncLimit time.Duration
}

// A KeyFile is a file with the secret of a key of a virtual router. Package load reads it.
type KeyFile struct {
	Router string // the virtual router's name
	ID     uint8  // of the key
	Path   string
	Place  Mistake // where the configuration names the file
}

// LVS configures the IPVS table as a whole.
type LVS struct {
	OnStop        OnStop
	Manage        Manage
	ProbeMark     uint32            // the first of ProbeMarks
	Sync          lvs.Sync          // the zero value: none
	Timeouts      lvs.Timeouts      // of connections
	Sysctl        map[string]string // by name without net.ipv4.vs; nil: none
	SysctlRestore bool              // restore the former values when the daemon is stopped
}

// Sysctls returns the settings of IPVS that the kernel should have, by name without net.ipv4.vs: those of the file, and those
// that the services need. If both have one, the file's value counts.
func (c *Config) Sysctls() map[string]string {
	want := c.NeededSysctls()
	maps.Copy(want, c.LVS.Sysctl)
	return want
}

// NeededSysctls returns the settings that the services need, whatever the file says. See lvs.NeededSysctls.
func (c *Config) NeededSysctls() map[string]string {
	var all []lvs.Service
	for _, s := range c.Services {
		all = append(all, s.Virtuals...)
	}
	return lvs.NeededSysctls(all)
}

//go:generate go tool stringer -type OnStop,Manage,Pass,CheckWhen,OutlierAction,TrackKind,HookEvent,HookStyle,Choice -linecomment -output enum_string.go

// An OnStop says what to do with our IPVS services when the daemon is stopped.
type OnStop uint8

const (
	// OnStopKeep leaves the services in the kernel, which continues to balance.
	OnStopKeep OnStop = iota + 1 // keep
	// OnStopRemove deletes the services.
	OnStopRemove // remove
)

// A Manage says which IPVS services the daemon manages.
type Manage uint8

const (
	// ManageOwn: the services that the daemon added.
	ManageOwn Manage = iota + 1 // own
	// ManageAll: all services in the kernel. The daemon deletes those that its configuration does not have.
	ManageAll // all
)

// A Pass says how the results of several checks are combined to a server's health.
type Pass uint8

const (
	// PassAll means that each of its checks must find the server healthy.
	PassAll Pass = iota + 1 // all
	// PassAny means that one check is enough.
	PassAny // any
)

// A CheckWhen says when a director checks the servers of a service.
type CheckWhen uint8

const (
	// CheckAlways means that both directors check.
	CheckAlways CheckWhen = iota + 1 // always
	// CheckMaster means that a director checks while it is master of the service's address.
	CheckMaster // master
)

// An OutlierAction is what happens to a real server that does not answer clients, although its checks pass.
type OutlierAction uint8

const (
	// OutlierWarn means that the status and the log name it.
	OutlierWarn OutlierAction = iota + 1 // warn
	// OutlierWeightZero means that it also gets no new clients for a while.
	OutlierWeightZero // weight-zero
)

// MinOutlierServers is the number of servers in service from which one may be taken out. At most a third of them is taken out.
const MinOutlierServers = 3

// A Service is one or several IPVS services that share a pool.
type Service struct {
	Name      string        // unique; without white space and slashes
	Virtuals  []lvs.Service // one for each address and port, at least one; all of one family, and with the same settings
	Method    lvs.Method    // of the servers that have no method of their own
	Servers   []Server      // at least one
	MinUp     int           // a track of this service fails with fewer healthy servers; 1 to the number of servers
	OnFailure lvs.OnFailure
	SlowStart time.Duration // 0: none
	// RemoveAfter is how long a server of weight 0 stays in the kernel's table; 0: for ever.
	RemoveAfter time.Duration
	// DrainTimeout is how long a server that was removed from the configuration may stay for its connections.
	DrainTimeout time.Duration
	Quorum       int       // in weight, 1 or more
	Hysteresis   int       // less than Quorum
	Sorry        *Server   // nil: none
	PanicBelow   float64   // share of the servers; 0: never
	Pass         Pass      // how the results of several checks are combined
	CheckWhen    CheckWhen // when they run
	Outlier      OutlierAction

	maintenance string     // of the servers without one of their own
	track       string     // the service whose servers these servers track
	uses        []checkUse // its servers' checks, until they are resolved
}

// A Server is one real server; its weight is the configured one.
type Server struct {
	lvs.Server // Port is that in the first of the service's virtuals
	// Mapped says that all ports of the service lead to this server's port. Otherwise each port leads to the same port of the
	// server.
	Mapped bool
	Checks []healthcheck.Config // none: the server is not checked, and always healthy
	Pass   Pass                 // how their results are combined
	// MaintenanceFile is a path, with healthcheck.Placeholders. While the file exists, the server is drained. Empty: none.
	MaintenanceFile string
	// Track is the real server whose health, orders and maintenance this server follows: SERVICE/ADDRESS:PORT, with its port in the
	// first of that service's virtuals. Empty: none.
	Track string

	uses    []checkUse // written in the file, until they are resolved
	ownPass Pass
}

// TrackID returns the name by which servers of other services track a server of a service.
func TrackID(svc Service, srv Server) string { return svc.Name + "/" + srv.ServerID.String() }

// Maintenance returns the path of the file that drains the server; empty: none does.
func (s Server) Maintenance() string {
	return healthcheck.ForServer(s.MaintenanceFile, netip.AddrPortFrom(s.Addr, s.Port))
}

// MaintenanceFiles returns the paths of all files that drain a server, in order.
func (c *Config) MaintenanceFiles() []string {
	all := make(map[string]bool)
	for _, svc := range c.Services {
		for _, srv := range svc.Servers {
			if path := srv.Maintenance(); path != "" {
				all[path] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// In returns the server as it is in one virtual of its service.
func (s Server) In(v lvs.Service) lvs.Server {
	if !s.Mapped {
		s.Port = v.Port
	}
	return s.Server
}
