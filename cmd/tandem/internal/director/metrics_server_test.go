// SPDX-License-Identifier: Apache-2.0

package director

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
)

// A hangingCollector does not answer until it is released.
type hangingCollector struct {
	asked chan struct{}
	let   chan struct{}
}

func (hangingCollector) Describe(chan<- *prometheus.Desc) {}

func (c hangingCollector) Collect(chan<- prometheus.Metric) {
	c.asked <- struct{}{}
	<-c.let
}

// If as many scrapes as allowed hang, further scrapes are refused at once.
func TestScrapesThatHangAreFew(t *testing.T) {
	c := hangingCollector{make(chan struct{}), make(chan struct{})}
	m := newMetricsServer(hclog.NewNullLogger(), c)
	scrape := func() int {
		w := httptest.NewRecorder()
		m.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return w.Code
	}
	var hanging sync.WaitGroup
	for range maxScrapes {
		hanging.Go(func() {
			if code := scrape(); code != http.StatusOK {
				t.Errorf("status %d", code)
			}
		})
		<-c.asked
	}
	for range 100 {
		if code := scrape(); code != http.StatusServiceUnavailable {
			t.Fatalf("beside %d that hang: status %d", maxScrapes, code)
		}
	}
	close(c.let)
	hanging.Wait()
	go func() { <-c.asked }()
	if code := scrape(); code != http.StatusOK {
		t.Errorf("in the end: status %d", code)
	}
}
