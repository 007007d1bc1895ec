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
)

// The resources of the control socket.
const (
	statusPath   = "/v1/status"
	reloadPath   = "/v1/reload"
	failoverPath = "/v1/failover"
	releasePath  = "/v1/release"
	serversPath  = "/v1/servers"
)

// shutdownGrace is what answers under way get when the server ends.
const shutdownGrace = time.Second

// A Director is what the control socket controls.
type Director interface {
	Status() Status
	// Reload reads the configuration again; where that fails nothing has changed and the error has a line a mistake.
	Reload() error
	// Failover hands the named virtual routers over, all that this director is master of if none is named, and returns
	// those that it handed over. The error names those that nobody took, of which it is master still.
	Failover(routers []string) (RoutersDone, error)
	// Release lets the named virtual routers, or all, take part again as configured, and returns those that stood back.
	Release(routers []string) (RoutersDone, error)
	// CommandServer gives an order about a real server and returns how that stands when the order is carried out.
	CommandServer(ServerCommand) (ServerState, error)
	// Server tells how a real server stands: SERVICE/ADDRESS or SERVICE/ADDRESS:PORT.
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

// Listen opens the control socket at path for the owner and group of this process. It makes the folder, and replaces
// a socket that a killed director left; one that answers is an error.
func Listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of the control socket: %w", err)
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("another director answers at the control socket %s: stop it, or give this one a [control] socket of its own", path)
	}
	if errors.Is(err, unix.ECONNREFUSED) {
		if err := removeSocket(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(fmt.Errorf("set the mode of the control socket: %w", err), l.Close())
	}
	return l, nil
}

// removeSocket removes a socket that nobody listens at; connect refuses in the same way for any other kind of file.
func removeSocket(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("look at the control socket: %w", err)
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s is there and is no socket: move it away, or set another [control] socket", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove the left-over control socket: %w", err)
	}
	return nil
}

// Serve answers at l until ctx ends, and removes the socket.
func Serve(ctx context.Context, l net.Listener, d Director) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+statusPath, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, d.Status())
	})
	mux.HandleFunc("POST "+reloadPath, func(w http.ResponseWriter, _ *http.Request) {
		if err := d.Reload(); err != nil {
			answer(w, http.StatusUnprocessableEntity, Failure{Problems: problems(err)})
			return
		}
		answer(w, http.StatusOK, d.Status().Config)
	})
	mux.HandleFunc("POST "+failoverPath, onRouters(d.Failover))
	mux.HandleFunc("POST "+releasePath, onRouters(d.Release))
	mux.HandleFunc("GET "+serversPath, func(w http.ResponseWriter, r *http.Request) {
		state, err := d.Server(r.URL.Query().Get("server"))
		reply(w, state, err)
	})
	mux.HandleFunc("POST "+serversPath, func(w http.ResponseWriter, r *http.Request) {
		var c ServerCommand
		if !understand(w, r, &c) {
			return
		}
		state, err := d.CommandServer(c)
		reply(w, state, err)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve the control socket: %w", err)
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

// maxRequest bounds the body of a request.
const maxRequest = 1 << 20

// onRouters handles a command about virtual routers. It is carried out also if the client goes away meanwhile.
func onRouters(command func([]string) (RoutersDone, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var s Selection
		if !understand(w, r, &s) {
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

// understand reads a request's body into v, or answers that it cannot.
func understand(w http.ResponseWriter, r *http.Request, v any) bool {
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	in.DisallowUnknownFields()
	if err := in.Decode(v); err != nil {
		answer(w, http.StatusBadRequest, Failure{Problems: []string{"the request is not understood: " + err.Error()}})
		return false
	}
	return true
}

// reply answers what came of a command.
func reply(w http.ResponseWriter, body any, err error) {
	if err != nil {
		answer(w, http.StatusConflict, Failure{Problems: problems(err)})
		return
	}
	answer(w, http.StatusOK, body)
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client went away: nobody is left to tell
}

// problems are the sentences of an error: each of several that are joined. What wraps several is one.
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
