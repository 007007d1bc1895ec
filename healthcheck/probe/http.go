// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/http1"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// exchange sends the request of an HTTP check by version 1 and judges the response. It judges the header always in the same
// way, and reads the body only if the check examines it.
func exchange(ctx context.Context, conn net.Conn, t *healthcheck.Target) healthcheck.Result {
	_, unsent := conn.Write(http1.Request(t))
	if errors.Is(unsent, os.ErrDeadlineExceeded) {
		return socket.Explain(ctx, unsent, t.Config.Timeout, "sending the request")
	}
	// After any other error the server has hung up, perhaps after an answer: reading shows which.
	h := http1.Head{Wanted: t.Config.Fields}
	buf := make([]byte, 1024)
	for {
		n, err := conn.Read(buf)
		rest, done, malformed := h.Feed(buf[:n])
		switch {
		case malformed != nil:
			return h.Malformed(malformed)
		case done:
			// A chunk of one byte takes six bytes.
			in := &limited{from: io.MultiReader(bytes.NewReader(rest), conn), left: 2 * maxBody, over: errLongBody}
			return judgeResponse(ctx, response{h.Status, h.Fields, h.Body(t.Config.Method, in)}, t)
		case err != nil:
			return h.Broken(ctx, socket.First(unsent, err), t)
		}
	}
}
