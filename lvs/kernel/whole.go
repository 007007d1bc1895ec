// SPDX-License-Identifier: Apache-2.0

//go:build !broken_sync

package kernel

// startsNone is false in every build that people use: connection sync is started. The build for the tests of drills is in broken.go.
const startsNone = false
