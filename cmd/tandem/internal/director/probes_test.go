// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
)

// ask asks a metrics server.
func ask(m *httpServer, path string) (code int, text string) {
	w := httptest.NewRecorder()
	m.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks, hangs := 0, false
		var problems []string
		look := func(ctx context.Context) *core.Snapshot {
			looks++
			if hangs {
				<-ctx.Done()
				return nil
			}
			return new(core.Snapshot)
		}
		m := newMetricsServer(hclog.NewNullLogger(), hangingCollector{}, newProber(look, func(*core.Snapshot) []string { return problems }))
		expect := func(path string, wantCode int, wantText string) {
			t.Helper()
			if code, text := ask(m, path); code != wantCode || text != wantText {
				t.Errorf("%s: status %d, %q; want %d, %q", path, code, text, wantCode, wantText)
			}
		}
		expect("/healthz", 200, "ok\n")
		expect("/readyz", 200, "ok\n")
		problems = []string{"the election process does not run", "the IPVS table has not been written yet"}
		expect("/healthz", 200, "ok\n")
		expect("/readyz", 503, "the election process does not run\nthe IPVS table has not been written yet\n")
		for range 1000 {
			expect("/healthz", 200, "ok\n")
		}
		if looks != 1 {
			t.Errorf("many probes at one moment ask the loop %d times", looks)
		}

		// The loop hangs: each probe ends in time, also if there are many.
		time.Sleep(probeMemory)
		hangs = true
		began := time.Now()
		for range 20 {
			go expect("/readyz", 503, "the director does not answer: it is leaving, or it hangs\n")
		}
		expect("/healthz", 503, "the director does not answer: it is leaving, or it hangs\n")
		synctest.Wait()
		if took := time.Since(began); took != probeTimeout {
			t.Errorf("probes of a loop that hangs took %s", took)
		}
		hangs, problems = false, nil
		expect("/readyz", 200, "ok\n")
	})
}

// TestSnapshotIsBounded: nobody waits for a loop that does not take questions, does not answer them, or has ended.
func TestSnapshotIsBounded(t *testing.T) {
	for name, room := range map[string]int{"no room": 0, "no answer": 1} {
		d := &Director{inbox: make(chan any, room), ended: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if d.snapshotWithin(ctx) != nil {
			t.Errorf("%s: there is a snapshot, although nobody has made it", name)
		}
		close(d.ended)
		if d.snapshotWithin(t.Context()) != nil {
			t.Errorf("%s: a loop that has ended has answered", name)
		}
	}
}
