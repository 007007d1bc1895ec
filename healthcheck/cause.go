// SPDX-License-Identifier: Apache-2.0

package healthcheck

// A Cause says which kind of failure a result is. Decisions use causes; reasons are only for people. Two failures with the
// same cause are reported once, even if their reasons differ in a detail.
type Cause struct {
	Kind CauseKind
	Code int // by Kind: an error number, a status, an exit code or a signal; 0: none
}

//go:generate go tool stringer -type CauseKind -output causekind_string.go

// A CauseKind is a kind of failure.
type CauseKind uint8

// The kinds of failures.
const (
	Refused      CauseKind = iota + 1 // the server refuses connections or datagrams
	Unreachable                       // the network has no way to the server
	NetworkError                      // any other error of a socket; Code is the error number
	TimedOut
	HungUp     // the server closes the connection before the end of its answer
	TLSFailed  // the handshake fails, or the certificate is not acceptable
	Malformed  // the server's answer does not follow the protocol
	Unexpected // a correct answer, but not the wanted one; Code is its status, if there is one
	SaysDown   // the server's agent reports it
	Exited     // the program of the check fails; Code is its exit code
	Killed     // a signal ends the program of the check; Code is the signal
	StillRuns  // the program of an earlier check cannot be killed
	Panicking  // the check panics
	NotRunning // no such process runs
)
