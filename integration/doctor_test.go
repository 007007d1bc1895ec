// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestDoctorFindsTheServerThatAnswers: healthy machines have no findings. A real server that answers ARP for the VIP is named
// on both directors and on itself, and repaired there.
func TestDoctorFindsTheServerThatAnswers(t *testing.T) {
	t.Parallel()
	p := lab.NewPair(t, patient)
	p.Launch()
	web := p.Webs[0]
	all := map[*lab.Host][]string{p.A.Host: {"-c", p.A.File}, p.B.Host: {"-c", p.B.File}, web: {"--vip", vip}}
	healthy := func() error {
		for h, args := range all {
			if found, code := h.Doctor(args...); len(found) > 0 || code != 0 {
				return fmt.Errorf("on %s: %+v, exit code %d", h.Name, found, code)
			}
		}
		return nil
	}
	if err := healthy(); err != nil {
		t.Error(err)
	}

	web.Sysctl(map[string]string{"net.ipv4.conf.all.arp_ignore": "0", "net.ipv4.conf.all.arp_announce": "0"})
	for _, d := range []*lab.Director{p.A, p.B} {
		found, code := d.Doctor("-c", d.File)
		if len(found) == 0 || code != 3 || found[0].ID != "server-answers" || found[0].Severity != "error" ||
			!strings.Contains(found[0].What, "another machine claims "+vip+": "+web.MAC()+" (192.0.2.11, real server of ") {
			t.Errorf("on %s: %+v, exit code %d, want web1 named, %s", d.Name, found, code, web.MAC())
		}
	}
	found, code := web.Doctor("--vip", vip)
	if len(found) != 1 || found[0].ID != "not-silent" || !found[0].Fixable || code != 3 {
		t.Errorf("on web1: %+v, exit code %d", found, code)
	}
	if found, code := web.Doctor("--vip", vip, "--fix"); len(found) > 0 || code != 0 {
		t.Errorf("on web1 after the mending: %+v, exit code %d", found, code)
	}
	p.Eventually(20*time.Second, "all is well again", healthy)
}
