// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"time"

	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/realserver"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A Config is the configuration of a director, complete with its defaults and consistent in itself.
type Config struct {
	File     string // as Load was asked for it
	SHA256   string // of the file's bytes, in hexadecimal
	Name     string // of the director; the host's name unless given
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
	RealServer *realserver.Config
	Warnings   Mistakes // what is probably not meant, though it can be done
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

// Metrics are where Prometheus finds them.
type Metrics struct {
	Listen string // host:port, the host may be empty; empty as a whole: nowhere
}

// An Election is what holds for the process that runs the virtual routers.
type Election struct {
	// Realtime locks its memory and gives its loops a real-time thread each.
	Realtime bool
	// OrphanGrace is how long it stays master after the director's death where nobody takes over; 0: not at all.
	OrphanGrace time.Duration
}

// A Router is one virtual router of one address family, and how its addresses are announced.
type Router struct {
	vrrp.Config
	Announce garp.Config
}

// LVS is what holds for the IPVS table as a whole.
type LVS struct {
	OnStop        OnStop
	Manage        Manage
	ProbeMark     uint32            // the first of ProbeMarks
	Sync          lvs.Sync          // the zero value: none
	Sysctl        map[string]string // by name without net.ipv4.vs; nil: none
	SysctlRestore bool              // when the daemon ends on purpose
}

// An OnStop is what becomes of our IPVS services when the daemon ends on purpose.
type OnStop uint8

// The choices, by their names in files: keep, remove.
const (
	OnStopKeep   OnStop = iota + 1 // the kernel goes on balancing
	OnStopRemove                   // the services are deleted
)

// String returns the choice as files name it.
func (o OnStop) String() string {
	switch o {
	case OnStopKeep:
		return "keep"
	case OnStopRemove:
		return "remove"
	}
	return "unknown"
}

// A Manage is whose services the daemon keeps in order.
type Manage uint8

// The choices, by their names in files: own, all.
const (
	ManageOwn Manage = iota + 1
	ManageAll
)

// String returns the choice as files name it.
func (m Manage) String() string {
	switch m {
	case ManageOwn:
		return "own"
	case ManageAll:
		return "all"
	}
	return "unknown"
}

// A Service is one or several IPVS services that share a pool.
type Service struct {
	Name      string        // unique; without white space and slashes
	Virtuals  []lvs.Service // one for each address and port, at least one; all of one family and alike in the rest
	Method    lvs.Method    // of the servers that have no other
	Servers   []Server      // at least one
	MinUp     int           // a track of this service fails with fewer healthy servers; 1 to their number
	OnFailure lvs.OnFailure
	SlowStart time.Duration // 0: none
	// DrainTimeout is how long a server that has left the configuration may stay for the sake of its connections.
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
	// Mapped tells that every port of the service leads to this one's port; otherwise each leads to the same port.
	Mapped bool
	Checks []healthcheck.Config // none: it is not checked and always up
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
