// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A real web server goes through a bad day, and the runner follows.
func TestRunnerFollowsAServer(t *testing.T) {
	noLeftovers(t)
	var status atomic.Int64
	status.Store(http.StatusOK)
	var asked atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked.Store(req.Method + " " + req.Host + req.URL.String())
		w.WriteHeader(int(status.Load()))
		_, _ = w.Write([]byte("a body"))
	}))
	defer server.Close()

	check := DefaultConfig(HTTP)
	check.Interval, check.Timeout = 50*time.Millisecond, 50*time.Millisecond
	check.Path, check.Host = "/health?from=lb", "www.example.com"
	plain := check
	plain.Type = TCP
	addr := server.Listener.Addr().(*net.TCPAddr).AddrPort()

	verdicts := make(chan Verdict, 100)
	r := NewRunner(Options{Notify: func(v Verdict) { verdicts <- v }})
	r.Set([]Target{{ID: "http", Addr: addr, Config: check}, {ID: "tcp", Addr: addr, Config: plain}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()

	// Reasons may come and go on a machine that stalls; what is wanted must come in the end.
	await := func(id string, h Health, reason string) {
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
	await("http", Healthy, "status 200")
	if got := asked.Load(); got != "GET www.example.com/health?from=lb" {
		t.Errorf("the server was asked for %q", got)
	}
	status.Store(http.StatusServiceUnavailable)
	await("http", Unhealthy, "status 503, want 200-299")
	status.Store(http.StatusNoContent)
	await("http", Healthy, "status 204")
	if s := r.Status()["tcp"]; s.Health != Healthy || s.Reason != "connected" {
		t.Errorf("tcp: %+v", s)
	}
	server.Close()
	await("http", Unhealthy, "connection refused")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := r.Stats(); got.InFlight != 0 || got.NotRun != 0 || got.Panics != 0 {
		t.Errorf("stats %+v", got)
	}
}

// Thousands of checks a second must not use up the ports of either side.
func TestProbesLeaveNoTimeWait(t *testing.T) {
	addr := serve(t, hear("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	for _, typ := range []Type{TCP, HTTP} {
		for range 50 {
			target := httpTarget(addr, 5*time.Second)
			target.Config.Type = typ
			if got, _ := probeOnce(target); got.outcome != passed {
				t.Fatalf("%s: %+v", typ, got)
			}
		}
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprintf(":%04X", addr.Port())
	const timeWait = "06" // TCP_TIME_WAIT in the kernel's include/net/tcp_states.h
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line) // number, local, remote, state, …
		if f[3] == timeWait && (strings.HasSuffix(f[1], port) || strings.HasSuffix(f[2], port)) {
			t.Errorf("TIME_WAIT: %s", line)
		}
	}
}
