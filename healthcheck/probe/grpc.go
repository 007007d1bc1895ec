// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/http1"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// maxGRPC is how large a header list or message of a gRPC server may be, in bytes.
const maxGRPC = 64 << 10

var errOneConnection = errors.New("a probe has one connection")

// askHealth asks the standard health service (grpc.health.v1). Where the check uses TLS, the connection is already secured.
func askHealth(ctx context.Context, conn net.Conn, t *healthcheck.Target) healthcheck.Result {
	var taken atomic.Bool
	client, err := grpc.NewClient("passthrough:///"+http1.Host(t),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			if taken.Swap(true) {
				return nil, errOneConnection
			}
			return conn, nil
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxGRPC)),
		grpc.WithMaxHeaderListSize(maxGRPC),
		grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(), grpc.WithUserAgent("tandem"),
	)
	if err != nil {
		return healthcheck.Fail(healthcheck.Malformed, "gRPC: "+err.Error())
	}
	defer func() { _ = client.Close() }()
	resp, err := grpc_health_v1.NewHealthClient(client).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: t.Config.Service})
	switch code := status.Code(err); {
	case err == nil && resp.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING:
		return healthcheck.Pass("SERVING")
	case err == nil:
		return healthcheck.FailCode(healthcheck.Unexpected, int(resp.GetStatus()), resp.GetStatus().String()+", want SERVING")
	case ctx.Err() != nil:
		return socket.Explain(ctx, ctx.Err(), t.Config.Timeout, "waiting for the response")
	case code == codes.DeadlineExceeded: // the library noticed the deadline before ctx did
		return healthcheck.Fail(healthcheck.TimedOut, socket.TimedOut(t.Config.Timeout, "waiting for the response"))
	case code == codes.Unimplemented:
		return healthcheck.FailCode(healthcheck.Unexpected, int(code), "the server has no health service")
	case code == codes.NotFound:
		return healthcheck.FailCode(healthcheck.Unexpected, int(code), "the health service does not know the service asked about")
	case code == codes.Unavailable:
		return healthcheck.Fail(healthcheck.HungUp, "connection closed before a response, or not gRPC")
	default:
		return healthcheck.FailCode(healthcheck.Unexpected, int(code), "gRPC status "+code.String())
	}
}
