// SPDX-License-Identifier: Apache-2.0

// Package core decides what a director does. It is a machine: events go in, effects come out.
//
// A State has one owner, which calls Step. Step does no input or output, reads no clock and starts no goroutine. One verdict
// costs the same with ten services and with ten thousand: Step plans only the services that an event affects. An effect says
// what the state should be, not what to change. A later effect of the same kind replaces an earlier one.
package core

//go:generate go tool stringer -type File,checkRole,trackStatus -linecomment -output names_string.go
