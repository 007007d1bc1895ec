// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestWitness: a backup that is cut off from its master and from the witness stands back, and the master goes on alone. When the
// network is mended, nothing changes. When the master is cut off instead, the backup takes over as quickly as without a witness, and the
// master lets go after witness_release. The client's machine is the witness: one director pings it, the other one asks by ARP.
func TestWitness(t *testing.T) {
	t.Parallel()
	const advert = 300 * time.Millisecond // three of these bridge a stall of the machine
	d := lab.NewDuo(t, lab.DuoSettings{Advert: advert})
	other := map[*lab.Director]string{d.A: "192.0.2.3", d.B: "192.0.2.2"}
	witness := map[*lab.Director]string{d.A: `"192.0.2.1"`, d.B: `{ neighbour = "192.0.2.1" }`} // a ping, and ARP
	for x, priority := range map[*lab.Director]int{d.A: lab.PriorityA, d.B: lab.PriorityB} {
		keys := fmt.Sprintf("witness = [%s]\nwitness_release = \"4s\"\nwitness_peer = [%q]\n", witness[x], other[x])
		x.Configure(lab.DuoSettings{Advert: advert, Keys: keys}.Config(x.Name, priority))
	}
	d.Launch()
	d.Throughout(2*time.Second, "director-a alone has the VIP", func() error { return alone(d, d.A, d.B) })

	d.B.Isolate()
	d.Throughout(5*time.Second, "the backup that is cut off stands back", func() error { return alone(d, d.A, d.B) })
	d.B.Rejoin()
	d.Throughout(2*time.Second, "the network is mended", func() error { return alone(d, d.A, d.B) })

	d.A.Isolate()
	watch, began := d.WatchStalls(), time.Now()
	d.B.AwaitState(5*time.Second, "master")
	took, stall, most := time.Since(began), watch.Stop(), d.MasterDown(lab.PriorityB)+500*time.Millisecond
	if took > most+stall {
		t.Errorf("director-b became master after %s, want %s at most; the machine itself stalled for %s", took, most, stall)
	}
	d.Eventually(15*time.Second, "the isolated master lets go", func() error { return alone(d, d.B, d.A) })
	d.Logf("the isolated master had the VIP for %s", time.Since(began).Round(10*time.Millisecond))
	d.A.Rejoin()
	d.A.AwaitState(10*time.Second, "master")
}

// alone fails unless only one of the two has the VIP.
func alone(d lab.Duo, holder, other *lab.Director) error {
	if !holder.Has(vip) || other.Has(vip) {
		return fmt.Errorf("VIP on %s: %t, on %s: %t", holder.Name, holder.Has(vip), other.Name, other.Has(vip))
	}
	return nil
}
