// SPDX-License-Identifier: Apache-2.0

// Package garp decides when a moved address is announced, and which machine is a rival that claims it too.
//
// It is pure: time and frames are passed in, decisions are returned. Package garp/wire does the I/O.
package garp
