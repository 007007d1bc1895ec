// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"net/netip"
	"time"
)

// Counters are the events of one virtual router since it was configured.
type Counters struct {
	// AdvertsSent and AdvertsReceived include priority 0. AdvertsReceived excludes dropped packets.
	AdvertsSent          uint64 `json:"adverts_sent"`
	AdvertsReceived      uint64 `json:"adverts_received"`
	PriorityZeroSent     uint64 `json:"priority_zero_sent"`
	PriorityZeroReceived uint64 `json:"priority_zero_received"`
	SendErrors           uint64 `json:"send_errors"`
	// AnswersWithheld counts the advertisements of others that a master did not answer, because it had just answered many.
	AnswersWithheld uint64 `json:"answers_withheld,omitempty"`
	// BecameMaster counts the transitions to master.
	BecameMaster uint64 `json:"became_master"`
	// Lateness is how late a master sent its regular advertisements.
	Lateness Lateness `json:"lateness"`
	// Takeovers is how long nobody advertised when this router took over from a master that it had heard.
	Takeovers Takeovers `json:"takeovers,omitzero"`
	// LongestGap is the longest time between two advertisements of a master.
	LongestGap time.Duration `json:"longest_gap"`
	// Drops counts the packets of this VRID that were discarded.
	Drops Drops `json:"drops"`
}

// A Refusal is the latest packet that was refused for a reason.
type Refusal struct {
	Reason string `json:"reason"` // as in Drops
	Count  uint64 `json:"count"`
	// Last is exact to within a second. From is the sender that the packet named, which may be forged.
	Last time.Time  `json:"last"`
	From netip.Addr `json:"from"`
}
