// SPDX-License-Identifier: Apache-2.0

package native

import (
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestRename: a reload gives a virtual router another name. It stays master, and without a peer no client notices.
func TestRename(t *testing.T) {
	t.Parallel()
	settings := lab.DuoSettings{Advert: time.Second}
	d := lab.NewDuo(t, settings)
	d.A.Launch()
	d.A.AwaitState(10*time.Second, "master")
	before, err := d.A.Status()
	if err != nil {
		t.Fatal(err)
	}
	probe := d.Steady()
	d.A.Configure(strings.Replace(settings.Config("director-a", lab.PriorityA), `name = "web"`, `name = "site"`, 1))
	reload(d.Lab, d.A)
	d.Eventually(5*time.Second, "the election knows the new name", func() error {
		now, err := d.A.Status()
		if err == nil && (now.VRRP[0].Name != "site" || now.VRRP[0].State == "initialize") {
			err = errNotYet
		}
		return err
	})
	after, err := d.A.Status()
	if err != nil {
		t.Fatal(err)
	}
	if r := after.VRRP[0]; r.State != "master" || !r.Since.Equal(before.VRRP[0].Since) {
		t.Errorf("under its new name: %+v, want master since %s", r, before.VRRP[0].Since)
	}
	if !d.A.Has(vip) {
		t.Error("director-a has lost the VIP")
	}
	if out, err := tandem(d.A, "failover", "site"); err == nil || !strings.Contains(out, "nobody took over") {
		t.Errorf("tandem failover site: %q, %v, want a command that reaches the router", out, err)
	}
	wantUnnoticed(t, d, "another name", probe)
}
