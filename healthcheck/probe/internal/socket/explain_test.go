// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// What the director lacks is not the server's failure. Everything else is, with a reason without port numbers.
func TestExplain(t *testing.T) {
	errnoOf := func(call string, e syscall.Errno) error {
		local := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 40000}
		return &net.OpError{Op: "dial", Net: "tcp", Source: local, Err: os.NewSyscallError(call, e)}
	}
	tests := []struct {
		err  error
		want healthcheck.Result
	}{
		{errnoOf("socket", syscall.EMFILE), healthcheck.Result{Outcome: healthcheck.NotRun, Reason: "too many open files"}},
		{errnoOf("socket", syscall.ENFILE), healthcheck.Result{Outcome: healthcheck.NotRun, Reason: "too many open files in system"}},
		{errnoOf("connect", syscall.EADDRNOTAVAIL), healthcheck.Result{Outcome: healthcheck.NotRun, Reason: "cannot assign requested address"}},
		{errnoOf("connect", syscall.ETIMEDOUT), probetest.Fail("connection timed out")},
		{errnoOf("connect", syscall.EPERM), probetest.Fail("operation not permitted")},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, probetest.Fail("timeout after 1s while connecting")},
		{&net.OpError{Op: "dial", Source: &net.TCPAddr{Port: 40000}, Err: errors.New("odd")}, probetest.Fail("odd")},
		{fmt.Errorf("odd: %w", context.DeadlineExceeded), probetest.Fail("timeout after 1s while connecting")},
	}
	for _, tt := range tests {
		if got := probetest.Words(Explain(t.Context(), tt.err, time.Second, "connecting")); got != tt.want {
			t.Errorf("%v: %+v, want %+v", tt.err, got, tt.want)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if got := probetest.Words(Explain(cancelled, os.ErrDeadlineExceeded, time.Second, "connecting")); got.Outcome != healthcheck.Abandoned {
		t.Errorf("cancelled: %+v", got)
	}
}
