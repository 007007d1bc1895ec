// SPDX-License-Identifier: Apache-2.0

package vrrp

// Tracking is what the things that a virtual router tracks make of it.
type Tracking struct {
	// Delta is added to the priority, which stays within 1 and 254. It leaves an owner of the addresses at 255.
	Delta int `json:"delta,omitempty"`
	// Unclear tells that something tracked is not known yet. A virtual router that is not master stands back at priority 1
	// until it is, as one that owns the addresses cannot: it must not take the place of one that is well, and still takes
	// over from one that is gone.
	Unclear bool `json:"unclear,omitempty"`
	// Fault says in words why the virtual router must not take part; empty: it may.
	Fault string `json:"fault,omitempty"`
	// OfGroup says that Fault is the fault of another member of the sync group.
	OfGroup bool `json:"-"`
}

// Cause returns the fault, the zero Cause if there is none.
func (t Tracking) Cause() Cause {
	switch {
	case t.Fault == "":
		return Cause{}
	case t.OfGroup:
		return Cause{Kind: FaultGroup, Text: t.Fault}
	}
	return Cause{Kind: FaultTracked, Text: t.Fault}
}
