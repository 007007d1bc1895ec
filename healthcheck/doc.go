// SPDX-License-Identifier: Apache-2.0

// Package healthcheck finds out whether real servers work.
//
// A [Runner] probes many targets, each at its own interval, and tells of every change through Options.Notify. Three
// parts make it up: probes, which talk to a server once and say in words what came of it; rise and fall, which turn
// the results into a health; and the schedule, which spreads the probes over time.
//
// A probe connects, asks for a page, or runs a program: with its own process group, as another user, without the
// director's capabilities, and gone with its children when its time is over.
//
// What a server sends can only make its own check fail: the whole probe ends within its timeout, a response is read
// into constant memory, and a panic is that check's failure. What the director lacks (time, file descriptors, local
// ports) is counted as the director's own problem and never held against a server.
package healthcheck
