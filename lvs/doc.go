// SPDX-License-Identifier: Apache-2.0

// Package lvs keeps the kernel's IPVS table as it should be.
//
// What is wanted is a list of Entry values, in which Pool, or Weight alone, has decided each real server's weight. A
// Table brings it about: it reads the kernel's table through a Kernel, has Diff find the least that must change,
// remembers in an Ownership which services are ours, and makes the changes in place. Nothing is flushed, and services of
// others are left alone, unless ManageAll says that there are none.
//
// Beside the table, SyncDaemons keep the kernel's connection sync and a SysctlKeeper its settings as they should be.
// Both, like the table, belong to one network namespace.
//
// A single change goes through moby/ipvs. What that lacks goes through a wire, a few hundred lines of generic netlink:
// many changes in one system call, the whole table with statistics in one pass, attributes that it does not know, and
// connection sync.
//
// The tests with the build tag ipvs need root and a kernel with IPVS, in the lab if this machine's has none; the others
// run everywhere.
package lvs
