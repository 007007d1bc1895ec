// SPDX-License-Identifier: Apache-2.0

//go:build broken_sync

package kernel

// startsNone is true in a build that only tests have: no daemon of connection sync is started, and none of the starts fails. Drills must
// notice it.
const startsNone = true
