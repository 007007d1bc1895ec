// SPDX-License-Identifier: Apache-2.0

// Package control sends requests and commands to a running director: JSON over HTTP over a unix socket.
package control

import (
	"github.com/tandem-lvs/tandem/cmd/tandem/client"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// A Client is that of package client, which other programs can use too.
type Client = client.Client

// NewClient returns a client of the director at the unix socket path.
func NewClient(path string) *Client { return client.New(path) }

// The errors of a Client.
var (
	ErrNoDirector = client.ErrNoDirector
	ErrSilent     = client.ErrSilent
	ErrBroken     = client.ErrBroken
	ErrDropped    = client.ErrDropped
	ErrUnanswered = client.ErrUnanswered
)

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
	SyncWait        = api.SyncWait
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
	Selection       = api.Selection
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
	Upgraded        = api.Upgraded
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
	Drill           = api.Drill
	DrillNews       = api.DrillNews
	DrillHeard      = api.DrillHeard
	DrillUnderWay   = api.DrillUnderWay
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
