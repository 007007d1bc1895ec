// SPDX-License-Identifier: Apache-2.0

package director

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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
	m := newMetricsServer(hclog.NewNullLogger(), c, nil)
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

// Scrapes that hang end with status 503 before Prometheus gives up. What hangs behind them still counts.
func TestScrapesThatHangEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := hangingCollector{make(chan struct{}, maxScrapes+1), make(chan struct{})}
		m := newMetricsServer(hclog.NewNullLogger(), c, nil)
		began := time.Now()
		for range maxScrapes {
			go func() {
				w := httptest.NewRecorder()
				m.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
				if took := time.Since(began); w.Code != http.StatusServiceUnavailable || took != scrapeTimeout {
					t.Errorf("status %d after %s", w.Code, took)
				}
			}()
		}
		time.Sleep(time.Minute)
		if n := len(c.asked); n != maxScrapes {
			t.Errorf("%d scrapes were begun", n)
		}
		w := httptest.NewRecorder()
		m.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if w.Code != http.StatusServiceUnavailable || len(c.asked) != maxScrapes {
			t.Errorf("beside scrapes that hang: status %d, %d begun", w.Code, len(c.asked))
		}
		close(c.let)
		synctest.Wait()
	})
}
