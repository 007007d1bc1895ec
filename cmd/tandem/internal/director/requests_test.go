// SPDX-License-Identifier: Apache-2.0

package director

import (
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
)

// TestServerOrder: nothing of a command about a real server is lost on its way to the core, also not that it is a drill's.
func TestServerOrder(t *testing.T) {
	for c, want := range map[control.ServerCommand]core.ServerOrder{
		{Server: "www/192.0.2.11", Action: control.SetWeight, Weight: 7, Local: true}: {Request: 3, By: "alice", Server: "www/192.0.2.11", Action: control.SetWeight, Weight: 7, Local: true},
		{Server: "www/192.0.2.11", Action: control.Enable, Drill: true}:               {Request: 3, By: "alice", Server: "www/192.0.2.11", Action: control.Enable, Drill: true},
	} {
		if is := serverOrder(3, "alice", c); is != want {
			t.Errorf("%+v, want %+v", is, want)
		}
	}
}
