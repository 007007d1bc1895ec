// SPDX-License-Identifier: Apache-2.0

// Package link watches network interfaces: whether they work, and their addresses.
package link
