// SPDX-License-Identifier: Apache-2.0

package healthcheck

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
)

// maxGRPC is how large a header list or message of a gRPC server may be, in bytes.
const maxGRPC = 64 << 10

var errOneConnection = errors.New("a probe has one connection")

// askHealth asks the standard health service (grpc.health.v1) on a connection that is secured already where it is to be.
func askHealth(ctx context.Context, conn net.Conn, t Target) result {
	var taken atomic.Bool
	client, err := grpc.NewClient("passthrough:///"+host(t),
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
		return fail("gRPC: " + err.Error())
	}
	defer func() { _ = client.Close() }()
	resp, err := grpc_health_v1.NewHealthClient(client).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: t.Config.Service})
	switch code := status.Code(err); {
	case err == nil && resp.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING:
		return pass("SERVING")
	case err == nil:
		return fail(resp.GetStatus().String() + ", want SERVING")
	case ctx.Err() != nil:
		return explain(ctx, ctx.Err(), t.Config.Timeout, "waiting for the response")
	case code == codes.DeadlineExceeded: // the library's clock was ahead of ours
		return fail(timedOut(t.Config.Timeout, "waiting for the response"))
	case code == codes.Unimplemented:
		return fail("the server has no health service")
	case code == codes.NotFound:
		return fail("the health service does not know the service asked about")
	case code == codes.Unavailable:
		return fail("connection closed before a response, or not gRPC")
	default:
		return fail("gRPC status " + code.String())
	}
}
