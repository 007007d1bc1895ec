// SPDX-License-Identifier: Apache-2.0

//go:build !broken_handover

package vrrp

// breaksFirst is false in every build that people use: a master that hands over keeps the VIPs until its successor has them. The build
// for the tests of drills is in broken.go.
const breaksFirst = false
