// SPDX-License-Identifier: Apache-2.0

// Package lvs keeps the kernel's IPVS table as it should be.
package lvs
