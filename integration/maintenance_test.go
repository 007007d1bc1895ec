// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestMaintenanceAndTimeouts: a file drains a server, which then leaves the kernel's table; another file gives a weight; a range of
// addresses becomes services; and the timeouts of connections are set, and put back at the stop.
func TestMaintenanceAndTimeouts(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	d := l.Director("director", "192.0.2.2/24", "")
	maintenance, weight := d.Dir()+"/maintenance-192.0.2.11", d.Dir()+"/weight-192.0.2.12"
	d.Configure(fmt.Sprintf(`
[lvs.timeouts]
tcp = "1h"
udp = "10s"
[[service]]
virtual = "192.0.2.100-102:80"
on_failure = "weight-zero"
remove_after = "3s"
maintenance_file = "%[1]s/maintenance-{address}"
server = [{ address = "192.0.2.11" }, { address = "192.0.2.12" }]
check = { type = "file", file = "%[1]s/weight-{address}", interval = "100ms", timeout = "100ms", rise = 1 }
`, d.Dir()))
	timeouts := func(want string) func() error {
		return func() error {
			if is := d.Run("ipvsadm", "-L", "--timeout"); !strings.Contains(is, want) {
				return fmt.Errorf("%s; want %s", is, want)
			}
			return nil
		}
	}
	weights := func(first, second int) func() error {
		return func() error {
			is := d.Weights()
			if got, there := is["tcp 192.0.2.11"]; there != (first >= 0) || there && got != first || is["tcp 192.0.2.12"] != second {
				return fmt.Errorf("%v", is)
			}
			return nil
		}
	}
	if err := timeouts("900 120 300")(); err != nil {
		t.Fatal(err)
	}
	director := d.Launch()
	const soon = 20 * time.Second
	l.Eventually(soon, "both serve", weights(1, 1))
	l.Eventually(soon, "the timeouts are set", timeouts("3600 120 10"))
	if n := strings.Count(d.Table(), "TCP"); n != 3 {
		t.Errorf("%d services, want 3:\n%s", n, d.Table())
	}
	d.Run("ipvsadm", "--set", "60", "60", "60")
	l.Eventually(40*time.Second, "the timeouts are set again", timeouts("3600 60 10"))

	d.WriteFile("weight-192.0.2.12", "20\n")
	l.Eventually(soon, "the file gives the weight", weights(1, 20))
	d.WriteFile("maintenance-192.0.2.11", "")
	l.Eventually(soon, "the file drains", weights(0, 20))
	if s := tandem(t, d, "status"); !strings.Contains(s, "drained for maintenance, because "+maintenance+" exists") {
		t.Errorf("status does not say that it is drained:\n%s", s)
	}
	l.Eventually(soon, "it leaves the table", weights(-1, 20))
	for _, file := range []string{maintenance, weight} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	l.Eventually(soon, "both serve as before", weights(1, 1))
	director.Signal(syscall.SIGTERM)
	director.Wait(soon)
	l.Eventually(soon, "the timeouts are put back", timeouts("900 60 300"))
}
