// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/bounded"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
)

// limits are the limits for clients. A hand-over takes three advertisement intervals and more; an interval can be 41 s.
var limits = bounded.Limits{Connections: 128, Patience: 5 * time.Second, Answer: 5 * time.Minute}

// shutdownGrace is the time that answers in progress get when the server ends.
const shutdownGrace = time.Second

// A Director answers the questions and carries out the commands of the control socket. The first argument of a command is the
// user who gave it.
type Director interface {
	Status() Status
	// Reload reads the configuration again. An error has a line for each mistake; the old configuration stays in force.
	Reload(by string) (Applied, error)
	// Plan says what a reload would change. An error has a line for each mistake.
	Plan(PlanRequest) (Plan, error)
	// Apply puts the configuration of a plan into force.
	Apply(by string, r ApplyRequest) (Applied, error)
	// Confirm says that the configuration in force stays, which waits for confirmation.
	Confirm(by string) (Applied, error)
	// Rollback puts a former configuration in force again.
	Rollback(by string, r RollbackRequest) (Applied, error)
	// ConfigLog returns the configurations that were in force.
	ConfigLog() (ConfigLog, error)
	// ConfigFiles returns the files of one of them. They may have passwords.
	ConfigFiles(ConfigSelection) (ConfigFiles, error)
	// Failover hands the named virtual routers over. Without names, it hands over all of which this director is master. It
	// returns those that it handed over. The error names those that nobody took over; this director stays their master.
	Failover(by string, routers []string) (RoutersDone, error)
	// Release ends the standby of the named virtual routers. Without names, it ends the standby of all. It returns those that
	// were in standby.
	Release(by string, routers []string) (RoutersDone, error)
	// Upgrade replaces this director by the installed version. It returns only if this fails.
	Upgrade(by string) error
	// CommandServer carries out a command about a real server, and returns the server's state afterwards.
	CommandServer(by string, c ServerCommand) (ServerState, error)
	// TellDrill takes the news about a drill of this director.
	TellDrill(n DrillNews) error
	// History returns the selected events, the oldest first.
	History(HistoryQuery) ([]Event, error)
	// Events returns the selected events so far, and those that happen from then on.
	Events(HistoryQuery) (EventStream, error)
	// AskPeer asks the other director of the pair, and returns its answer as JSON. An error that is ErrUnanswered says that the other
	// director may have carried out the command.
	AskPeer(ctx context.Context, by string, to message.Ability, question any) ([]byte, error)
	// Server returns the state of a real server, which is named SERVICE/ADDRESS or SERVICE/ADDRESS:PORT.
	Server(name string) (ServerState, error)
}

// A request is what a handler works on.
type request struct {
	w      http.ResponseWriter
	r      *http.Request
	caller *caller
	*rights
}

// Serve answers requests at s until ctx ends, and removes the socket.
func Serve(ctx context.Context, s *Socket, d Director) error {
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.HandleFunc(r.method+" "+r.path, func(w http.ResponseWriter, req *http.Request) {
			q := &request{w, req, callerIn(req.Context()), s.rights.Load()}
			if err := q.allow(q.caller, r.access); err != nil {
				answer(w, http.StatusForbidden, Failure{Problems: problems(err)})
				return
			}
			r.handle(d, q)
		})
	}
	server, l := limits.Server(mux, s)
	server.ConnContext = withCaller
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

// maxRequest bounds the body of a request, and maxPlanRequest that of a request with a configuration: 16 MiB, of which JSON
// writes each byte in six at most.
const (
	maxRequest     = 1 << 20
	maxPlanRequest = 97 << 20
)

// decode reads a request's body, of at most that size, into v. If that fails it answers with the error and returns false.
func (q *request) decode(v any, size int64) bool {
	in := json.NewDecoder(http.MaxBytesReader(q.w, q.r.Body, size))
	in.DisallowUnknownFields()
	if err := in.Decode(v); err != nil {
		answer(q.w, http.StatusBadRequest, Failure{Problems: []string{"failed to decode the request: " + err.Error()}})
		return false
	}
	return true
}

// answerResult answers with the body, or with the error if there is one.
func answerResult(w http.ResponseWriter, body any, err error) {
	if err != nil {
		answer(w, http.StatusConflict, Failure{Problems: problems(err), Unanswered: errors.Is(err, ErrUnanswered)})
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
