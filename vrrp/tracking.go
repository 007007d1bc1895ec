// SPDX-License-Identifier: Apache-2.0

package vrrp

// Tracking is the result of all that a virtual router tracks.
type Tracking struct {
	// Delta is added to the priority. The result stays within 1 and 254. An owner of the addresses stays at 255.
	Delta int `json:"delta,omitempty"`
	// Unclear says that some tracking results have not arrived yet. Until they arrive, a virtual router that is not master
	// runs at priority 1: it must not preempt a working master, but takes over if the master is gone. An owner of the
	// addresses stays at 255.
	Unclear bool `json:"unclear,omitempty"`
	// Fault says in words why the virtual router must not take part; empty: no fault.
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
