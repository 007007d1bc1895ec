// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"net"
	"os"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/http1"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// exchange sends the request of an HTTP check by version 1 and judges the response. It reads the body only if the check
// examines it. With method HEAD the server does not send a body.
func exchange(ctx context.Context, conn net.Conn, t *healthcheck.Target) healthcheck.Result {
	_, err := conn.Write(http1.Request(t))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return socket.Explain(ctx, err, t.Config.Timeout, "sending the request")
	}
	// After any other error the server has hung up, perhaps after an answer: reading shows which.
	if t.Config.Content != (healthcheck.Content{}) {
		return examine(ctx, conn, t)
	}
	var h http1.Head
	buf := make([]byte, 1024)
	for {
		n, err := conn.Read(buf)
		done, malformed := h.Feed(buf[:n])
		switch {
		case malformed != nil:
			return http1.Malformed(malformed)
		case done:
			return http1.Judge(h.Status, t.Config.Status)
		case err != nil:
			return h.Broken(ctx, err, t)
		}
	}
}
