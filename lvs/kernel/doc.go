// SPDX-License-Identifier: Apache-2.0

// Package kernel maintains the kernel's IPVS table, its connection sync and kernel settings.
//
// IPVS reads and writes the table. A Table makes it equal to the wanted table:
//
//   - Apply writes a change at once and reads nothing. It costs the same with ten services and with ten thousand.
//   - Reconcile reads the whole table and repairs it.
//   - Look finds changes by other programs. It reads a slice of the table at a time, and uses at most 1 % of a processor
//     core.
//
// A Table remembers in an Ownership which services are ours. It changes them in place and never flushes the table. It does
// not change services of other programs, unless ManageAll is set. SyncDaemons maintain connection sync. Settings maintain
// files below /proc/sys, and remember their former values; a SysctlKeeper does this for net.ipv4.vs. All of this belongs to
// one network namespace. The caller passes in a Store for the values to remember.
//
// moby/ipvs makes single changes. A wire, a few hundred lines of generic netlink, makes the changes that moby/ipvs cannot
// make: see mobyCan.
//
// The tests with the build tag ipvs need root and a kernel with IPVS. integration.TestLVSOnRealKernel runs them in the
// lab; the other tests run everywhere.
package kernel
