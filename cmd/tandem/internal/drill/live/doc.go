// SPDX-License-Identifier: Apache-2.0

// Package live makes drills on the machine: it gathers the situation, makes the fault, undoes it, and compares.
//
// The undoing is the business of another process, the dead-man's switch. It is started before the fault is made and has its own
// session, so it outlives the drill and the terminal. It undoes the fault when it is told to, when the drill dies, when it gets a
// signal, or after the limit, whichever comes first. The drill undoes the fault by telling it. It does so itself only if the switch
// has died, or has acted before the drill was done with the fault: what undoes a fault can be done twice.
package live
