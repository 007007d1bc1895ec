// SPDX-License-Identifier: Apache-2.0

package control

import (
	_ "embed"
	"net/http"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
)

// The paths are those of package api.
const (
	specPath         = api.SpecPath
	statusPath       = api.StatusPath
	reloadPath       = api.ReloadPath
	planPath         = api.PlanPath
	applyPath        = api.ApplyPath
	confirmPath      = api.ConfirmPath
	rollbackPath     = api.RollbackPath
	configPath       = api.ConfigPath
	failoverPath     = api.FailoverPath
	releasePath      = api.ReleasePath
	serversPath      = api.ServersPath
	historyPath      = api.HistoryPath
	drillPath        = api.DrillPath
	upgradePath      = api.UpgradePath
	eventsPath       = api.EventsPath
	peerStatusPath   = api.PeerStatusPath
	peerHistoryPath  = api.PeerHistoryPath
	peerPlanPath     = api.PeerPlanPath
	peerApplyPath    = api.PeerApplyPath
	peerConfirmPath  = api.PeerConfirmPath
	peerRollbackPath = api.PeerRollbackPath
)

// A route is one endpoint of the interface. The server, and the description in openapi.json, are made from the routes.
type route struct {
	method, path string
	summary      string
	access       access
	parameters   []parameter
	body, answer any // their zero values; nil: no body, or another answer than JSON
	handle       func(Director, *request)
}

// A parameter is one of a route's URL.
type parameter struct {
	name, summary string
	format        string // of the text: "date-time"
	required      bool
}

// serverParameter is the parameter of a request about a real server.
const serverParameter = api.ServerParameter

// routes are all endpoints.
var routes = []route{
	{
		method: http.MethodGet, path: specPath, access: reads, handle: handleSpec, answer: map[string]any(nil),
		summary: "This description.",
	}, {
		method: http.MethodGet, path: statusPath, access: reads, handle: handleStatus, answer: Status{},
		summary: "The state of the director.",
	}, {
		method: http.MethodPost, path: reloadPath, access: changes, handle: handleReload, answer: Applied{},
		summary: "Reads the configuration again. The answer says which configuration is in force, and what has changed.",
	}, {
		method: http.MethodPost, path: planPath, access: reads, handle: handlePlan, body: PlanRequest{}, answer: Plan{},
		summary: "Says what a reload would change. It changes nothing. A body with a configuration is for those who may change, " +
			"because the director reads the files that it names.",
	}, {
		method: http.MethodPost, path: applyPath, access: changes, handle: handleApply, body: ApplyRequest{}, answer: Applied{},
		summary: "Puts the configuration of a plan into force, if nothing came into force since the plan was made. With a time for the " +
			"confirmation, the director rolls back unless the configuration is confirmed.",
	}, {
		method: http.MethodPost, path: confirmPath, access: changes, handle: handleConfirm, answer: Applied{},
		summary: "Keeps the configuration that waits for confirmation.",
	}, {
		method: http.MethodPost, path: rollbackPath, access: changes, handle: handleRollback, body: RollbackRequest{}, answer: Applied{},
		summary: "Puts a former configuration into force again.",
	}, {
		method: http.MethodGet, path: configPath, access: reads, handle: handleConfigLog, answer: ConfigLog{},
		summary: "The configurations that were in force, the oldest first.",
	}, {
		method: http.MethodPost, path: configPath, access: changes, handle: handleConfigFiles, body: ConfigSelection{}, answer: ConfigFiles{},
		summary: "The files of a configuration that was in force. They may have passwords, so they are for those who may change.",
	}, {
		method: http.MethodPost, path: failoverPath, access: changes, handle: routersHandler(Director.Failover), body: Selection{}, answer: RoutersDone{},
		summary: "Hands virtual routers over to the peer, and puts them into standby. Without names, it hands over all of which this " +
			"director is master. It answers when the peer has taken over, or has not.",
	}, {
		method: http.MethodPost, path: releasePath, access: changes, handle: routersHandler(Director.Release), body: Selection{}, answer: RoutersDone{},
		summary: "Ends the standby of virtual routers; without names, of all.",
	}, {
		method: http.MethodGet, path: serversPath, access: reads, handle: handleServer, answer: ServerState{},
		parameters: []parameter{{name: serverParameter, summary: "SERVICE/ADDRESS or SERVICE/ADDRESS:PORT", required: true}},
		summary:    "The state of one real server.",
	}, {
		method: http.MethodPost, path: serversPath, access: changes, handle: handleServerCommand, body: ServerCommand{}, answer: ServerState{},
		summary: "Changes a real server. It answers with the server's state when the kernel's table has the change and the command is stored.",
	}, {
		method: http.MethodPost, path: drillPath, access: changes, handle: handleDrill, body: DrillNews{}, answer: DrillHeard{},
		summary: "Takes the news about a drill of this director: tandem drill tells when it begins, is undone, and ends. It makes no drill.",
	}, {
		method: http.MethodPost, path: upgradePath, access: changes, handle: handleUpgrade, answer: Status{},
		summary: "Replaces the director by the installed version in the same process. If this works, the connection ends without an answer: " +
			"ask for the status until upgraded has a higher count. An answer says why it does not work, and the director goes on as before.",
	}, {
		method: http.MethodGet, path: historyPath, access: reads, handle: handleHistory, answer: []Event(nil), parameters: queryParameters,
		summary: "What has happened, the oldest first.",
	}, {
		method: http.MethodGet, path: eventsPath, access: reads, handle: handleEvents, parameters: queryParameters,
		summary: "Server-sent events: those since then, and those that happen from now on. The type of each is its kind, the data is an " +
			"Event. A reader that is too slow gets an event of type dropped, and the stream ends. At most 16 readers can follow.",
	}, {
		method: http.MethodGet, path: peerStatusPath, access: reads, handle: askPeer[struct{}, Status](message.AskStatus), answer: Status{},
		summary: "The state of the other director of the pair, as it tells it.",
	}, {
		method: http.MethodGet, path: peerHistoryPath, access: reads, handle: handlePeerHistory, answer: []Event(nil), parameters: queryParameters,
		summary: "What has happened to the other director, the oldest first, with the times of its clock. The status has how its clock differs.",
	}, {
		method: http.MethodPost, path: peerPlanPath, access: reads, handle: handlePeerPlan, body: PlanRequest{}, answer: Plan{},
		summary: "Says what a reload of the other director would change. It reads its own file, unless the body has a configuration, and " +
			"[peer] accept_config of the other director allows that.",
	}, {
		method: http.MethodPost, path: peerApplyPath, access: changes, handle: askPeer[ApplyRequest, Applied](message.AskApply), body: ApplyRequest{}, answer: Applied{},
		summary: "Puts the configuration of a plan of the other director into force there. It must have a time for the confirmation: if the " +
			"channel is lost afterwards, the other director rolls back.",
	}, {
		method: http.MethodPost, path: peerConfirmPath, access: changes, handle: askPeer[WaitingRevision, Applied](message.AskConfirm), body: WaitingRevision{}, answer: Applied{},
		summary: "Keeps the configuration of the other director that waits for confirmation, if it is this revision there.",
	}, {
		method: http.MethodPost, path: peerRollbackPath, access: changes, handle: askPeer[WaitingRevision, Applied](message.AskRollback), body: WaitingRevision{}, answer: Applied{},
		summary: "Rolls back the configuration of the other director that waits for confirmation, if it is this revision there.",
	},
}

// queryParameters are the parameters of a HistoryQuery.
var queryParameters = []parameter{
	{name: sinceParameter, summary: "Only events since then. Without it, history has all that are kept, and events begins now.", format: "date-time"},
	{name: routerParameter, summary: "Only events of this virtual router."},
	{name: serviceParameter, summary: "Only events of this service and of its servers, or of one server: SERVICE/ADDRESS:PORT."},
}

// spec is the OpenAPI description of the routes. TestDescription writes it (-update) and fails if it does not fit the routes.
//
//go:embed openapi.json
var spec []byte

func handleSpec(_ Director, q *request) {
	q.w.Header().Set("Content-Type", "application/json")
	_, _ = q.w.Write(spec) // fails only if the client has disconnected
}

func handleStatus(d Director, q *request) { answer(q.w, http.StatusOK, d.Status()) }

func handleReload(d Director, q *request) {
	done, err := d.Reload(q.caller.name())
	if err != nil {
		answer(q.w, http.StatusUnprocessableEntity, Failure{Problems: problems(err)})
		return
	}
	answer(q.w, http.StatusOK, done)
}

func handleUpgrade(d Director, q *request) {
	if err := d.Upgrade(q.caller.name()); err != nil {
		answer(q.w, http.StatusUnprocessableEntity, Failure{Problems: problems(err)})
		return
	}
	answer(q.w, http.StatusOK, d.Status())
}

func handleApply(d Director, q *request) {
	var r ApplyRequest
	if q.decode(&r, maxRequest) {
		done, err := d.Apply(q.caller.name(), r)
		answerResult(q.w, done, err)
	}
}

func handleConfirm(d Director, q *request) {
	done, err := d.Confirm(q.caller.name())
	answerResult(q.w, done, err)
}

func handleRollback(d Director, q *request) {
	var r RollbackRequest
	if q.decode(&r, maxRequest) {
		done, err := d.Rollback(q.caller.name(), r)
		answerResult(q.w, done, err)
	}
}

func handleConfigLog(d Director, q *request) {
	log, err := d.ConfigLog()
	answerResult(q.w, log, err)
}

func handleConfigFiles(d Director, q *request) {
	var r ConfigSelection
	if q.decode(&r, maxRequest) {
		files, err := d.ConfigFiles(r)
		answerResult(q.w, files, err)
	}
}

// handlePlan reads a configuration only of a caller who may change: it can be large, and it can name the key files of others.
func handlePlan(d Director, q *request) {
	if r, ok := q.planRequest(); ok {
		plan, err := d.Plan(r)
		answerResult(q.w, plan, err)
	}
}

// planRequest reads the body of a plan. If that fails it answers with the error and returns false.
func (q *request) planRequest() (r PlanRequest, ok bool) {
	size, refused := int64(maxPlanRequest), q.allow(q.caller, changes)
	if refused != nil {
		size = maxRequest
	}
	if !q.decode(&r, size) {
		return r, false
	}
	if refused != nil && r.File+r.Text != "" {
		answer(q.w, http.StatusForbidden, Failure{Problems: append(problems(refused), "without -c, tandem plan is for all who may read")})
		return r, false
	}
	return r, true
}

// routersHandler handles a command about virtual routers. A client that disconnects does not interrupt the command.
func routersHandler(command func(d Director, by string, routers []string) (RoutersDone, error)) func(Director, *request) {
	return func(d Director, q *request) {
		var s Selection
		if !q.decode(&s, maxRequest) {
			return
		}
		done, err := command(d, q.caller.name(), s.Routers)
		if err != nil {
			answer(q.w, http.StatusConflict, Failure{Problems: problems(err), Routers: done.Routers, NotRemembered: done.NotRemembered})
			return
		}
		answer(q.w, http.StatusOK, done)
	}
}

func handleServer(d Director, q *request) {
	state, err := d.Server(q.r.URL.Query().Get(serverParameter))
	answerResult(q.w, state, err)
}

func handleDrill(d Director, q *request) {
	var n DrillNews
	if !q.decode(&n, maxRequest) {
		return
	}
	if n.Drill.By == "" {
		n.Drill.By = q.caller.name()
	}
	answerResult(q.w, DrillHeard{}, d.TellDrill(n))
}

func handleServerCommand(d Director, q *request) {
	var c ServerCommand
	if !q.decode(&c, maxRequest) {
		return
	}
	state, err := d.CommandServer(q.caller.name(), c)
	answerResult(q.w, state, err)
}
