// SPDX-License-Identifier: Apache-2.0

package director

import (
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
)

// The worker of a configuration in force looks for its files of maintenance.
func TestFilesOfMaintenanceReachTheirWorker(t *testing.T) {
	cfg, err := configs.Parse("t.toml", []byte(`name = "lb1"
[[service]]
virtual = "192.0.2.100:80"
maintenance_file = "/m/{address}"
server = [{ address = "192.0.2.11" }, { address = "192.0.2.12" }]
`))
	if err != nil {
		t.Fatal(err)
	}
	d := New(Options{Config: cfg, Log: hclog.NewNullLogger()})
	d.carryOut(core.Effects{Config: cfg})
	if got := <-d.mail.maintenance; !slices.Equal(got, []string{"/m/192.0.2.11", "/m/192.0.2.12"}) {
		t.Errorf("looks for %q", got)
	}
}
