// SPDX-License-Identifier: Apache-2.0

// Package rollout puts a configuration into force on both directors of a pair, one after the other.
//
// Both directors plan first. If one refuses, nothing changes. Then the director that is master of fewer virtual routers applies, and
// the other one follows when the first is healthy: whatever was well before must be well again. Each applies with a time for the
// confirmation, and both are confirmed at the end. So a director that is not reached any more rolls back by itself, also if the
// program that runs this is killed. The director at the other end of the channel is confirmed first, because only it can become
// unreachable: as long as it is not known to have confirmed, this one can still roll back.
package rollout
