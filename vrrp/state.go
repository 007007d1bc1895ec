// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"net/netip"
	"time"
)

// A State is where a virtual router stands (RFC 9568, section 6.3, which calls the master Active), or Fault.
type State uint8

// The states of a virtual router.
const (
	Initialize State = iota + 1 // not started, or stopped
	Backup
	Master
	Fault // cannot take part, for a reason that may pass
)

var stateNames = [...]string{Initialize: "initialize", Backup: "backup", Master: "master", Fault: "fault"}

// String returns the state in lower case.
func (s State) String() string {
	if s >= Initialize && s <= Fault {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

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
		if stateNames[i] == string(text) {
			*s = i
			return nil
		}
	}
	return fmt.Errorf("%q is not a VRRP state", text)
}

// A Status tells how a virtual router is. It shares its slices with others, who must not change them.
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
	// Holding says that the VIPs must be on the interface: as master, and for a moment beyond that, as HandingOver says.
	Holding bool `json:"holding"`
	// HandingOver says that the router has offered its place, or has just given it up, and holds the VIPs only until
	// its successor has them. It must not announce them any more.
	HandingOver bool `json:"handing_over,omitempty"`
	// Standby says that the router stands back at priority 1, by command. It is false again when a master was told to,
	// and nobody took over.
	Standby bool `json:"standby,omitempty"`
	// Ready says that a member of a sync group could be master now and waits until all members can.
	Ready bool `json:"ready,omitempty"`
	// Priority is the configured one, EffectivePriority the one that stands for the election.
	Priority          uint8 `json:"priority"`
	EffectivePriority uint8 `json:"effective_priority"`
	// Tracking is what the election reckons with.
	Tracking Tracking `json:"tracking,omitzero"`
	// Master is the primary address of the current master: ours when master, the zero Addr when unknown.
	Master netip.Addr `json:"master"`
	// Since is the time of the last transition. Reason is its cause in words; in Fault the present fault, and for a
	// master that was to hand over why it does, or does no more.
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
	// Cause is what Reason says, for decisions.
	Cause          Cause          `json:"-"`
	AdvertInterval time.Duration  `json:"advert_interval"`
	VIPs           []netip.Prefix `json:"vips"`
	// RivalHeard is when this master last heard another that has to give way to it, to within rivalPause. Some neighbours
	// may know the VIPs at the other's MAC address.
	RivalHeard time.Time `json:"rival_heard,omitzero"`
	// Warnings are what is amiss although the router works, each a sentence with the words to mend it.
	Warnings []string `json:"warnings,omitempty"`
	Counters Counters `json:"counters"`
}
