// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"net/netip"
	"time"
)

// A State is the state of a virtual router: Fault, or one of RFC 9568, section 6.3. The RFC calls the master Active.
type State uint8

// The states of a virtual router. A router in Fault cannot take part, for a reason that may pass.
const (
	Initialize State = iota + 1 // initialize
	Backup                      // backup
	Master                      // master
	Fault                       // fault
)

// MarshalText implements encoding.TextMarshaler. It refuses a value that is no state.
func (s State) MarshalText() ([]byte, error) {
	if s < Initialize || s > Fault {
		return nil, fmt.Errorf("%s is not a VRRP state", s)
	}
	return []byte(s.String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler. It accepts what String returns.
func (s *State) UnmarshalText(text []byte) error {
	for i := Initialize; i <= Fault; i++ {
		if i.String() == string(text) {
			*s = i
			return nil
		}
	}
	return fmt.Errorf("%q is not a VRRP state", text)
}

// A Status describes a virtual router at one moment. Its slices are shared and must not be changed.
type Status struct {
	Name      string `json:"name"`
	Interface string `json:"interface"`
	VRID      uint8  `json:"vrid"`
	Version   uint8  `json:"version"`
	// Family is 4 or 6.
	Family uint8 `json:"family"`
	// Group is the sync group, empty: none.
	Group string `json:"group,omitempty"`
	State State  `json:"state"`
	// Holding says that the VIPs must be on the interface: as master, and for a moment after that (HandingOver).
	Holding bool `json:"holding"`
	// HandingOver says that the router has offered its place, or has a successor, and keeps the VIPs only until its
	// successor has them. It must not announce them any more.
	HandingOver bool `json:"handing_over,omitempty"`
	// Successor is the router that has taken over, while this one keeps the VIPs until that one was heard to announce them.
	Successor netip.Addr `json:"-"`
	// Standby says that the router is at priority 1 by command. If a master enters standby and nobody takes over, it becomes
	// false.
	Standby bool `json:"standby,omitempty"`
	// Ready says that a member of a sync group could be master now and waits until all members could.
	Ready bool `json:"ready,omitempty"`
	// Priority is the configured priority. EffectivePriority is the one that the election uses.
	Priority          uint8 `json:"priority"`
	EffectivePriority uint8 `json:"effective_priority"`
	// Tracking is the tracking result that the election uses.
	Tracking Tracking `json:"tracking,omitzero"`
	// Master is the primary address of the current master: ours when master, the zero Addr when unknown.
	Master netip.Addr `json:"master"`
	// Since is the time of the last transition. Reason is its cause in words. In Fault, Reason is the present fault. For a
	// master that hands over, or has just ended a hand-over, Reason says why.
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
	// Cause is the cause behind Reason, for decisions.
	Cause          Cause          `json:"-"`
	AdvertInterval time.Duration  `json:"advert_interval"`
	VIPs           []netip.Prefix `json:"vips"`
	// HMAC is how advertisements are signed, without the secrets.
	HMAC HMAC `json:"hmac,omitzero"`
	// Refusals are the latest packets that were refused for their signature, one for each reason.
	Refusals []Refusal `json:"refusals,omitempty"`
	// RivalHeard is when this master last heard another master that must give way to it, or gave way. It is exact to within
	// 100 ms at first, and to within a second if there are more. Some neighbours may have the other master's MAC address for
	// the VIPs.
	RivalHeard time.Time `json:"rival_heard,omitzero"`
	// Contested is when the latest contest began: this master heard another master, and stays. The last advertisement of the
	// master that it has replaced does not count. A contest is over when no other master was heard for 5 s.
	Contested time.Time `json:"contested,omitzero"`
	// TwoMasters are the moments with two masters, as this router has heard them.
	TwoMasters TwoMasters `json:"two_masters,omitzero"`
	// Silent says that the master of a backup with witnesses has missed an advertisement.
	Silent bool `json:"silent,omitempty"`
	// Doubted is when this backup last missed so many advertisements that it takes over an interval later (Machine.AskTime).
	Doubted time.Time `json:"-"`
	// Paths are the router's interface and the paths of its heartbeat. Without a heartbeat there are none.
	Paths []PathStatus `json:"paths,omitempty"`
	// Claim is not 0 while the router waits, as backup, for Tracking.Granted to be the same: then it takes over. Each claim has
	// another number, also after a restart. It ends when a master is heard.
	Claim uint64 `json:"claim,omitempty"`
	// Held says that the router hears a master that it would preempt, and that only Tracking.Unsynced keeps it from that. Preempts says
	// that it is Held, or that it is about to preempt.
	Held     bool `json:"held,omitempty"`
	Preempts bool `json:"preempts,omitempty"`
	// Warnings are problems that do not stop the router, each a sentence that says what to do.
	Warnings []string `json:"warnings,omitempty"`
	// WireWarnings are those of Warnings that others' packets have shown.
	WireWarnings []string `json:"wire_warnings,omitempty"`
	Counters     Counters `json:"counters"`
}
