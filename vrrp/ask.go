// SPDX-License-Identifier: Apache-2.0

package vrrp

import "time"

// AskTime returns when a backup doubts that its master lives: an advertisement interval before it takes over from a master that
// is silent on all paths. That is the time to ask on the wire whether somebody still answers for the VIPs. The answer changes
// nothing in the election: a machine whose advertisements are lost may be alive, and one that is dead may have left its VIPs behind.
// The zero time: the router doubts nothing.
func (m *Machine) AskTime() time.Time {
	silence := m.state == Backup && m.master.IsValid() && !m.zero.IsValid() && !m.lower.source.IsValid()
	if !silence || m.ready || m.deadline.IsZero() {
		return time.Time{}
	}
	return m.deadline.Add(-m.learned)
}
