// SPDX-License-Identifier: Apache-2.0

package core

import (
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

// An Event is something that a director must know of. Events are values: nobody changes them afterwards.
type Event interface{ on(*State) }

// A Start is the first event: the configuration, and what earlier processes have left.
type Start struct {
	Config  *configs.Config
	Numbers map[string]Number // of the tracked files, by path
	// From the state directory:
	Orders  map[string]Order
	Standby []string
	Drains  Drains
	// Problems are sentences about what of it could not be read, or cannot be written.
	Problems []string
}

// A TableRead is the kernel's table when the director starts.
type TableRead struct {
	Entries []lvs.Entry
	Owned   map[lvs.ServiceID]bool // the services that an earlier process made ours
}

// A Reload is a new configuration, correct in itself. The answer says whether it replaces the present one.
type Reload struct {
	Request Request
	Config  *configs.Config
	Numbers map[string]Number
}

// A ReloadRefused is a new configuration that was wrong. It is counted.
type ReloadRefused struct{}

// A Verdict is the status of a check that has changed.
type Verdict struct {
	ID     string
	Status healthcheck.TargetStatus
}

// Statuses are the statuses of all checks after the runner of the checks has taken on the targets of that sequence.
type Statuses struct {
	Sequence uint64
	All      map[string]healthcheck.TargetStatus
}

// A Report is what the election says of itself.
type Report struct{ message.Report }

// A ServerOrder is an operator's command about a real server.
type ServerOrder struct {
	Request Request
	Server  string // SERVICE/ADDRESS or SERVICE/ADDRESS:PORT
	Action  api.Action
	Weight  int
}

// A Failover hands the named virtual routers over to the peer, all that are master here if none is named. They stay
// backup until a Release.
type Failover struct {
	Request Request
	Routers []string
}

// A Release lets the named virtual routers, or all, take part in the election again.
type Release struct {
	Request Request
	Routers []string
}

// A TableDone says how the kernel's table stands. An empty problem means that it is as of that generation.
type TableDone struct {
	Generation uint64
	Problem    string
	// Refused are services that the kernel does not have as they should be. All others are as of that generation, even if
	// there is a problem. If there is a problem and no service is named, nothing is known of any.
	Refused map[lvs.ServiceID]Refusal
	// NotRemembered is why the disk does not say which services are ours; empty: it does.
	NotRemembered string
}

// Connections are the kernel's services with the numbers of their connections.
type Connections struct{ Rows []lvs.Row }

// Numbers are what the tracked files hold now, by path.
type Numbers map[string]Number

// A Stored says how the writing of a file went. An empty problem means that the value of that generation is on the disk.
type Stored struct {
	File       File
	Generation uint64
	Problem    string
}

// A SyncState is the kernel's connection sync as last seen.
type SyncState struct {
	Running []lvs.SyncDaemon
	Problem string
}

// A SettingsState says how the kernel's settings of IPVS stand. An empty problem means that they are as they should be.
type SettingsState struct{ Problem string }

// A Tick says that the moment of Effects.Next has come.
type Tick struct{}

func (Tick) on(*State) {}

// A Request tells the requests of operators apart.
type Request uint64

// Effects are what follows from events. The zero value of each member means that nothing is new.
type Effects struct {
	Lines    []Line
	Config   *configs.Config // is in force from now on
	Table    *Table
	Checks   *Checks
	Election *message.Order // the supervisor numbers it
	Files    []FileValue
	Replies  []Reply
	Question *Question
	// Draining says whether the connections of draining servers must be watched. It is always set.
	Draining bool
	// Next is when a Tick is due, whatever happens before. The zero value: never.
	Next time.Time
}

// A Line is a line of the log.
type Line struct {
	Level   Level
	Message string
	Pairs   []any // of keys and values
}

// A Level is how grave a log line is.
type Level uint8

// The levels.
const (
	Info Level = iota + 1
	Warn
	Error
)

// A Table is what changes in the table that the kernel should have.
type Table struct {
	Generation uint64
	// Full says that Set is the whole table, and that the kernel's is to be read and compared.
	Full   bool
	All    bool // every service of the kernel is ours
	Set    []lvs.Entry
	Remove []lvs.ServiceID
}

// Checks are all the targets that should be probed.
type Checks struct {
	Sequence uint64
	Targets  []healthcheck.Target
}

// A FileValue is what a file should hold.
type FileValue struct {
	File       File
	Generation uint64
	Value      any
}

// A Reply answers a request.
type Reply struct {
	Request Request
	Routers []string // of Failover and Release
	Server  string   // of ServerOrder: SERVICE/ADDRESS:PORT
	Err     error
	// NotRemembered is why what is in force would be forgotten by a restart; empty: it would not.
	NotRemembered string
}
