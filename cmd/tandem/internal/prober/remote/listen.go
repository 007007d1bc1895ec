// SPDX-License-Identifier: Apache-2.0

// Package remote lets another machine drive a probe: a director that is about to fail over, on purpose or in a drill, asks a client's
// machine to watch.
//
// Both have the same key file. The connection is TLS 1.3 with a key that follows from it, see peer.SharedKey, and carries HTTP:
//
//	POST /v1/probe  {"for_seconds": 30}  begins a probe
//	GET  /v1/probe                       how it is going
//	POST /v1/stop                        ends it
//	GET  /v1/report                      the report of the last one
//
// What is asked is up to the machine that asks: the other one only says when. So the key is not a key to a load generator. A probe
// goes on if the connection breaks: in a drill that may be the very fault. The report stays until the next probe begins.
package remote

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober/ask"
)

// keyUse tells the key of this package from that of the channel between directors, which may have the same key file.
const keyUse = "tandem probe ed25519 1"

const (
	maxConnections = 16
	// requestTime is the time for a request, with the handshake before it.
	requestTime = 5 * time.Second
	lookEvery   = 200 * time.Millisecond
)

// An Order begins a probe.
type Order struct {
	For prober.Seconds `json:"for_seconds"` // more than 0, and at most the listener's own limit
}

// A State is how a listener is doing.
type State struct {
	Now     time.Time   `json:"now"`
	Target  string      `json:"target"`
	Running bool        `json:"running"`
	Live    prober.Live `json:"live"` // of the probe under way
}

// A Listener probes when it is told to.
type Listener struct {
	Probe ask.Probe         // what it asks. Its For is the longest time.
	Log   func(line string) // tells the user when a probe begins and ends

	ctx context.Context
	run sync.WaitGroup

	mu     sync.Mutex
	stop   context.CancelFunc // of the probe under way; nil: there is none
	live   prober.Live
	report *prober.Report
	err    error // why there is no report
}

// Serve answers until ctx is done. It closes the listener of connections.
func (l *Listener) Serve(ctx context.Context, connections net.Listener, key []byte) error {
	secure, err := tlsConfig(key)
	if err != nil {
		return errors.Join(err, connections.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	l.ctx = ctx
	defer l.run.Wait()
	defer cancel()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/probe", l.begin)
	mux.HandleFunc("GET /v1/probe", l.look)
	mux.HandleFunc("POST /v1/stop", l.end)
	mux.HandleFunc("GET /v1/report", l.last)
	server := &http.Server{
		Handler: http.MaxBytesHandler(mux, 4096), TLSConfig: secure, ReadTimeout: requestTime, WriteTimeout: 2 * requestTime,
		IdleTimeout: time.Minute, MaxHeaderBytes: 8192, ErrorLog: log.New(io.Discard, "", 0), // who has no key is not worth a line each
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ServeTLS(netutil.LimitListener(connections, maxConnections), "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// answer writes a value, or the error of a request.
func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the other side has gone
}

func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	answer(w, status, map[string]string{"error": fmt.Sprintf(format, args...)})
}

// begin begins a probe.
func (l *Listener) begin(w http.ResponseWriter, r *http.Request) {
	var order Order
	if err := json.NewDecoder(r.Body).Decode(&order); err != nil {
		refuse(w, http.StatusBadRequest, "the order is not JSON: %v", err)
		return
	}
	if order.For <= 0 || order.For > prober.Seconds(l.Probe.For) {
		refuse(w, http.StatusBadRequest, "a probe of %s: this listener probes for at most %s", order.For, l.Probe.For)
		return
	}
	if status, why := l.start(time.Duration(order.For), r.RemoteAddr); why != "" {
		refuse(w, status, "%s", why)
		return
	}
	answer(w, http.StatusOK, State{Now: time.Now(), Target: l.Probe.Target.String(), Running: true})
}

// start starts a probe, or returns why it cannot.
func (l *Listener) start(span time.Duration, from string) (status int, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stop != nil {
		return http.StatusConflict, "another probe is under way"
	}
	if l.ctx.Err() != nil {
		return http.StatusServiceUnavailable, "the listener is ending"
	}
	ctx, stop := context.WithCancel(l.ctx)
	l.stop, l.live, l.report, l.err = stop, prober.Live{}, nil, nil
	l.run.Go(func() { l.probe(ctx, span, from) })
	return 0, ""
}

// probe runs a probe.
func (l *Listener) probe(ctx context.Context, span time.Duration, from string) {
	l.Log(fmt.Sprintf("a probe begins: %s, for %s, ordered from %s", l.Probe.Target, span, from))
	p := l.Probe
	p.For, p.ShowEvery = span, lookEvery
	p.Show = func(v prober.Live) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.live = v
	}
	r, err := ask.Run(ctx, p)
	l.mu.Lock()
	l.stop()
	l.stop = nil
	if l.err = err; err == nil {
		l.report = &r
	}
	l.mu.Unlock()
	if err != nil {
		l.Log("the probe has failed: " + err.Error())
		return
	}
	l.Log("the probe has ended: " + r.Verdict())
}

// look says how the probe is going.
func (l *Listener) look(w http.ResponseWriter, _ *http.Request) {
	l.mu.Lock()
	state := State{Target: l.Probe.Target.String(), Running: l.stop != nil, Live: l.live}
	l.mu.Unlock()
	state.Now = time.Now()
	answer(w, http.StatusOK, state)
}

// end ends the probe under way, if there is one.
func (l *Listener) end(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	if l.stop != nil {
		l.stop()
	}
	l.mu.Unlock()
	l.look(w, r)
}

// last answers with the last report.
func (l *Listener) last(w http.ResponseWriter, _ *http.Request) {
	l.mu.Lock()
	report, running, err := l.report, l.stop != nil, l.err
	l.mu.Unlock()
	switch {
	case running:
		refuse(w, http.StatusConflict, "the probe is under way")
	case err != nil:
		refuse(w, http.StatusInternalServerError, "the probe has failed: %v", err)
	case report == nil:
		refuse(w, http.StatusNotFound, "there was no probe yet")
	default:
		answer(w, http.StatusOK, report)
	}
}

// errOtherKey says that the other side has another key.
var errOtherKey = errors.New("it has another key: both machines need the same key file")

// tlsConfig returns the settings of both sides.
func tlsConfig(key []byte) (*tls.Config, error) {
	c, err := peer.SharedKey(key, keyUse)
	if err != nil {
		return nil, err
	}
	c.NextProtos = []string{"http/1.1"}
	verify := c.VerifyConnection
	c.VerifyConnection = func(is tls.ConnectionState) error {
		if verify(is) != nil {
			return errOtherKey
		}
		return nil
	}
	return c, nil
}
