// SPDX-License-Identifier: Apache-2.0

package report

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/lvs"
)

// Consecutive ports, and consecutive addresses with the same ports, are written as they may be written in the file.
func TestVirtualsAreWrittenAsRanges(t *testing.T) {
	for given, want := range map[string]string{
		"192.0.2.10:80": "192.0.2.10:80",
		"192.0.2.10:80 192.0.2.11:80 192.0.2.12:80":                 "192.0.2.10-192.0.2.12:80",
		"192.0.2.10:80 192.0.2.10:81 192.0.2.11:80 192.0.2.11:81":   "192.0.2.10-192.0.2.11:80-81",
		"192.0.2.10:80 192.0.2.11:81":                               "192.0.2.10:80, 192.0.2.11:81",
		"192.0.2.10:80 192.0.2.12:80":                               "192.0.2.10:80, 192.0.2.12:80",
		"192.0.2.10:80 192.0.2.10:443 192.0.2.11:80 192.0.2.11:443": "192.0.2.10:80, 192.0.2.10:443, 192.0.2.11:80, 192.0.2.11:443",
		"[2001:db8::9]:80 [2001:db8::a]:80":                         "[2001:db8::9-2001:db8::a]:80",
	} {
		var all []lvs.Service
		for _, s := range strings.Fields(given) {
			ap := netip.MustParseAddrPort(s)
			all = append(all, lvs.Service{ServiceID: lvs.ServiceID{Protocol: lvs.TCP, Addr: ap.Addr(), Port: ap.Port()}})
		}
		if got := virtuals(all); got != want {
			t.Errorf("%s: %q, want %q", given, got, want)
		}
	}
}
