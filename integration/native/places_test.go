// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/tandem-lvs/tandem/integration/lab"
)

const placed = "192.0.2.101" // on eth0, while its advertisements are on eth1

// otherPlaces makes a pair with two more virtual routers. cross advertises on a cable between the directors, from another address
// than the first one of the interface, and has a VIP on eth0. bare has no VIP, and a hook.
func otherPlaces(t *testing.T) lab.Duo {
	d := lab.NewDuo(t, lab.DuoSettings{})
	for i, x := range []*lab.Director{d.A, d.B} {
		x.Join("cross", fmt.Sprintf("10.0.0.%d/24", 2+i), fmt.Sprintf("10.0.0.%d/24", 12+i))
		priority := []int{lab.PriorityA, lab.PriorityB}[i]
		x.Configure(lab.DuoSettings{Tables: fmt.Sprintf(`
[[vrrp]]
name = "cross"
interface = "eth1"
carrier = "ignore"
source = "10.0.0.%d"
vrid = 52
priority = %d
advert_interval = "100ms"
down_adverts = 5
vips = [{ address = "%s/24", interface = "eth0" }]

[[vrrp]]
name = "bare"
interface = "eth0"
vrid = 53
priority = %d
advert_interval = "100ms"
  [[vrrp.hook]]
  on = ["master", "backup", "fault", "stop"]
  command = ["/usr/bin/busybox", "sh", "-c", 'echo $TANDEM_EVENT >> %s/told']
`, 12+i, priority, placed, priority, x.Dir())}.Config(x.Name, priority))
	}
	d.Launch()
	return d
}

// awaitPlaced waits until a director has the VIP of cross, and the other one has lost it.
func awaitPlaced(d lab.Duo, master, other *lab.Director) {
	awaitHas(d.Lab, 5*time.Second, master.Host, placed, true)
	awaitHas(d.Lab, 5*time.Second, other.Host, placed, false)
}

// TestOtherPlaces: a VIP on another interface than the advertisements. A hand-over has no gap, because the former master hears
// its successor announce the VIP on that interface. The VIP is put back there, and a fault of that interface is a fault of the
// virtual router. When the peer is off, and its cable with it, the master stays.
func TestOtherPlaces(t *testing.T) {
	t.Parallel()
	d := otherPlaces(t)
	awaitPlaced(d, d.A, d.B)
	if got := d.Client.WhoHas(placed); !slices.Equal(got, []string{d.A.MAC()}) {
		t.Errorf("%s is at %v, want eth0 of director-a, %s", placed, got, d.A.MAC())
	}
	if out, err := tandem(d.A, "status"); err != nil || !strings.Contains(out, placed+"/24@eth0") {
		t.Errorf("tandem status: %v\n%s", err, out)
	}
	d.Eventually(5*time.Second, "director-b knows the source of its master", func() error {
		if s, err := d.B.Status(); err != nil || s.VRRP[1].Master != "10.0.0.12" {
			return fmt.Errorf("%+v, %v", s.VRRP, err)
		}
		return nil
	})
	var wrong []lab.Finding
	found, _ := d.A.Doctor("-c", d.A.File)
	for _, f := range found {
		if !slices.Contains(hasNoIPVS, f.ID) {
			wrong = append(wrong, f)
		}
	}
	if len(wrong) > 0 {
		t.Errorf("the doctor found %+v", wrong)
	}

	probe := d.Client.Probe(placed + ":7")
	d.Answers(probe)
	if out, err := tandem(d.A, "failover", "cross"); err != nil {
		t.Fatalf("tandem failover: %q, %v", out, err)
	}
	awaitPlaced(d, d.B, d.A)
	wantUnnoticed(t, d, "tandem failover of a VIP on another interface", probe)
	if s, err := d.B.Status(); err != nil || s.VRRP[0].State != "backup" {
		t.Errorf("web moved too: %+v, %v", s.VRRP, err)
	}
	if out, err := tandem(d.A, "release"); err != nil {
		t.Fatalf("tandem release: %q, %v", out, err)
	}
	awaitPlaced(d, d.A, d.B)

	took := d.A.WatchAddress(placed)
	if err := d.A.Do(func() error { return deleteAddress("eth0", placed+"/24") }); err != nil {
		t.Fatal(err)
	}
	d.Eventually(time.Second, "the VIP is put back", func() error {
		if n := len(took.Changes()); n != 2 || !d.A.Has(placed) {
			return fmt.Errorf("%d changes", n)
		}
		return nil
	})

	d.A.Cut() // of eth0
	awaitPlaced(d, d.B, d.A)
	if s, err := d.A.Status(); err != nil || s.VRRP[1].State != "fault" || s.VRRP[1].Reason != "tracked interface eth0 has no carrier" {
		t.Errorf("without a carrier of the VIP's interface: %+v, %v", s.VRRP, err)
	}
	d.A.Plug()
	awaitPlaced(d, d.A, d.B)

	terminate(t, d.B)
	probe = d.Client.Probe(placed + ":7")
	d.Answers(probe)
	d.A.CutAt("cross")
	d.Throughout(time.Second, "director-a stays master", func() error {
		if s, err := d.A.Status(); err != nil || s.VRRP[1].State != "master" {
			return fmt.Errorf("%+v, %v", s.VRRP, err)
		}
		return nil
	})
	wantUnnoticed(t, d, "the cable of a peer that is off", probe)
}

func deleteAddress(link, prefix string) error {
	dev, err := netlink.LinkByName(link)
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(prefix)
	if err != nil {
		return err
	}
	return netlink.AddrDel(dev, addr)
}

// TestNoVIPs: a virtual router without VIPs elects a master, whose advertisements have no address. Its hook is told the states.
func TestNoVIPs(t *testing.T) {
	t.Parallel()
	d := otherPlaces(t)
	told := func(x *lab.Director, want string) {
		t.Helper()
		d.Eventually(5*time.Second, x.Name+" was told "+want, func() error {
			text, err := os.ReadFile(filepath.Join(x.Dir(), "told"))
			if lines := strings.Fields(string(text)); err != nil || len(lines) == 0 || lines[len(lines)-1] != want {
				return fmt.Errorf("%q, %v", text, err)
			}
			return nil
		})
	}
	told(d.A, "master")
	told(d.B, "backup")
	adverts := d.Client.Capture("eth0", func(f lab.Frame) bool { return f.IsVRRP() && f.Data[14+20+1] == 53 })
	if out, err := tandem(d.A, "failover", "bare"); err != nil {
		t.Fatalf("tandem failover: %q, %v", out, err)
	}
	told(d.B, "master")
	told(d.A, "backup")
	if s, err := d.B.Status(); err != nil || s.VRRP[2].State != "master" || s.VRRP[2].VIPs == nil || len(s.VRRP[2].VIPs) > 0 {
		t.Errorf("%+v, %v", s.VRRP, err)
	}
	for _, f := range adverts.Frames() {
		if count := f.Data[14+20+3]; count != 0 || f.Data[14+3] != 28 {
			t.Errorf("an advertisement with %d addresses, of %d bytes: %x", count, f.Data[14+3], f.Data)
		}
	}
	if len(adverts.Frames()) == 0 {
		t.Error("no advertisement was seen")
	}
	if out, err := tandem(d.B, "status"); err != nil || !strings.Contains(out, "bare") {
		t.Errorf("tandem status: %v\n%s", err, out)
	}
}

// TestNoVIPsWithKeepalived: keepalived has virtual routers without VIPs in version 2. Both hear each other. In version 3 it
// refuses them.
func TestNoVIPsWithKeepalived(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	d := l.Director("director-a", "192.0.2.2/24", `
[[vrrp]]
name = "bare"
interface = "eth0"
vrid = 51
version = 2
priority = 150
hook = [{ on = ["master"], command = ["/usr/bin/busybox", "true"] }]
`)
	peer := l.Host("director-b", "192.0.2.3/24")
	other := peer.Keepalived("", lab.KeepalivedRouter{Version: 2, Priority: 100, Advert: time.Second, VIPs: []string{}})
	d.Launch()
	d.AwaitState(10*time.Second, "master")
	l.Eventually(5*time.Second, "keepalived is backup", func() error {
		if out := other.Output(); strings.LastIndex(out, "Entering BACKUP STATE") <= strings.LastIndex(out, "Entering MASTER STATE") {
			return errNotYet
		}
		return nil
	})
	began := len(other.Output())
	if out, err := tandem(d, "failover"); err != nil {
		t.Fatalf("tandem failover: %q, %v", out, err)
	}
	s, err := d.Status()
	if err != nil || s.VRRP[0].State != "backup" || s.VRRP[0].Master != netip.MustParseAddr("192.0.2.3").String() || len(s.Warnings) > 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if out := other.Output()[began:]; !strings.Contains(out, "Entering MASTER STATE") {
		t.Errorf("keepalived:\n%s", out)
	}
	if out, err := tandem(d, "release"); err != nil {
		t.Fatalf("tandem release: %q, %v", out, err)
	}
	d.AwaitState(10*time.Second, "master")
	l.Eventually(5*time.Second, "keepalived gives way", func() error {
		if !strings.Contains(other.Output()[began:], "Entering BACKUP STATE") {
			return errNotYet
		}
		return nil
	})
	refused := l.Host("third", "192.0.2.4/24").Keepalived("", lab.KeepalivedRouter{Version: 3, VIPs: []string{}})
	l.Eventually(5*time.Second, "keepalived refuses it in version 3", func() error {
		if !strings.Contains(refused.Output(), "No VIP specified; at least one is required") {
			return errNotYet
		}
		return nil
	})
}
