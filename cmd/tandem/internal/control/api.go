// SPDX-License-Identifier: Apache-2.0

// Package control sends requests and commands to a running director: JSON over HTTP over a unix socket.
package control

import "github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"

// The messages. Package api defines them, for packages that must not import sockets.
type (
	Status          = api.Status
	Config          = api.Config
	TableFault      = api.TableFault
	Router          = api.Router
	Counters        = api.Counters
	HMAC            = api.HMAC
	Refusal         = api.Refusal
	Path            = api.Path
	Asked           = api.Asked
	Answer          = api.Answer
	Track           = api.Track
	Service         = api.Service
	Server          = api.Server
	Check           = api.Check
	Stats           = api.Stats
	Sync            = api.Sync
	Hook            = api.Hook
	HookRun         = api.HookRun
	Failure         = api.Failure
	Action          = api.Action
	ServerCommand   = api.ServerCommand
	ServerState     = api.ServerState
	PlanRequest     = api.PlanRequest
	Plan            = api.Plan
	PlanLine        = api.PlanLine
	PlanRow         = api.PlanRow
	Probed          = api.Probed
	ProbedCause     = api.ProbedCause
	ApplyRequest    = api.ApplyRequest
	RollbackRequest = api.RollbackRequest
	Applied         = api.Applied
	Wait            = api.Wait
	Revision        = api.Revision
	ConfigLog       = api.ConfigLog
	ConfigSelection = api.ConfigSelection
	ConfigFiles     = api.ConfigFiles
	ConfigFile      = api.ConfigFile
	Event           = api.Event
	EventKind       = api.EventKind
	Harm            = api.Harm
	HistoryQuery    = api.HistoryQuery
	EventStream     = api.EventStream
	PeerReply       = api.PeerReply
	Peer            = api.Peer
	PeerRouter      = api.PeerRouter
	PeerServer      = api.PeerServer
	PeerOrder       = api.PeerOrder
	PeerDrift       = api.PeerDrift
	PeerHalf        = api.PeerHalf
	Clock           = api.Clock
)

// The actions of operators on a real server.
const (
	Drain     = api.Drain
	Undrain   = api.Undrain
	Disable   = api.Disable
	Enable    = api.Enable
	SetWeight = api.SetWeight
	Reset     = api.Reset
)

// The limits of how long a configuration can wait for confirmation.
const (
	MinConfirm = api.MinConfirm
	MaxConfirm = api.MaxConfirm
)
