// SPDX-License-Identifier: Apache-2.0

package vrrp

import "testing"

func TestTrackedInterfaces(t *testing.T) {
	up := Link{Name: "eth1", Index: 2, Up: true, Carrier: true}
	down := Link{Name: "eth1", Index: 2, Up: true}
	other := Link{Name: "eth2"}
	fault := Tracking{Fault: "tracked interface eth1 has no carrier"}
	for _, c := range []struct {
		why    string
		weight int
		link   *Link
		want   Tracking
	}{
		{"not seen yet", 0, nil, Tracking{}},
		{"well", 0, &up, Tracking{}},
		{"a fault without a weight is ours", 0, &down, fault},
		{"a negative weight counts at a fault", -50, &down, Tracking{Delta: -50}},
		{"and not otherwise", -50, &up, Tracking{}},
		{"a positive weight counts while all is well", 50, &up, Tracking{Delta: 50}},
		{"and not at a fault", 50, &down, Tracking{}},
	} {
		tracked := []TrackInterface{{Interface: "eth1", Weight: c.weight}}
		links := map[string]Link{"eth2": other}
		if c.link != nil {
			links["eth1"] = *c.link
		}
		if got := (Tracking{}).AddInterfaces(tracked, links); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.why, got, c.want)
		}
	}
	// The director's own tracking is added, and its fault comes first.
	// An interface without carrier leaves no last resort.
	own := Tracking{Delta: -10, Fault: "script /x: exit code 1", LastResort: true}
	tracked := []TrackInterface{{Interface: "eth1", Weight: -50}, {Interface: "eth1"}}
	if got, want := own.AddInterfaces(tracked, map[string]Link{"eth1": down}), (Tracking{Delta: -60, Fault: "script /x: exit code 1"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
