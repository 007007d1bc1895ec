// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"maps"
	"time"

	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A Config is the configuration of a director, complete with its defaults and consistent in itself.
type Config struct {
	File     string // as Parse was given it
	SHA256   string // of the file's bytes, in hexadecimal
	Name     string // of the director; empty unless given, package load then sets the host name
	Log      Log
	Control  Control
	State    State
	Metrics  Metrics
	Election Election
	Routers  []Router
	Tracks   []Track // of the routers, beside the interfaces that they track
	LVS      LVS
	Services []Service
	// RealServer is what this machine is as a real server; nil if it is none.
	RealServer *RealServer
	Warnings   Mistakes // what is valid but probably not intended
}

// A Log says what is logged and how.
type Log struct {
	Level  string // trace, debug, info, warn or error
	Format string // LogText or LogJSON
}

// The formats of a log line.
const (
	LogText = "text"
	LogJSON = "json"
)

// DefaultSocket is where the daemon takes commands unless its file says otherwise.
const DefaultSocket = "/run/tandem/control.sock"

// A Control is where the daemon takes commands.
type Control struct {
	Socket string // absolute path of a unix socket
}

// A State is where the daemon remembers things across restarts.
type State struct {
	Dir string // absolute path
}

// Metrics says where Prometheus reads the metrics.
type Metrics struct {
	Listen string // host:port, where the host may be empty; "": nowhere
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
}

// LVS configures the IPVS table as a whole.
type LVS struct {
	OnStop        OnStop
	Manage        Manage
	ProbeMark     uint32            // the first of ProbeMarks
	Sync          lvs.Sync          // the zero value: none
	Sysctl        map[string]string // by name without net.ipv4.vs; nil: none
	SysctlRestore bool              // restore the former values when the daemon is stopped
}

// Sysctls returns the settings of IPVS that the kernel should have, by name without net.ipv4.vs: those of the file, and
// those that the services need where the file does not say otherwise.
func (c *Config) Sysctls() map[string]string {
	want := c.NeededSysctls()
	maps.Copy(want, c.LVS.Sysctl)
	return want
}

// NeededSysctls returns what the services need, whatever the file says. See lvs.NeededSysctls.
func (c *Config) NeededSysctls() map[string]string {
	var all []lvs.Service
	for _, s := range c.Services {
		all = append(all, s.Virtuals...)
	}
	return lvs.NeededSysctls(all)
}

//go:generate go tool stringer -type OnStop,Manage,Pass,CheckWhen,TrackKind -linecomment -output enum_string.go

// An OnStop is what happens to our IPVS services when the daemon is stopped.
type OnStop uint8

const (
	// OnStopKeep leaves the services in the kernel, which continues to balance.
	OnStopKeep OnStop = iota + 1 // keep
	// OnStopRemove deletes the services.
	OnStopRemove // remove
)

// A Manage is which IPVS services the daemon keeps in order.
type Manage uint8

const (
	// ManageOwn is for the services that the daemon made.
	ManageOwn Manage = iota + 1 // own
	// ManageAll is for all services in the kernel: the daemon deletes those that it does not have.
	ManageAll // all
)

// A Pass says how the checks of a server make up its health.
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

// A Service is one or several IPVS services that share a pool.
type Service struct {
	Name      string        // unique; without white space and slashes
	Virtuals  []lvs.Service // one for each address and port, at least one; all of one family, and with the same settings
	Method    lvs.Method    // of the servers without one of their own
	Servers   []Server      // at least one
	MinUp     int           // a track of this service fails with fewer healthy servers; 1 to the number of servers
	OnFailure lvs.OnFailure
	SlowStart time.Duration // 0: none
	// DrainTimeout is how long a server that was removed from the configuration may stay for its connections.
	DrainTimeout time.Duration
	Quorum       int       // in weight, 1 or more
	Hysteresis   int       // less than Quorum
	Sorry        *Server   // nil: none
	PanicBelow   float64   // share of the servers; 0: never
	Pass         Pass      // how several checks make up a server's health
	CheckWhen    CheckWhen // when they run

	uses []checkUse // its servers' checks, until they are resolved
}

// A Server is one real server; its weight is the configured one.
type Server struct {
	lvs.Server // Port is that in the first of the service's virtuals
	// Mapped means that every port of the service leads to this server's port. Otherwise each leads to the same port.
	Mapped bool
	Checks []healthcheck.Config // none: the server is not checked, and always healthy
	Pass   Pass                 // how they make up its health

	uses    []checkUse // likewise
	ownPass Pass
}

// In returns the server as it is in one of its service's virtuals.
func (s Server) In(v lvs.Service) lvs.Server {
	if !s.Mapped {
		s.Port = v.Port
	}
	return s.Server
}
