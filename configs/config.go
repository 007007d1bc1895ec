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
	OnStop OnStop
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

// A Service is one IPVS service with its pool.
type Service struct {
	Name      string // unique; without white space and slashes
	LVS       lvs.Service
	Method    lvs.Method // of all its servers
	Servers   []Server   // at least one
	MinUp     int        // a track of this service fails with fewer healthy servers; 1 to their number
	OnFailure lvs.OnFailure
	Check     *healthcheck.Config // nil: the servers are not checked and always up
}

// A Server is one real server; its weight is the configured one.
type Server struct {
	lvs.Server
}
