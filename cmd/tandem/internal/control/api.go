// SPDX-License-Identifier: Apache-2.0

// Package control sends requests and commands to a running director: JSON over HTTP over a unix socket.
package control

import "github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"

// The messages. Package api defines them, for packages that must not import sockets.
type (
	Status        = api.Status
	Config        = api.Config
	Router        = api.Router
	Counters      = api.Counters
	HMAC          = api.HMAC
	Refusal       = api.Refusal
	Path          = api.Path
	Asked         = api.Asked
	Answer        = api.Answer
	Track         = api.Track
	Service       = api.Service
	Server        = api.Server
	Check         = api.Check
	Stats         = api.Stats
	Sync          = api.Sync
	Hook          = api.Hook
	HookRun       = api.HookRun
	Failure       = api.Failure
	Action        = api.Action
	ServerCommand = api.ServerCommand
	ServerState   = api.ServerState
	PeerReply     = api.PeerReply
	Peer          = api.Peer
	PeerRouter    = api.PeerRouter
	PeerServer    = api.PeerServer
	PeerOrder     = api.PeerOrder
	PeerDrift     = api.PeerDrift
	PeerHalf      = api.PeerHalf
	Clock         = api.Clock
	PlanRequest   = api.PlanRequest
	Plan          = api.Plan
	PlanLine      = api.PlanLine
	PlanRow       = api.PlanRow
	Probed        = api.Probed
	Event         = api.Event
	HistoryQuery  = api.HistoryQuery
	EventStream   = api.EventStream
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
