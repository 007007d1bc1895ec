// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/tandem-lvs/tandem/lvs"
)

// TestDaemonReadsWhatWasStarted: all attributes are sent and read back.
func TestDaemonReadsWhatWasStarted(t *testing.T) {
	for _, s := range []lvs.Sync{
		{Interface: "eth0", ID: 255, Roles: lvs.SyncMaster},
		{Interface: "eth0", ID: 1, Group: netip.MustParseAddr("224.0.0.99"), Port: 9000, TTL: 7, MaxLen: 1400, Roles: lvs.SyncBackup},
		{Interface: "eth0", ID: 1, Group: netip.MustParseAddr("ff02::81"), Port: 1, TTL: 255, MaxLen: 65487, Roles: lvs.SyncMaster},
	} {
		if d, err := parseDaemon(appendDaemon(nil, s, s.Roles)); err != nil || d.Sync != s || d.Foreign {
			t.Errorf("%+v reads as %+v, %v", s, d, err)
		}
	}
	got := fmt.Sprint(lvs.Roles(0), lvs.SyncMaster, lvs.SyncBackup, lvs.SyncBoth, lvs.Roles(8))
	if got != "none master backup master and backup roles 0x8" {
		t.Error(got)
	}
}
