// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/bounded"
)

// The paths of the control socket's HTTP interface.
const (
	statusPath   = "/v1/status"
	reloadPath   = "/v1/reload"
	planPath     = "/v1/plan"
	applyPath    = "/v1/apply"
	confirmPath  = "/v1/confirm"
	rollbackPath = "/v1/rollback"
	configPath   = "/v1/config"
	failoverPath = "/v1/failover"
	releasePath  = "/v1/release"
	serversPath  = "/v1/servers"
	historyPath  = "/v1/history"
	eventsPath   = "/v1/events"
)

// limits are the limits for clients. A hand-over takes three advertisement intervals and more; an interval can be 41 s.
var limits = bounded.Limits{Connections: 128, Patience: 5 * time.Second, Answer: 5 * time.Minute}

// shutdownGrace is the time that answers in progress get when the server ends.
const shutdownGrace = time.Second

// A Director answers the questions and carries out the commands of the control socket.
type Director interface {
	Status() Status
	// Reload reads the configuration again. An error has a line for each mistake; the old configuration stays in force.
	Reload() (Applied, error)
	// Plan says what a reload would change. An error has a line for each mistake.
	Plan(PlanRequest) (Plan, error)
	// Apply puts the configuration of a plan into force.
	Apply(ApplyRequest) (Applied, error)
	// Confirm says that the configuration in force stays, which waits for confirmation.
	Confirm() (Applied, error)
	// Rollback puts a former configuration in force again.
	Rollback(RollbackRequest) (Applied, error)
	// ConfigLog returns the configurations that were in force.
	ConfigLog() (ConfigLog, error)
	// ConfigFiles returns the files of one of them. They may have passwords.
	ConfigFiles(ConfigSelection) (ConfigFiles, error)
	// Failover hands the named virtual routers over. Without names, it hands over all of which this director is master. It
	// returns those that it handed over. The error names those that nobody took over; this director stays their master.
	Failover(routers []string) (RoutersDone, error)
	// Release ends the standby of the named virtual routers. Without names, it ends the standby of all. It returns those that
	// were in standby.
	Release(routers []string) (RoutersDone, error)
	// CommandServer carries out a command about a real server, and returns the server's state afterwards.
	CommandServer(ServerCommand) (ServerState, error)
	// History returns the selected events, the oldest first.
	History(HistoryQuery) ([]Event, error)
	// Events returns the selected events so far, and those that happen from then on.
	Events(HistoryQuery) (EventStream, error)
	// Server returns the state of a real server, which is named SERVICE/ADDRESS or SERVICE/ADDRESS:PORT.
	Server(name string) (ServerState, error)
}

// A Selection is the body of a request about virtual routers.
type Selection struct {
	Routers []string `json:"routers"` // empty: all
}

// A RoutersDone is the answer to a request about virtual routers.
type RoutersDone struct {
	Routers       []string `json:"routers"`                  // those for which the command was carried out
	NotRemembered string   `json:"not_remembered,omitempty"` // as in ServerState
}

// Listen opens the control socket at path for the owner and group of this process. It creates the folder, and replaces
// the socket of a director that was killed. A socket at which a director answers is an error.
func Listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("failed to create the folder of the control socket: %w", err)
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("another director answers at the control socket %s: stop it, or give this director another [control] socket", path)
	}
	if errors.Is(err, unix.ECONNREFUSED) {
		if err := removeSocket(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("failed to open the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(fmt.Errorf("failed to set the mode of the control socket: %w", err), l.Close())
	}
	return l, nil
}

// removeSocket removes a socket where nobody listens. Connecting to a regular file fails with the same error, so it checks
// that the path is a socket.
func removeSocket(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("failed to examine the control socket: %w", err)
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s exists and is not a socket: move it away, or configure another [control] socket", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("failed to remove the stale control socket: %w", err)
	}
	return nil
}

// Serve answers requests at l until ctx ends, and removes the socket.
func Serve(ctx context.Context, l net.Listener, d Director) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+statusPath, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, d.Status())
	})
	mux.HandleFunc("POST "+reloadPath, func(w http.ResponseWriter, _ *http.Request) {
		done, err := d.Reload()
		if err != nil {
			answer(w, http.StatusUnprocessableEntity, Failure{Problems: problems(err)})
			return
		}
		answer(w, http.StatusOK, done)
	})
	handleConfig(mux, d)
	mux.HandleFunc("POST "+planPath, func(w http.ResponseWriter, r *http.Request) {
		var request PlanRequest
		if !decodeAtMost(w, r, &request, maxPlanRequest) {
			return
		}
		plan, err := d.Plan(request)
		answerResult(w, plan, err)
	})
	mux.HandleFunc("POST "+failoverPath, routersHandler(d.Failover))
	mux.HandleFunc("POST "+releasePath, routersHandler(d.Release))
	mux.HandleFunc("GET "+serversPath, func(w http.ResponseWriter, r *http.Request) {
		state, err := d.Server(r.URL.Query().Get("server"))
		answerResult(w, state, err)
	})
	mux.HandleFunc("POST "+serversPath, func(w http.ResponseWriter, r *http.Request) {
		var c ServerCommand
		if !decode(w, r, &c) {
			return
		}
		state, err := d.CommandServer(c)
		answerResult(w, state, err)
	})
	handleHistory(mux, d)
	server, l := limits.Server(mux, l)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("failed to serve the control socket: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if server.Shutdown(grace) != nil {
		_ = server.Close()
	}
	<-done
	return nil
}

// handleConfig handles the commands about the configuration. The files of a configuration may have passwords, so they are not
// for those who may only read: they are the answer to a command.
func handleConfig(mux *http.ServeMux, d Director) {
	mux.HandleFunc("POST "+applyPath, func(w http.ResponseWriter, r *http.Request) {
		var request ApplyRequest
		if decode(w, r, &request) {
			done, err := d.Apply(request)
			answerResult(w, done, err)
		}
	})
	mux.HandleFunc("POST "+confirmPath, func(w http.ResponseWriter, _ *http.Request) {
		done, err := d.Confirm()
		answerResult(w, done, err)
	})
	mux.HandleFunc("POST "+rollbackPath, func(w http.ResponseWriter, r *http.Request) {
		var request RollbackRequest
		if decode(w, r, &request) {
			done, err := d.Rollback(request)
			answerResult(w, done, err)
		}
	})
	mux.HandleFunc("GET "+configPath, func(w http.ResponseWriter, _ *http.Request) {
		log, err := d.ConfigLog()
		answerResult(w, log, err)
	})
	mux.HandleFunc("POST "+configPath, func(w http.ResponseWriter, r *http.Request) {
		var request ConfigSelection
		if decode(w, r, &request) {
			files, err := d.ConfigFiles(request)
			answerResult(w, files, err)
		}
	})
}

// maxRequest bounds the body of a request, and maxPlanRequest that of a request with a configuration: 16 MiB, of which JSON
// writes each byte in six at most.
const (
	maxRequest     = 1 << 20
	maxPlanRequest = 97 << 20
)

// routersHandler handles a command about virtual routers. A client that disconnects does not interrupt the command.
func routersHandler(command func([]string) (RoutersDone, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var s Selection
		if !decode(w, r, &s) {
			return
		}
		done, err := command(s.Routers)
		if err != nil {
			answer(w, http.StatusConflict, Failure{Problems: problems(err), Routers: done.Routers, NotRemembered: done.NotRemembered})
			return
		}
		answer(w, http.StatusOK, done)
	}
}

// decode reads a request's body into v. If that fails it answers with the error and returns false.
func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	return decodeAtMost(w, r, v, maxRequest)
}

// decodeAtMost is decode for a body of at most that size.
func decodeAtMost(w http.ResponseWriter, r *http.Request, v any, size int64) bool {
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, size))
	in.DisallowUnknownFields()
	if err := in.Decode(v); err != nil {
		answer(w, http.StatusBadRequest, Failure{Problems: []string{"failed to decode the request: " + err.Error()}})
		return false
	}
	return true
}

// answerResult answers with the body, or with the error if there is one.
func answerResult(w http.ResponseWriter, body any, err error) {
	if err != nil {
		answer(w, http.StatusConflict, Failure{Problems: problems(err)})
		return
	}
	answer(w, http.StatusOK, body)
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // fails only if the client has disconnected
}

// problems returns the sentences of an error: one for each joined error. An error that wraps joined ones is one sentence.
func problems(err error) []string {
	many, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []string{err.Error()}
	}
	var all []string
	for _, e := range many.Unwrap() {
		all = append(all, problems(e)...)
	}
	return all
}
