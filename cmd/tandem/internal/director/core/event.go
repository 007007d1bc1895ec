// SPDX-License-Identifier: Apache-2.0

package core

import (
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/hooks"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	peermessage "github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

// An Event is something that changes a director's state. Events are values: nobody changes them later.
type Event interface{ on(*State) }

// A Start is the first event: the configuration, and the files of earlier processes.
type Start struct {
	Config      *configs.Config
	Numbers     map[string]Number // of the tracked files, by path
	Maintenance Maintenance
	// From the state directory:
	Overrides  map[string]Override
	Standby    []string
	Drains     Drains
	Hooks      hooks.Records
	LastDrills []api.Drill // of each kind
	// Unread are the errors of files in the state directory that could not be read.
	Unread []string
	// Unusable is why the state directory cannot be used at all. Empty: it can.
	Unusable string
	Origin   *Origin // nil: nothing is known about revisions
}

// A TableRead is the kernel's table when the director starts, or before a reload.
type TableRead struct {
	Entries []lvs.Entry
	Owned   map[lvs.ServiceID]bool // services that this or an earlier process added
}

// A Reload is a new configuration without mistakes. The answer says whether it replaces the present one.
type Reload struct {
	Request Request
	By      string // the user who ordered it; empty: not known
	Config  *configs.Config
	Numbers map[string]Number
	Change  *Change // nil: it gets no revision
	// Found is the kernel's table, read just before. Without it, the servers of new services count as not in the table.
	Found TableRead

	Maintenance Maintenance
}

// A ReloadRefused is a new configuration with mistakes. It is only counted, and recorded in the history.
type ReloadRefused struct {
	By      string // as in Reload
	Problem string
}

// A Verdict is the status of a check that has changed.
type Verdict struct {
	ID     string
	Status healthcheck.TargetStatus
}

// Statuses are the statuses of all checks, after the runner has adopted the targets of that sequence.
type Statuses struct {
	Sequence uint64
	All      map[string]healthcheck.TargetStatus
}

// A Report is the latest state of the election.
type Report struct{ message.Report }

// A ServerOrder is an operator's command about a real server.
type ServerOrder struct {
	Request Request
	By      string // as in Reload
	Server  string // SERVICE/ADDRESS or SERVICE/ADDRESS:PORT
	Action  api.Action
	Weight  int
	Local   bool // not on the other director
	Drill   bool // see forDrill
}

// A Failover hands the named virtual routers over to the peer. Without names, it hands over all virtual routers whose master
// is this director. They stay in standby until a Release.
type Failover struct {
	Request Request
	By      string // as in Reload
	Routers []string
}

// A Release lets the named virtual routers, or all, take part in the election again.
type Release struct {
	Request Request
	By      string // as in Reload
	Routers []string
}

// A TableDone is the result of writing the kernel's table. If the problem is empty, the kernel has the table of that
// generation.
type TableDone struct {
	Generation uint64
	Problem    string
	// Refused are the services that the kernel refuses. If there is a problem and Refused is not empty, all other services
	// are as in that generation. If there is a problem and Refused is empty, the state of the table is not known.
	Refused map[lvs.ServiceID]Refusal
	// NotRemembered is why the file of our own services could not be written. Empty: it was written.
	NotRemembered string
	// Repairs counts the changes of other programs that were undone. Repaired are the first of them, in words.
	Repairs  int
	Repaired []string
	// Replaced are the changes that replaced what another program had set up, in services that became ours.
	Replaced []lvs.Change
}

// Connections are the services in the kernel with the numbers of their connections.
type Connections struct{ Rows []lvs.Row }

// Numbers are the present contents of the tracked files, by path.
type Numbers map[string]Number

// A Stored is the result of writing a file. If the problem is empty, the value of that generation is on the disk.
type Stored struct {
	File       File
	Generation uint64
	Problem    string
}

// A SyncState is the latest state of the kernel's connection sync.
type SyncState struct {
	Running []lvs.SyncDaemon
	Problem string
}

// A SettingsState is the state of the kernel's settings of IPVS. If the problem is empty, they are as they should be.
// Timeouts is the same about the timeouts of connections.
type SettingsState struct{ Problem, Timeouts string }

// A Tick is the event that the time of Effects.Next has come.
type Tick struct{}

func (Tick) on(*State) {}

// A Request identifies an operator's request.
type Request uint64

// Effects are what a step wants the workers to do. The zero value of a member means that nothing is new.
type Effects struct {
	Lines    []Line
	History  *Recorded       // what has happened, with causes
	Config   *configs.Config // is in force from now on
	Table    *Table
	Checks   *Checks
	Hurry    []string       // the IDs of targets that should be probed at once
	Election *message.Order // the supervisor numbers it
	Files    []FileValue
	Replies  []Reply
	Drill    *DrillRun // nil: no drill of the schedule begins
	Question *Question
	Segments Segments          // nil: unchanged
	Hooks    []hooks.Run       // to be started
	Peer     *peermessage.View // for the other director
	// Draining says whether connections must be counted: those of draining servers, or all, because one of the directors waits for
	// the other one's. It is always set.
	Draining bool
	// Watch says whether clients' connections must be looked at. It is always set.
	Watch bool
	// Count are the services whose servers' counters must be read. It is always set.
	Count []lvs.ServiceID
	// Next is when the next Tick is due. The zero value: never.
	Next time.Time
}

// Recorded are new events for the history.
type Recorded struct {
	Events []api.Event
	Upto   uint64 // the number of the last event, counted from 1 at the start
	Lost   uint64 // events before these that are not recorded anywhere, because the disk was too slow
}

// A Line is a line of the log.
type Line struct {
	Level   Level
	Message string
	Pairs   []any // of keys and values
}

// A Level is the level of a log line.
type Level uint8

// The levels.
const (
	Info Level = iota + 1
	Warn
	Error
)

// A Table is a change of the table that the kernel should have.
type Table struct {
	Generation uint64
	// Full says that Set is the whole table: the kernel's table must be read and compared with it.
	Full   bool
	All    bool // every service in the kernel is ours, also those of other programs
	Set    []lvs.Entry
	Remove []lvs.ServiceID
}

// Checks are all targets that should be probed.
type Checks struct {
	Sequence uint64
	Targets  []healthcheck.Target
}

// A FileValue is the new content of a file.
type FileValue struct {
	File       File
	Generation uint64
	Value      any
}

// A Reply answers a request.
type Reply struct {
	Request Request
	Routers []string   // of Failover and Release
	Server  string     // of ServerOrder: SERVICE/ADDRESS:PORT
	Peer    *PeerReply // of ServerOrder; nil: there is no other director to tell
	Err     error
	// NotRemembered is why a restart would forget the command. Empty: it would not.
	NotRemembered string
	Notes         []string // of Failover: what its user should know
}
