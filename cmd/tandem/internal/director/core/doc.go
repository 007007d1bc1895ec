// SPDX-License-Identifier: Apache-2.0

// Package core decides what a director does. It is a machine: events go in, effects come out.
//
// A State has one owner, which calls Step. Step does no input or output, reads no clock and starts no goroutine. One
// verdict costs the same among ten services and ten thousand: Step works out anew only the services that an event
// touches. Effects are levels: each says what should be, and a later one of the same kind replaces an earlier one.
package core

//go:generate go tool stringer -type File,checkRole,trackStatus -linecomment -output names_string.go
