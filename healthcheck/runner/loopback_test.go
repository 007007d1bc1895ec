// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// The runner follows a real web server that fails and recovers.
func TestRunnerFollowsAServer(t *testing.T) {
	probetest.NoLeftovers(t)
	var status atomic.Int64
	status.Store(http.StatusOK)
	var asked atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked.Store(req.Method + " " + req.Host + req.URL.String())
		w.WriteHeader(int(status.Load()))
		_, _ = w.Write([]byte("a body"))
	}))
	defer server.Close()

	check := healthcheck.DefaultConfig(healthcheck.HTTP)
	check.Interval, check.Timeout = 50*time.Millisecond, 10*time.Second // the machine may stall
	check.Path, check.Host = "/health?from=lb", "www.example.com"
	plain := check
	plain.Type = healthcheck.TCP
	addr := server.Listener.Addr().(*net.TCPAddr).AddrPort()

	verdicts := make(chan healthcheck.Verdict, 100)
	r := New(Options{Notify: func(v healthcheck.Verdict) { verdicts <- v }})
	r.Set([]healthcheck.Target{{ID: "http", Addr: addr, Config: check}, {ID: "tcp", Addr: addr, Config: plain}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()

	// On a slow machine there may be other verdicts in between; the wanted one must come in the end.
	await := func(id string, h healthcheck.Health, reason string) {
		t.Helper()
		for limit := time.After(10 * time.Second); ; {
			select {
			case v := <-verdicts:
				if v.ID == id && v.Health == h && v.Reason == reason {
					return
				}
			case <-limit:
				t.Fatalf("no verdict: %s is %s, %s; status %+v", id, h, reason, r.Status())
			}
		}
	}
	await("http", healthcheck.Healthy, "status 200")
	if got := asked.Load(); got != "GET www.example.com/health?from=lb" {
		t.Errorf("the server was asked for %q", got)
	}
	status.Store(http.StatusServiceUnavailable)
	await("http", healthcheck.Unhealthy, "status 503, want 200-299")
	status.Store(http.StatusNoContent)
	await("http", healthcheck.Healthy, "status 204")
	if s := r.Status()["tcp"]; s.Health != healthcheck.Healthy || s.Reason != "connected" {
		t.Errorf("tcp: %+v", s)
	}
	server.Close()
	await("http", healthcheck.Unhealthy, "connection refused")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// A failure that the runner sees late, on a busy machine, does not count, however long the timeout is.
	stoodStill := !r.stoodStill.IsZero() && r.lacked == "the director stood still during the probe"
	if got := r.Stats(); got.InFlight != 0 || got.NotRun != 0 && !stoodStill || got.Panics != 0 {
		t.Errorf("stats %+v, %q", got, r.lacked)
	}
}

// The programs of a runner hang, end and are replaced. Nothing is left of them.
func TestRunnerOfPrograms(t *testing.T) {
	probetest.NoLeftovers(t)
	verdicts := make(chan healthcheck.Verdict, 1000)
	r := New(Options{Notify: func(v healthcheck.Verdict) { verdicts <- v }})
	var targets []healthcheck.Target
	scripts := map[string]string{"works": "exit 0", "fails": "exit 4", "hangs": "sleep 100"}
	for id, script := range scripts {
		target := probetest.Shell(script)
		target.ID = id
		target.Config.Interval, target.Config.Timeout, target.Config.Fall = 250*time.Millisecond, time.Second, 1
		if id != "hangs" {
			target.Config.Interval, target.Config.Timeout = 20*time.Second, 20*time.Second
		}
		targets = append(targets, target)
	}
	r.Set(targets)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	got := make(map[string]string)
	for limit := time.After(20 * time.Second); len(got) < len(scripts); {
		select {
		case v := <-verdicts:
			if v.Health != healthcheck.Unknown { // a result that was seen late does not count; then the program runs again
				got[v.ID] = v.Health.String() + ": " + v.Reason
			}
		case <-limit:
			t.Fatalf("verdicts so far: %v", got)
		}
	}
	for id, want := range map[string]string{
		"works": "healthy: exit code 0", "fails": "unhealthy: exit code 4",
		"hangs": "unhealthy: timeout after 1s while the program ran",
	} {
		if got[id] != want {
			t.Errorf("%s: %q, want %q", id, got[id], want)
		}
	}
	r.Set(targets[:1])
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	probetest.NoChildren(t)
}

// One runner runs probes of both kinds, through a change of targets and to its end.
func TestRunnerWithBothKinds(t *testing.T) {
	probetest.NoLeftovers(t)
	addr := probetest.Serve(t, probetest.Hear("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	silent := probetest.Serve(t, probetest.UntilGone[*net.TCPConn])
	targets := []healthcheck.Target{probetest.HTTPTarget(addr, 5*time.Second), probetest.HTTPTarget(addr, 5*time.Second), probetest.HTTPTarget(silent, 5*time.Second)}
	for i := range targets {
		targets[i].ID, targets[i].Config.Interval = fmt.Sprint(i), 5*time.Second
	}
	targets[1].Config.Content.Contains = "ok"
	r := New(Options{})
	r.Set(targets)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	if !probetest.Eventually(20*time.Second, func() bool {
		s := r.Status()
		return s["0"].Reason == "status 200" && s["1"].Reason == "status 200 with the expected body" && r.Stats().InFlight == 1
	}) {
		t.Fatalf("status %+v", r.Status())
	}
	r.Set(targets[:2]) // the probe of the silent server is under way
	if !probetest.Eventually(20*time.Second, func() bool { return r.Stats().InFlight == 0 }) {
		t.Fatalf("stats %+v", r.Stats())
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	r.Set([]healthcheck.Target{{ID: "later", Addr: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), 80), Config: healthcheck.DefaultConfig(healthcheck.TCP)}})
}
