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

// A Status tells how a virtual router is. It shares its VIPs with others, who must not change them.
type Status struct {
	Name      string `json:"name"`
	Interface string `json:"interface"`
	VRID      uint8  `json:"vrid"`
	Version   uint8  `json:"version"`
	State     State  `json:"state"`
	// Holding says that the VIPs must be on the interface: as master, and as one who has left and whose
	// successor has not been heard yet.
	Holding bool `json:"holding"`
	// Priority is the configured one, EffectivePriority the one that stands for the election.
	Priority          uint8 `json:"priority"`
	EffectivePriority uint8 `json:"effective_priority"`
	// Master is the primary address of the current master: ours when master, the zero Addr when unknown.
	Master netip.Addr `json:"master"`
	// Since and Reason are the time and the cause, in words, of the last transition; in Fault the reason is the present one.
	Since          time.Time      `json:"since"`
	Reason         string         `json:"reason"`
	AdvertInterval time.Duration  `json:"advert_interval"`
	VIPs           []netip.Prefix `json:"vips"`
	Counters       Counters       `json:"counters"`
}
