// SPDX-License-Identifier: Apache-2.0

package client

import "github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"

// The messages of the methods, and what they consist of.
type (
	Status          = api.Status
	Config          = api.Config
	Upgraded        = api.Upgraded
	TableFault      = api.TableFault
	Router          = api.Router
	Counters        = api.Counters
	HMAC            = api.HMAC
	SyncWait        = api.SyncWait
	TwoMasters      = api.TwoMasters
	Moment          = api.Moment
	Unanswered      = api.Unanswered
	PeerView        = api.PeerView
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
	Action          = api.Action
	ServerCommand   = api.ServerCommand
	ServerState     = api.ServerState
	RoutersDone     = api.RoutersDone
	PlanRequest     = api.PlanRequest
	Plan            = api.Plan
	PlanLine        = api.PlanLine
	PlanRow         = api.PlanRow
	Probed          = api.Probed
	ProbedCause     = api.ProbedCause
	ApplyRequest    = api.ApplyRequest
	RollbackRequest = api.RollbackRequest
	WaitingRevision = api.WaitingRevision
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
	PeerReply       = api.PeerReply
	Peer            = api.Peer
	PeerRouter      = api.PeerRouter
	PeerServer      = api.PeerServer
	PeerOrder       = api.PeerOrder
	PeerDrift       = api.PeerDrift
	PeerHalf        = api.PeerHalf
	Clock           = api.Clock
	Drill           = api.Drill
	DrillHeard      = api.DrillHeard
	DrillNews       = api.DrillNews
	DrillStep       = api.DrillStep
	DrillUnderWay   = api.DrillUnderWay
)

// The actions of a ServerCommand.
const (
	Drain     = api.Drain
	Undrain   = api.Undrain
	Disable   = api.Disable
	Enable    = api.Enable
	SetWeight = api.SetWeight
	Reset     = api.Reset
)
