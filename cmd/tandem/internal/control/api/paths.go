// SPDX-License-Identifier: Apache-2.0

package api

// The paths of the control socket's HTTP interface.
const (
	SpecPath     = "/openapi.json"
	StatusPath   = "/v1/status"
	ReloadPath   = "/v1/reload"
	PlanPath     = "/v1/plan"
	ApplyPath    = "/v1/apply"
	ConfirmPath  = "/v1/confirm"
	RollbackPath = "/v1/rollback"
	ConfigPath   = "/v1/config"
	FailoverPath = "/v1/failover"
	ReleasePath  = "/v1/release"
	ServersPath  = "/v1/servers"
	HistoryPath  = "/v1/history"
	DrillPath    = "/v1/drill"
	UpgradePath  = "/v1/upgrade"
	EventsPath   = "/v1/events"

	// What follows is asked of the other director of the pair.
	PeerPath         = "/v1/peer/"
	PeerStatusPath   = PeerPath + "status"
	PeerHistoryPath  = PeerPath + "history"
	PeerPlanPath     = PeerPath + "plan"
	PeerApplyPath    = PeerPath + "apply"
	PeerConfirmPath  = PeerPath + "confirm"
	PeerRollbackPath = PeerPath + "rollback"
)

// The names of parameters: of a HistoryQuery, and of a request about a real server.
const (
	SinceParameter   = "since"
	RouterParameter  = "router"
	ServiceParameter = "service"
	ServerParameter  = "server"
)

// DroppedEvent is the type of the last event of a stream whose reader was too slow.
const DroppedEvent = "dropped"
