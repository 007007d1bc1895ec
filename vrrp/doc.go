// SPDX-License-Identifier: Apache-2.0

// Package vrrp elects the master of a virtual router (RFC 9568) and holds its addresses.
package vrrp
