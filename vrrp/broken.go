// SPDX-License-Identifier: Apache-2.0

//go:build broken_handover

package vrrp

// breaksFirst is true in a build that only tests have: a master drops the VIPs at the moment it offers its place. Drills must notice it.
const breaksFirst = true
