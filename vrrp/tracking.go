// SPDX-License-Identifier: Apache-2.0

package vrrp

import "fmt"

// Tracking is the combined result of everything that a virtual router tracks.
type Tracking struct {
	// Delta is added to the priority. The result stays within 1 and 254. An owner of the addresses stays at 255.
	Delta int `json:"delta,omitempty"`
	// Unclear says that some tracking results have not arrived yet. Until they arrive, a virtual router that is not master
	// runs at priority 1: it must not preempt a working master, but takes over if the master is gone. An owner of the
	// addresses stays at 255.
	Unclear bool `json:"unclear,omitempty"`
	// Fault says in words why the virtual router must not take part; empty: no fault.
	Fault string `json:"fault,omitempty"`
	// LastResort says that only scripts, checks and looks for processes have found the Fault. If no other master is heard, the virtual router is master in
	// spite of it, at priority 1.
	LastResort bool `json:"last_resort,omitempty"`
	// NoWitness says that the router has witnesses, machines that answer whoever is not cut off, and none is known to answer.
	// Then it does not take over from a silent master. It takes over from a master that leaves or that it preempts.
	NoWitness bool `json:"no_witness,omitempty"`
	// Granted is the Claim after which the other director is known to be fenced; 0: none.
	Granted uint64 `json:"granted,omitempty"`
	// Unsynced says that this director does not have the other one's connections yet. Then the router does not preempt its master, unless
	// that one runs at priority 1: see holds. It takes over from a master that leaves or falls silent. An owner of the addresses
	// preempts.
	Unsynced bool `json:"unsynced,omitempty"`
	// OfGroup says that Fault is the fault of another member of the sync group.
	OfGroup bool `json:"-"`
}

// Cause returns the fault as a Cause. Without a fault it returns the zero Cause.
func (t Tracking) Cause() Cause {
	switch {
	case t.Fault == "":
		return Cause{}
	case t.OfGroup:
		return Cause{Kind: FaultGroup, Text: t.Fault}
	}
	return Cause{Kind: FaultTracked, Text: t.Fault}
}

// AddInterfaces returns t with the effect of the tracked interfaces. An interface that links does not have yet has no effect.
func (t Tracking) AddInterfaces(tracked []TrackInterface, links map[string]Link) Tracking {
	return t.AddFaults(tracked, func(ti TrackInterface) (Cause, bool) {
		link, seen := links[ti.Interface]
		return link.FaultCause(), seen
	})
}

// AddFaults does the same with the faults that count. state returns the fault of an interface, and whether it is known.
func (t Tracking) AddFaults(tracked []TrackInterface, state func(TrackInterface) (Cause, bool)) Tracking {
	for _, ti := range tracked {
		cause, seen := state(ti)
		if !seen {
			continue
		}
		fault := cause.String()
		switch {
		case ti.Weight == 0 && fault != "":
			if t.Fault == "" {
				t.Fault = "tracked " + fault
			}
			t.LastResort = false
		case ti.Weight < 0 && fault != "", ti.Weight > 0 && fault == "":
			t.Delta += ti.Weight
		}
	}
	return t
}

// String returns the track with all that is configured of it.
func (t TrackInterface) String() string {
	s := t.Interface
	if t.Weight != 0 {
		s += fmt.Sprintf(" with weight %d", t.Weight)
	}
	if t.Debounce != (Debounce{}) {
		s += fmt.Sprintf(" after %s up, %s down", t.UpDelay, t.DownDelay)
	}
	return s
}

// A TrackInterface says how a fault of another interface affects a virtual router.
type TrackInterface struct {
	Interface string `json:"interface"`
	// Weight from -253 to -1 is added to the priority while the interface is at fault. Weight from 1 to 253 is added while it
	// works. With 0, a fault of the interface is a fault of the virtual router.
	Weight int `json:"weight"`
	// Debounce is how long a change of the interface must last before it has an effect.
	Debounce
}
