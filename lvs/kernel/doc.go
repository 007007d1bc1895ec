// SPDX-License-Identifier: Apache-2.0

// Package kernel keeps the kernel's IPVS table, its connection sync and kernel settings as they should be.
//
// IPVS reads and writes the table. A Table is the worker that makes it equal to what is wanted:
//
//   - Apply writes a change at once and reads nothing. It costs the same among ten services and ten thousand.
//   - Reconcile reads the whole table and repairs it.
//   - Look finds what others have changed, a slice of the table at a time, for at most 1 % of a processor core.
//
// A Table remembers in an Ownership which services are ours. It changes them in place, never flushes the table, and leaves
// other people's services alone, unless ManageAll says that there are none. SyncDaemons keep connection sync. Settings keep
// files below /proc/sys, and remember their former values; a SysctlKeeper does so for net.ipv4.vs. All of this belongs to
// one network namespace. What is remembered goes into a Store that the caller hands in.
//
// moby/ipvs makes single changes. A wire, a few hundred lines of generic netlink, does what moby/ipvs cannot: see mobyCan.
//
// The tests with the build tag ipvs need root and a kernel with IPVS. integration.TestLVSOnRealKernel runs them in the
// lab; the other tests run everywhere.
package kernel
