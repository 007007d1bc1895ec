// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"slices"
	"strings"
	"testing"
)

func TestCheckSysctl(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"expire_nodest_conn", "1", ""},
		{"expire_nodest_conn", "2", "want 0 to 1"},
		{"expire_nodest_conn", "-1", "want 0 to 1"},
		{"expire_nodest_conn", "on", "want 0 to 1"},
		{"expire_nodest_conn", "", "want 1 numbers"},
		{"expire_nodest_con", "1", "there is no setting net.ipv4.vs.expire_nodest_con"},
		{"../../ip_forward", "1", "there is no setting"},
		{"sync_threshold", "3 50", ""},
		{"sync_threshold", "3\t50", ""},
		{"sync_threshold", "3 0", ""},
		{"sync_threshold", "3", "want 2 numbers"},
		{"sync_threshold", "50 50", "second number above the first"},
		{"sync_ports", "4", ""},
		{"sync_ports", "3", "power of two"},
	} {
		check(t, c.name+" "+c.value, CheckSysctl(c.name, c.value), c.want)
	}
}

func TestSysctlsAreDocumented(t *testing.T) {
	all := Sysctls()
	if len(all) != 27 || !slices.IsSortedFunc(all, func(a, b Sysctl) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("%d settings, want 27 in order", len(all))
	}
	for _, s := range all {
		if s.Recommended != "" && CheckSysctl(s.Name, s.Recommended) != nil {
			t.Errorf("%s: the recommendation %q is invalid", s.Name, s.Recommended)
		}
		if !strings.HasSuffix(s.Why, ".") {
			t.Errorf("%s: why: %q", s.Name, s.Why)
		}
	}
}
