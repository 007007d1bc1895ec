// SPDX-License-Identifier: Apache-2.0

// Package lab gives end-to-end tests a small network of Linux hosts on a kernel that has IPVS.
//
// Not every kernel has IPVS, so the lab brings one. [Main] and [Enter] build their caller (a test binary, the demo or the
// benchmark) once more as a static binary, and run it inside:
//
//   - in namespaces of its own on this machine, where the running kernel has IPVS and the user is root;
//   - in a virtual machine that boots Debian's cloud kernel under qemu's software emulation everywhere else.
//
// Both places hold the same files. They come from Debian packages that are downloaded and unpacked into a cache directory,
// never installed. The inner run's output appears as it is written, and its exit code becomes the outer run's.
//
// Environment variables: TANDEM_LAB is "vm" or "direct" to choose the place, TANDEM_LAB_CACHE names the cache
// directory (default: tandem-lab in the user's cache directory), TANDEM_LAB_ACCEL is qemu's accelerator (default "tcg,thread=multi").
//
// Inside, [New] makes a lab for one test. Each host is a network namespace, and a bridge in another namespace joins them.
package lab
