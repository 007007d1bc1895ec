// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/bounded"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/workers"
)

// An httpServer serves HTTP at an address that a reload may change. If the port is taken, balancing continues: the error is logged,
// the status shows it as a warning, and the server tries again.
type httpServer struct {
	log       hclog.Logger
	handler   http.Handler
	limits    bounded.Limits
	complaint string      // begins the warning
	failed    func(error) // logs why it does not serve
	addr      workers.Mailbox[string]
	err       atomic.Pointer[error] // why it does not listen; nil: it listens, or no address is configured
}

// relistenPause is the pause between two tries to listen.
const relistenPause = 5 * time.Second

func newHTTPServer(log hclog.Logger, handler http.Handler, limits bounded.Limits, complaint string, failed func(error)) *httpServer {
	return &httpServer{log: log, handler: handler, limits: limits, complaint: complaint, failed: failed, addr: workers.NewMailbox[string]()}
}

// listen moves the server to addr; "" switches it off. Only the loop calls it.
func (s *httpServer) listen(addr string) { s.addr.Put(addr) }

// problem returns a sentence for the status, or "" if there is none.
func (s *httpServer) problem() string {
	if err := s.err.Load(); err != nil {
		return s.complaint + ": " + (*err).Error()
	}
	return ""
}

// run serves until ctx ends.
func (s *httpServer) run(ctx context.Context) error {
	addr, stop := "", func() {}
	defer func() { stop() }()
	var retry <-chan time.Time
	for {
		next := addr
		select {
		case <-ctx.Done():
			return nil
		case next = <-s.addr:
			if next == addr {
				continue
			}
		case <-retry:
		}
		stop()
		addr, stop, retry = next, func() {}, nil
		s.err.Store(nil)
		if addr == "" {
			continue
		}
		end, err := s.serve(addr)
		if err != nil {
			s.failed(err)
			s.err.Store(&err)
			retry = time.After(relistenPause)
			continue
		}
		stop = end
	}
}

// serve starts to answer at addr. stop ends this and waits for the end.
func (s *httpServer) serve(addr string) (stop func(), err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	server, l := s.limits.Server(s.handler, l)
	server.ErrorLog = s.log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed(err)
		}
	}()
	return func() {
		_ = server.Close()
		<-done
	}, nil
}
