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

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
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
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }))
	web.Config.Protocols = new(http.Protocols)
	web.Config.Protocols.SetHTTP1(true)
	web.Config.Protocols.SetUnencryptedHTTP2(true)
	web.Start()
	t.Cleanup(web.Close)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	orders := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(orders, health.NewServer())
	go func() { _ = orders.Serve(l) }()
	t.Cleanup(orders.Stop)
	page := web.Listener.Addr().(*net.TCPAddr).AddrPort()
	for _, target := range []Target{
		typed(TCP, page, 10*time.Second, func(*Config) {}),
		typed(HTTP, page, 10*time.Second, func(*Config) {}),
		typed(HTTP, page, 10*time.Second, func(c *Config) { c.Version = HTTP2 }),
		typed(GRPC, l.Addr().(*net.TCPAddr).AddrPort(), 10*time.Second, func(*Config) {}),
	} {
		for range 50 {
			if got, _ := probeOnce(target); got.outcome != passed {
				t.Fatalf("%s: %+v", target.Config.Type, got)
			}
		}
		for _, line := range timeWaits(t, target.Addr.Port()) {
			t.Errorf("%s, version %s: TIME_WAIT: %s", target.Config.Type, target.Config.Version, line)
		}
	}
}

// timeWaits are the kernel's lines of the connections of a port that wait out their time.
func timeWaits(t *testing.T, port uint16) (found []string) {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	suffix := fmt.Sprintf(":%04X", port)
	const timeWait = "06" // TCP_TIME_WAIT in the kernel's include/net/tcp_states.h
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line) // number, local, remote, state, …
		if f[3] == timeWait && (strings.HasSuffix(f[1], suffix) || strings.HasSuffix(f[2], suffix)) {
			found = append(found, line)
		}
	}
	return found
}
