// SPDX-License-Identifier: Apache-2.0

package message

import (
	"testing"

	"github.com/tandem-lvs/tandem/vrrp"
)

func TestResumeEnds(t *testing.T) {
	for _, tt := range []struct {
		what    string
		before  Monotonic
		state   vrrp.State
		masters uint64
		want    bool
	}{
		{"has not started", 1, vrrp.Initialize, 0, false},
		{"is master", 1, vrrp.Master, 1, true},
		{"was too late", 1, vrrp.Backup, 0, false},
		{"was master, and has given way before it reported", 1, vrrp.Backup, 1, true},
		{"cannot take part", 1, vrrp.Fault, 0, true},
		{"was handed over by a predecessor", 0, vrrp.Backup, 0, true},
	} {
		if got := ResumeEnds(tt.before, vrrp.Status{State: tt.state, Counters: vrrp.Counters{BecameMaster: tt.masters}}); got != tt.want {
			t.Errorf("a router that %s: %t, want %t", tt.what, got, tt.want)
		}
	}
}
