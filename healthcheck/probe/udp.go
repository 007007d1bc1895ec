// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"strconv"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
	"github.com/tandem-lvs/tandem/healthcheck/probe/via"
)

// sendDatagram sends a UDP check's datagram. If the check expects an answer, it must come. Otherwise the check fails only if
// the server refuses the datagram within the timeout: many protocols do not answer strangers. A datagram with the forbidden
// bytes fails the check, even if it has the expected ones too.
func sendDatagram(ctx context.Context, conn net.Conn, t *healthcheck.Target) healthcheck.Result {
	if _, err := conn.Write([]byte(t.Config.Send)); err != nil {
		return socket.ExplainSilence(ctx, err, t.Config.Timeout, waitingForExpected)
	}
	buf := make([]byte, maxAnswer)
	var heard []byte // the latest
	for {
		n, err := conn.Read(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && t.Config.Expect == "" && ctx.Err() != context.Canceled:
			if heard == nil && via.Unresolved(t) {
				// The kernel stops trying later than most checks, and then still has the datagram.
				return healthcheck.FailSilently(healthcheck.Unreachable, via.NoNeighbour)
			}
			return healthcheck.Pass("no refusal within " + t.Config.Timeout.String())
		case errors.Is(err, os.ErrDeadlineExceeded) && heard != nil && ctx.Err() != context.Canceled:
			return quoting(otherwise(strconv.Quote(t.Config.Expect), t.Config.Timeout), heard)
		case err != nil: // most of these errors come from ICMP
			res := socket.ExplainSilence(ctx, err, t.Config.Timeout, waitingForExpected)
			res.Silent = res.Silent && heard == nil
			return res
		case t.Config.Forbid != "" && bytes.Contains(buf[:n], []byte(t.Config.Forbid)):
			return forbidden(t.Config.Forbid)
		case bytes.Contains(buf[:n], []byte(t.Config.Expect)):
			return healthcheck.Pass(asExpected)
		}
		heard = buf[:n]
	}
}
