// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// BeforeResponse is the end of the reason when a server has ended the connection without a response.
const BeforeResponse = "before a response"

// TooLate is the reason of a probe that this process had no time to complete.
const TooLate = "the director had too little processor time for the check"

// ErrTooLate is the error of a probe that this process had no time to complete.
var ErrTooLate = errors.New(TooLate)

// NoDevice is the reason of a probe whose socket cannot be bound to its interface.
const NoDevice = "this machine does not have the interface that the check is bound to (bind_if)"

// Explain makes a result of an error that happened while doing something.
func Explain(ctx context.Context, err error, timeout time.Duration, doing string) healthcheck.Result {
	var errno syscall.Errno
	var icmp *ICMPError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return healthcheck.Result{Outcome: healthcheck.Abandoned}
	case errors.Is(err, ErrTooLate):
		return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: TooLate}
	case errors.As(err, &errno) && errno == syscall.ENODEV: // only binding to an interface gives it
		return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: NoDevice}
	case errors.As(err, &errno) && OwnFault(errno):
		return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: errno.Error()}
	case errors.As(err, &icmp):
		return healthcheck.FailCode(kindOf(errno), int(errno), icmp.Error())
	case errno != 0:
		return healthcheck.FailCode(kindOf(errno), int(errno), errno.Error())
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return healthcheck.Fail(healthcheck.TimedOut, TimedOut(timeout, doing))
	case AlertTLS(err) != "":
		return healthcheck.Fail(healthcheck.TLSFailed, AlertTLS(err))
	}
	// The outer layers of the remaining errors name local addresses, which differ from probe to probe.
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return healthcheck.Fail(healthcheck.NetworkError, err.Error())
}

// kindOf returns the kind of failure for an error number.
func kindOf(errno syscall.Errno) healthcheck.CauseKind {
	switch {
	case errno == syscall.ECONNREFUSED:
		return healthcheck.Refused
	case Silence(errno):
		return healthcheck.Unreachable
	}
	return healthcheck.NetworkError
}

// ExplainSilence does what Explain does, for an error before the first byte from the server: no answer at all makes the result
// silent.
func ExplainSilence(ctx context.Context, err error, timeout time.Duration, doing string) healthcheck.Result {
	res := Explain(ctx, err, timeout, doing)
	res.Silent = res.Outcome == healthcheck.Failed && Silence(err)
	return res
}

// TimedOut returns the reason of a probe that took too long.
func TimedOut(timeout time.Duration, doing string) string {
	return fmt.Sprintf("timeout after %s while %s", timeout, doing)
}

// HungUp makes a result of an answer that ended too soon. when says at which point the peer ended the connection.
func HungUp(ctx context.Context, err error, t *healthcheck.Target, when, doing string) healthcheck.Result {
	if Closed(err) || errors.Is(err, io.ErrUnexpectedEOF) {
		return healthcheck.Fail(healthcheck.HungUp, Ending(err)+" "+when)
	}
	return Explain(ctx, err, t.Config.Timeout, doing)
}

// Ending returns in words how the peer ended the connection.
func Ending(err error) string {
	if errors.Is(err, syscall.ECONNRESET) {
		return "connection reset"
	}
	return "connection closed"
}

// First returns the error of a connection that was seen first. The kernel reports a reset only once: after a write that met it,
// a read finds the end of the connection.
func First(write, read error) error {
	if errors.Is(write, syscall.ECONNRESET) && errors.Is(read, io.EOF) {
		return write
	}
	return read
}

// OwnFault reports whether an error is about the director and not about the server.
func OwnFault(errno syscall.Errno) bool {
	switch errno {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL, syscall.EAGAIN:
		return true
	}
	return false
}

// Silence reports whether an error of connecting means that no machine answered. A refusal is an answer.
func Silence(err error) bool {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return slices.Contains([]syscall.Errno{
			syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN, syscall.ETIMEDOUT,
		}, errno)
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// Closed reports whether the peer ended the connection. The order in which its FIN and its RST arrive decides which of
// these errors appears, so they all have the same cause.
func Closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// AlertTLS returns the reason for an alert that the server sent; empty: the error is something else. A server that requires a
// certificate says so only after the client has finished the handshake (RFC 8446, section 4.4.2.4).
func AlertTLS(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return "TLS: the server refused: " + strings.TrimPrefix(op.Err.Error(), "tls: ")
	}
	return ""
}
