// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/bounded"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/workers"
)

// A metricsServer serves the metrics to Prometheus. A reload may change its address. If the port is taken, balancing continues:
// the error is logged, the status shows it as a warning, and the server tries again.
type metricsServer struct {
	log     hclog.Logger
	handler http.Handler
	addr    workers.Mailbox[string]
	err     atomic.Pointer[error] // why it does not listen; nil: it listens, or no address is configured
}

// maxScrapes is the maximum number of scrapes at the same time. Each uses the director's processor time. More get status 503.
const maxScrapes = 3

// scrapeLimits are the limits for scrapers. Anybody who reaches the port may be one.
var scrapeLimits = bounded.Limits{Connections: 32, Patience: 5 * time.Second, Answer: 30 * time.Second}

// relistenPause is the pause between two tries to listen.
const relistenPause = 5 * time.Second

func newMetricsServer(log hclog.Logger, c prometheus.Collector) *metricsServer {
	registry := prometheus.NewRegistry()
	registry.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}))
	return &metricsServer{log: log.Named("metrics"), handler: mux, addr: workers.NewMailbox[string]()}
}

// listen moves the server to addr; "" switches it off. Only the loop calls it.
func (m *metricsServer) listen(addr string) { m.addr.Put(addr) }

// problem returns a sentence for the status, or "" if there is none.
func (m *metricsServer) problem() string {
	if err := m.err.Load(); err != nil {
		return fmt.Sprintf("no metrics are served: %v", *err)
	}
	return ""
}

// run serves until ctx ends.
func (m *metricsServer) run(ctx context.Context) error {
	addr, stop := "", func() {}
	defer func() { stop() }()
	var retry <-chan time.Time
	for {
		next := addr
		select {
		case <-ctx.Done():
			return nil
		case next = <-m.addr:
			if next == addr {
				continue
			}
		case <-retry:
		}
		stop()
		addr, stop, retry = next, func() {}, nil
		m.err.Store(nil)
		if addr == "" {
			continue
		}
		end, err := m.serve(addr)
		if err != nil {
			m.log.Error("failed to serve metrics", "error", err)
			m.err.Store(&err)
			retry = time.After(relistenPause)
			continue
		}
		stop = end
	}
}

// serve starts to answer at addr. stop ends this and waits for the end.
func (m *metricsServer) serve(addr string) (stop func(), err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	server, l := scrapeLimits.Server(m.handler, l)
	server.ErrorLog = m.log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			m.log.Error("failed to serve metrics", "error", err)
		}
	}()
	return func() {
		_ = server.Close()
		<-done
	}, nil
}
