// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A metricsServer answers Prometheus at an address that a reload may change. A port that is taken is no reason to stop
// balancing: it is logged, stands among the warnings of the status, and is tried again.
type metricsServer struct {
	log     hclog.Logger
	handler http.Handler
	change  chan struct{}

	mu   sync.Mutex
	addr string // "" is off
	err  error  // why nothing listens at addr
}

// relistenPause is the pause between two tries to listen.
const relistenPause = 5 * time.Second

func newMetricsServer(log hclog.Logger, c prometheus.Collector) *metricsServer {
	registry := prometheus.NewRegistry()
	registry.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return &metricsServer{log: log.Named("metrics"), handler: mux, change: make(chan struct{}, 1)}
}

// listen moves the server to addr; "" switches it off.
func (m *metricsServer) listen(addr string) {
	m.mu.Lock()
	same := m.addr == addr
	m.addr = addr
	m.mu.Unlock()
	if same {
		return
	}
	select {
	case m.change <- struct{}{}:
	default:
	}
}

// problem is a sentence for the status, or "".
func (m *metricsServer) problem() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		return ""
	}
	return fmt.Sprintf("no metrics are served: %v", m.err)
}

// run serves until ctx ends.
func (m *metricsServer) run(ctx context.Context) error {
	for ctx.Err() == nil {
		m.mu.Lock()
		addr := m.addr
		m.err = nil
		m.mu.Unlock()
		var retry <-chan time.Time
		stop := func() {}
		if addr != "" {
			var err error
			if stop, err = m.serve(addr); err != nil {
				m.log.Error("serve metrics", "error", err)
				m.mu.Lock()
				m.err = err
				m.mu.Unlock()
				retry = time.After(relistenPause)
				stop = func() {}
			}
		}
		select {
		case <-ctx.Done():
		case <-m.change:
		case <-retry:
		}
		stop()
	}
	return nil
}

// serve starts to answer at addr; stop ends that and waits until it has ended.
func (m *metricsServer) serve(addr string) (stop func(), err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: m.handler, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			m.log.Error("serve metrics", "error", err)
		}
	}()
	return func() {
		_ = server.Close()
		<-done
	}, nil
}
