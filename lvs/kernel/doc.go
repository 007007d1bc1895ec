// SPDX-License-Identifier: Apache-2.0

// Package kernel keeps the kernel's IPVS table, its connection sync and its settings as they should be.
//
// IPVS reads and writes the table. A Table makes it equal to what is wanted: it finds the least that must change,
// remembers in an Ownership which services are ours, and changes them in place. It never flushes the table. It leaves
// other people's services alone, unless ManageAll says that there are none. SyncDaemons keep connection sync, and a
// SysctlKeeper keeps settings. All of them belong to one network namespace.
//
// A single change goes through moby/ipvs. What moby/ipvs lacks goes through a wire, a few hundred lines of generic
// netlink: many changes in one system call, the whole table with statistics in one pass, attributes that moby/ipvs does
// not know, and connection sync.
//
// The tests with the build tag ipvs need root and a kernel with IPVS. integration.TestLVSOnRealKernel runs them in the
// lab; the other tests run everywhere.
package kernel
