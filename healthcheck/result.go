// SPDX-License-Identifier: Apache-2.0

package healthcheck

//go:generate go tool stringer -type Outcome -output outcome_string.go

// An Outcome says how a probe ended.
type Outcome uint8

// The outcomes.
const (
	Passed    Outcome = iota + 1
	Failed            // the server's failure
	NotRun            // the director lacked a file descriptor, memory, a local port, a certificate, a program or time
	Abandoned         // cancelled before the result was known
	NoWord            // the check has nothing to say about the server: see Config.IgnoreSilence
)

// A Result is the result of one probe. Its Reason never contains details that differ between two probes with the same cause,
// such as a local port or bytes from the server. There are three exceptions: the output of a program that fails, the line of
// an agent, and the message of a gRPC status.
type Result struct {
	Outcome  Outcome
	Reason   string
	Cause    Cause  // of a failure
	Silent   bool   // nothing came back from the address
	Decisive bool   // the server itself reports its state: one result is enough
	Advice   Advice // of a success
	Panic    *Panic // the panic that ended the probe, or nil
}

// A Panic is a panic that was recovered.
type Panic struct {
	Value any
	Stack []byte
}

// Pass returns a success.
func Pass(reason string) Result { return Result{Outcome: Passed, Reason: reason} }

// Fail returns a failure of the server.
func Fail(kind CauseKind, reason string) Result { return FailCode(kind, 0, reason) }

// FailCode returns a failure of the server with a code.
func FailCode(kind CauseKind, code int, reason string) Result {
	return Result{Outcome: Failed, Reason: reason, Cause: Cause{kind, code}}
}

// FailSilently returns the failure of a server that sent nothing back.
func FailSilently(kind CauseKind, reason string) Result {
	r := Fail(kind, reason)
	r.Silent = true
	return r
}

// Panicked returns the failure of a probe that panicked.
func Panicked(value any, stack []byte) Result {
	r := Fail(Panicking, "the check panicked")
	r.Panic = &Panic{Value: value, Stack: stack}
	return r
}
