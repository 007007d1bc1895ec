// SPDX-License-Identifier: Apache-2.0

package native

import (
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestRivalHeard: the master hears another master of lower priority, as after a network was split and joined again. It stays
// master, and announces the VIP again: half of the network may still send to the MAC address of the other master. If the other
// master sends a thousand advertisements a second, the number of announcements stays small.
func TestRivalHeard(t *testing.T) {
	t.Parallel()
	d := lab.NewDuo(t, lab.DuoSettings{Keys: "[vrrp.announce]\nrepeat = [\"0s\"]\nrefresh = \"0s\""})
	rival := d.Host("rival", "192.0.2.66/24")
	d.Launch()
	announced := d.Client.Capture("eth0", lab.Frame.IsAnnouncement)
	advert := lab.Advert{
		To: "01:00:5e:00:00:12", From: rival.MAC(), Source: "192.0.2.66", TTL: 255, Version: 3, VRID: 51,
		Priority: lab.PriorityB - 1, Centiseconds: 10, VIPs: []string{vip},
	}
	began := time.Now()
	span := 3 * time.Second
	rival.Flood(1000, span, [][]byte{advert.Frame()})
	took := time.Since(began)
	var heard []lab.Frame
	d.Eventually(5*time.Second, "director-a announces the VIP anew", func() error {
		if heard = from(announced.Frames(), d.A.Host, began); len(heard) == 0 {
			return errNotYet
		}
		return nil
	})
	d.Logf("announced %d times in %s, first %s after the rival was heard", len(heard), took, heard[0].When.Sub(began))
	// Each is a request and a reply. The rival is told of four times in the first second and then once a second, and each time
	// the VIP is announced three times within 200 ms.
	if most := 2 * 3 * (int(took/time.Second) + 4); len(heard) > most {
		t.Errorf("announced %d times in %s, want at most %d", len(heard), took, most)
	}
	for _, x := range []struct {
		*lab.Director
		want string
	}{{d.A, "master"}, {d.B, "backup"}} {
		if s, err := x.Status(); err != nil || s.VRRP[0].State != x.want {
			t.Errorf("%s: %+v, %v, want %s", x.Name, s.VRRP, err, x.want)
		}
	}
}
