// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"testing"
)

func TestLinkFault(t *testing.T) {
	tests := []struct {
		link Link
		want string
	}{
		{Link{Name: "eth0"}, "interface eth0 is missing"},
		{Link{Name: "eth0", Index: 2}, "interface eth0 is down"},
		{Link{Name: "eth0", Index: 2, Up: true}, "interface eth0 has no carrier"},
		{Link{Name: "eth0", Index: 2, Up: true, Carrier: true}, ""},
	}
	for _, tt := range tests {
		if got := tt.link.Fault(); got != tt.want {
			t.Errorf("%+v: fault %q, want %q", tt.link, got, tt.want)
		}
	}
}
