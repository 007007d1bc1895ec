// SPDX-License-Identifier: Apache-2.0

// Package lab gives end-to-end tests a small network of Linux hosts on a kernel that has IPVS.
//
// Not every kernel has IPVS, so the lab brings one. The program that uses it, a test binary or the demo, is built
// once more as a static binary and moves, by [Main] or [Enter], to where it can work:
//
//   - where the running kernel has IPVS and the user is root: into namespaces of its own on this machine;
//   - anywhere else: into a virtual machine that boots Debian's cloud kernel under qemu's software emulation.
//
// Both places hold the same files: Debian packages that are downloaded and unpacked, never installed, and kept in a
// cache directory. Output streams back as it comes, and the exit code of the inner run is that of the outer one.
//
// Environment variables: TANDEM_LAB is "vm" or "direct" to choose the place, TANDEM_LAB_CACHE names the cache
// directory (default: tandem-lab in the user's), TANDEM_LAB_ACCEL is qemu's accelerator (default "tcg,thread=multi").
//
// Inside, [New] makes a lab for one test: hosts are network namespaces, joined by a bridge in one more.
package lab
