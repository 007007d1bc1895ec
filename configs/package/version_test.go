// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"testing"
	"time"
)

// TestPackageVersion has the versions in the order in which they are installed over each other. dpkg confirms the order.
func TestPackageVersion(t *testing.T) {
	at := func(minute int) time.Time {
		return time.Date(2026, 11, 22, 13, minute, 54, 0, time.FixedZone("", 3600))
	}
	var before string
	for _, c := range []struct {
		described string
		committed time.Time
		deb, rpm  string
	}{
		{"4d3e49d", at(9), "0~20261122120954.g4d3e49d", "0~20261122120954.g4d3e49d"},
		{"0a1b2c3d4e-dirty", at(10), "0~20261122121054.g0a1b2c3d4e.dirty", "0~20261122121054.g0a1b2c3d4e.dirty"},
		{"v0.9.0", at(0), "0.9.0", "0.9.0"},
		{"v0.10.0-rc1", at(0), "0.10.0~rc1", "0.10.0~rc1"},
		{"v0.10.0-rc1-9-g2222222", at(0), "0.10.0~rc1+9.g2222222", "0.10.0~rc1^9.g2222222"},
		{"v0.10.0-rc1-10-g1111111", at(0), "0.10.0~rc1+10.g1111111", "0.10.0~rc1^10.g1111111"},
		{"v0.10.0-rc2", at(0), "0.10.0~rc2", "0.10.0~rc2"},
		{"v0.10.0", at(0), "0.10.0", "0.10.0"},
		{"v0.10.0-dirty", at(0), "0.10.0+0.dirty", "0.10.0^0.dirty"},
		{"v0.10.0-1-gabcdef0", at(0), "0.10.0+1.gabcdef0", "0.10.0^1.gabcdef0"},
		{"v0.10.0-1-gabcdef0-dirty", at(0), "0.10.0+1.gabcdef0.dirty", "0.10.0^1.gabcdef0.dirty"},
		{"v0.10.0-12-g0000000", at(0), "0.10.0+12.g0000000", "0.10.0^12.g0000000"},
		{"v0.10.1", at(0), "0.10.1", "0.10.1"},
		{"v1.0.0", at(0), "1.0.0", "1.0.0"},
	} {
		deb, err := packageVersion("deb", c.described, c.committed)
		if err != nil || deb != c.deb {
			t.Errorf("%s: deb %s (%v), want %s", c.described, deb, err, c.deb)
		}
		rpm, err := packageVersion("rpm", c.described, c.committed)
		if err != nil || rpm != c.rpm {
			t.Errorf("%s: rpm %s (%v), want %s", c.described, rpm, err, c.rpm)
		}
		if before != "" {
			if out, err := exec.Command("dpkg", "--compare-versions", before, "lt", deb).CombinedOutput(); err != nil {
				t.Errorf("dpkg --compare-versions %s lt %s: %v %s (the package dpkg has this command)", before, deb, err, out)
			}
		}
		before = deb
	}
	for _, described := range []string{"", "main", "1.2.3", "v1.2.3-", "v1.2.3_4", "4d3e49"} {
		if got, err := packageVersion("deb", described, at(0)); err == nil {
			t.Errorf("%q became %s", described, got)
		}
	}
}
