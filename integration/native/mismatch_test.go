// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestMismatchIsNamed: the status says in words where two routers differ.
func TestMismatchIsNamed(t *testing.T) {
	hmac := make([]byte, 28)
	hmac[0] = 1 // HMAC-SHA256, truncated
	d := lab.NewDuo(t, lab.DuoSettings{})
	other := d.Host("other", "192.0.2.66/24")
	d.Launch()
	for _, tt := range []struct {
		name   string
		advert lab.Advert
		want   string
	}{
		{"auth_hmac", lab.Advert{Centiseconds: 10, Trailer: hmac}, "192.0.2.66 signs its advertisements of VRID 51 with key 0 (auth_hmac"},
		{"advert_interval", lab.Advert{Centiseconds: 30}, "192.0.2.66 advertises VRID 51 every 300ms, we every 100ms"},
	} {
		a := tt.advert
		a.To, a.From, a.Source, a.TTL = "01:00:5e:00:00:12", other.MAC(), "192.0.2.66", 255
		a.Version, a.VRID, a.Priority, a.VIPs = 3, 51, 1, []string{vip}
		other.Flood(1000, 20*time.Millisecond, [][]byte{a.Frame()})
		for _, x := range []*lab.Director{d.A, d.B} {
			d.Eventually(5*time.Second, x.Name+" names it: "+tt.name, func() error {
				s, err := x.Status()
				if err == nil && !strings.Contains(strings.Join(s.Warnings, "\n"), tt.want) {
					err = fmt.Errorf("warnings %q", s.Warnings)
				}
				return err
			})
		}
	}
}

// TestDifferentIntervals: two directors have different intervals. In version 3 the backup learns the master's interval, and takes
// over from it. In version 2 each ignores the other, and both are master. The status names the difference.
func TestDifferentIntervals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, keys string
		a, b       time.Duration
		states     [2]string
		warns      []int // the directors that hear the other one
		want       string
	}{
		{"version 3", "", 100 * time.Millisecond, 300 * time.Millisecond, [2]string{"master", "backup"}, []int{1},
			"192.0.2.2 advertises VRID 51 every 100ms, we every 300ms, so the time of a failover depends on which is master"},
		{"version 2", "version = 2", time.Second, 2 * time.Second, [2]string{"master", "master"}, []int{0, 1},
			"so each ignores the other in version 2: set the same advert_interval on both"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := lab.NewDuo(t, lab.DuoSettings{})
			both := []*lab.Director{d.A, d.B}
			for i, advert := range []time.Duration{tt.a, tt.b} {
				both[i].Configure(lab.DuoSettings{Advert: advert, Keys: tt.keys}.Config(both[i].Name, []int{lab.PriorityA, lab.PriorityB}[i]))
			}
			for i, x := range both {
				x.Launch()
				x.AwaitState(15*time.Second, tt.states[i])
			}
			for _, i := range tt.warns {
				d.Eventually(10*time.Second, both[i].Name+" names the intervals", func() error {
					s, err := both[i].Status()
					if err == nil && !strings.Contains(strings.Join(s.Warnings, "\n"), tt.want) {
						err = fmt.Errorf("warnings %q", s.Warnings)
					}
					return err
				})
				both[i].AwaitState(time.Second, tt.states[i])
			}
			if tt.states[1] == "backup" {
				d.A.Isolate()
				d.B.AwaitState(10*time.Second, "master")
			}
		})
	}
}

// TestSourceAddressStays: addresses that are added to the interface do not become the source of advertisements, and no role
// changes.
func TestSourceAddressStays(t *testing.T) {
	d := lab.NewDuo(t, lab.DuoSettings{})
	d.Launch()
	before, err := d.A.Status()
	if err != nil {
		t.Fatal(err)
	}
	capture := d.Client.Capture("eth0", lab.Frame.IsVRRP)
	// After a stall of the machine, director-b may advertise itself once.
	heard := func() []lab.Frame { return from(capture.Frames(), d.A.Host, time.Time{}) }
	d.A.Run("ip", "addr", "add", "169.254.0.7/16", "dev", "eth0", "scope", "link")
	d.A.Run("ip", "addr", "add", "198.51.100.7/24", "dev", "eth0")
	added := time.Now()
	d.Eventually(5*time.Second, "ten advertisements", func() error {
		if len(heard()) < 10 || time.Since(added) < time.Second {
			return errNotYet
		}
		return nil
	})
	for _, f := range heard() {
		if src := fmt.Sprintf("%d.%d.%d.%d", f.Data[26], f.Data[27], f.Data[28], f.Data[29]); src != "192.0.2.2" {
			t.Fatalf("an advertisement came from %s, %s after the addresses were added; want 192.0.2.2", src, f.When.Sub(added))
		}
	}
	after, err := d.A.Status()
	if err != nil || after.VRRP[0].State != "master" || after.VRRP[0].Master != before.VRRP[0].Master {
		t.Errorf("the master is %+v, %v", after.VRRP, err)
	}
}
