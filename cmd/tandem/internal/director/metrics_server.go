// SPDX-License-Identifier: Apache-2.0

package director

import (
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/bounded"
)

const (
	// maxScrapes is the maximum number of scrapes at the same time. Each uses the director's processor time. More get status 503.
	maxScrapes = 3
	// scrapeTimeout is how long a scrape may take until it gets status 503. Prometheus waits 10 s by default.
	scrapeTimeout = 9 * time.Second
)

// scrapeLimits are the limits for scrapers. Anybody who reaches the port may be one.
var scrapeLimits = bounded.Limits{Connections: 32, Patience: 5 * time.Second, Answer: 30 * time.Second}

// newMetricsServer returns the server of the metrics for Prometheus, and of the answers to probes.
func newMetricsServer(log hclog.Logger, c prometheus.Collector, p *prober) *httpServer {
	registry := prometheus.NewRegistry()
	registry.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes, Timeout: scrapeTimeout,
	}))
	mux.HandleFunc("GET /healthz", p.healthz)
	mux.HandleFunc("GET /readyz", p.readyz)
	log = log.Named("metrics")
	return newHTTPServer(log, mux, scrapeLimits, "no metrics are served", func(err error) { log.Error("failed to serve metrics", "error", err) })
}
