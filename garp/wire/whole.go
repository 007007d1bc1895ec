// SPDX-License-Identifier: Apache-2.0

//go:build !broken_announcements

package wire

// mute is false in every build that people use: announcements are sent. The build for the tests of drills is in broken.go.
const mute = false
