// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

func TestGRPC(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	states := health.NewServer()
	states.SetServingStatus("shop.Orders", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	with, without := grpc.NewServer(), grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(with, states)
	go func() { _ = with.Serve(l) }()
	t.Cleanup(with.Stop)
	bare, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = without.Serve(bare) }()
	t.Cleanup(without.Stop)
	for _, tt := range []struct {
		listener net.Listener
		service  string
		want     healthcheck.Result
	}{
		{l, "", healthcheck.Pass("SERVING")},
		{l, "shop.Orders", probetest.Fail("NOT_SERVING, want SERVING")},
		{l, "shop.Refunds", probetest.Fail(`the health service does not know "shop.Refunds"`)},
		{bare, "", probetest.Fail("the server has no health service")},
	} {
		addr := tt.listener.Addr().(*net.TCPAddr).AddrPort()
		if got, _ := probeOnce(probetest.Target(healthcheck.GRPC, addr, 10*time.Second, func(c *healthcheck.Config) { c.Service = tt.service })); got != tt.want {
			t.Errorf("%q: %+v, want %+v", tt.service, got, tt.want)
		}
	}
}
