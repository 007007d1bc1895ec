// SPDX-License-Identifier: Apache-2.0

// Package address maintains a master's resources on interfaces: VIPs, routes, rules, and the macvlan interface of a virtual
// MAC address.
package address
