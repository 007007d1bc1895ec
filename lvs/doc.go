// SPDX-License-Identifier: Apache-2.0

// Package lvs keeps the kernel's IPVS table as it should be.
//
// What is wanted is a list of Entry values, in which Weight has decided each real server's weight. A Table brings it
// about: it reads the kernel's table through a Kernel, has Diff find the least that must change, remembers in an
// Ownership which services are ours, and makes the changes in place. Nothing is flushed, and services of others are
// left alone.
//
// The tests with the build tag ipvs need root and a kernel with IPVS; the others run everywhere.
package lvs
