// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// Probes leave no connection in TIME_WAIT: thousands of checks a second must not use up the ports of either side.
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
	for _, target := range []healthcheck.Target{
		probetest.Target(healthcheck.TCP, page, 10*time.Second, func(*healthcheck.Config) {}),
		probetest.Target(healthcheck.HTTP, page, 10*time.Second, func(*healthcheck.Config) {}),
		probetest.Target(healthcheck.HTTP, page, 10*time.Second, func(c *healthcheck.Config) { c.Version = healthcheck.HTTP2 }),
		probetest.Target(healthcheck.GRPC, l.Addr().(*net.TCPAddr).AddrPort(), 10*time.Second, func(*healthcheck.Config) {}),
	} {
		for range 50 {
			if got, _ := probeOnce(target); got.Outcome != healthcheck.Passed {
				t.Fatalf("%s: %+v", target.Config.Type, got)
			}
		}
		for _, line := range timeWaits(t, target.Addr.Port()) {
			t.Errorf("%s, version %s: TIME_WAIT: %s", target.Config.Type, target.Config.Version, line)
		}
	}
}

// timeWaits returns the kernel's lines about connections of a port in state TIME_WAIT.
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
