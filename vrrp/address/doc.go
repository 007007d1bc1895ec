// SPDX-License-Identifier: Apache-2.0

// Package address keeps on interfaces what the master of a virtual router holds: VIPs, routes, rules, and the macvlan
// interface of a virtual MAC address.
package address
