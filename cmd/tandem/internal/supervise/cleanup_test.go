// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
)

// An election was killed after its last sign of life, and the director noticed it late. The addresses stay until the peer may have
// taken over, however soon that is, and go then, whatever hangs.
func TestSupervisorKeepsTheAddressesUntilThePeerTakesOver(t *testing.T) {
	const tick = time.Millisecond
	for _, tt := range []struct {
		name     string
		interval time.Duration
		known    bool          // it is known when the master advertised
		spoke    time.Duration // the last advertisement, before the last sign of life
		noticed  time.Duration // the death, after the last sign
		kept     time.Duration // after the last sign
	}{
		{"at once", time.Second, true, 0, 0, 3 * time.Second},
		{"the advertisement was a little earlier", time.Second, true, 300 * time.Millisecond, 0, 2700 * time.Millisecond},
		{"only the sign of life is known", time.Second, false, 0, 0, 2 * time.Second},
		{"too late for a start", 100 * time.Millisecond, true, 0, 180 * time.Millisecond, 300 * time.Millisecond},
		{"too late to resume", 100 * time.Millisecond, true, 0, 310 * time.Millisecond, 300 * time.Millisecond},
		{"after the peer has taken over", 100 * time.Millisecond, true, 0, 400 * time.Millisecond, 0},
		{"no start is as quick", 10 * time.Millisecond, true, 0, 0, 30 * time.Millisecond},
	} {
		for _, hangs := range []string{"", "start", "other clean-up"} {
			synctest.Test(t, func(t *testing.T) {
				order := oneRouter("eth0", "192.0.2.100/24")
				order.Routers[0].AdvertInterval = tt.interval
				other := order.Routers[0]
				other.Name, other.VRID, other.VIPs = "backup", 52, []netip.Prefix{netip.MustParsePrefix("192.0.2.101/24")}
				order.Routers = append(order.Routers, other)
				b := start(t, order)
				c := b.child(t, 0)
				c.stop()
				c.report(t, master(1, tt.interval))
				if tt.known {
					c.spoke = map[string]message.Monotonic{"web": b.clock().Add(-tt.spoke)}
				}
				signed := time.Now()
				hang := b.hangs(hangs)
				time.Sleep(tt.noticed)
				c.die(errors.New("signal: killed"))
				synctest.Wait()
				for until := max(tt.kept+vrrp.Linger, tt.noticed); time.Since(signed) < until-tick; time.Sleep(tick) {
					synctest.Wait()
					if slices.Contains(b.removed(), "eth0 192.0.2.100/24") {
						t.Fatalf("%s, %q hangs: the address was removed %v after the last sign of life, want %v", tt.name, hangs, time.Since(signed), until)
					}
				}
				time.Sleep(2 * tick)
				synctest.Wait()
				if !slices.Contains(b.removed(), "eth0 192.0.2.100/24") {
					t.Errorf("%s, %q hangs: the address is still there after %v", tt.name, hangs, time.Since(signed))
				}
				close(hang)
				b.end(b.child(t, 1))
			})
		}
	}
}

// hangs makes the start of elections hang, or the removal of the address that is not kept, until the channel is closed.
func (b *bench) hangs(what string) chan struct{} {
	hang := make(chan struct{})
	spawn, remove := b.spawn, b.remove
	switch what {
	case "start":
		b.spawn = func() (Child, error) {
			<-hang
			return spawn()
		}
	case "other clean-up":
		var hung atomic.Bool // the timers of the kept addresses remove them meanwhile
		b.remove = func(routers []vrrp.Config) error {
			if len(routers) == 1 && routers[0].Name == "backup" && hung.CompareAndSwap(false, true) {
				<-hang
			}
			return remove(routers)
		}
	}
	return hang
}

// Each router has its own moment: that of a slow one does not hold the addresses of a fast one.
func TestSupervisorKeepsEachRouterForItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		order := oneRouter("eth0", "192.0.2.100/24")
		fast := order.Routers[0]
		fast.Name, fast.VRID, fast.AdvertInterval = "fast", 52, 100*time.Millisecond
		fast.VIPs = []netip.Prefix{netip.MustParsePrefix("192.0.2.101/24")}
		order.Routers = append(order.Routers, fast)
		b := start(t, order)
		hang := b.hangs("start")
		r := master(1, time.Second)
		r.Routers = append(r.Routers, r.Routers[0])
		r.Routers[1].Name, r.Routers[1].AdvertInterval = "fast", 100*time.Millisecond
		c := b.child(t, 0)
		c.stop()
		c.report(t, r)
		c.die(errors.New("signal: killed"))
		for _, want := range []struct {
			after time.Duration
			gone  []string
		}{
			{240 * time.Millisecond, nil},
			{260 * time.Millisecond, []string{"eth0 192.0.2.101/24"}},
			{2040 * time.Millisecond, []string{"eth0 192.0.2.101/24"}},
			{2060 * time.Millisecond, []string{"eth0 192.0.2.100/24", "eth0 192.0.2.101/24"}},
		} {
			time.Sleep(want.after - time.Duration(b.clock()-bootAge))
			synctest.Wait()
			if !slices.Equal(b.removed(), want.gone) {
				t.Errorf("after %v: removed %v, want %v", want.after, b.removed(), want.gone)
			}
		}
		close(hang)
		b.end(b.child(t, 1))
	})
}

// The director was stopped for almost two intervals, and then read the last sign of life. It counts from the last advertisement.
func TestSupervisorThatReadsASignLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, oneRouter("eth0", "192.0.2.100/24"))
		c := b.child(t, 0)
		c.stop()
		c.report(t, master(1, time.Second))
		spoke := b.clock()
		c.spoke = map[string]message.Monotonic{"web": spoke}
		time.Sleep(1900 * time.Millisecond)
		c.beat(t)
		c.die(errors.New("signal: killed"))
		next := b.child(t, 1)
		if o := <-next.orders; len(o.Resume) != 1 || o.Resume[0].Before != spoke.Add(3*time.Second) {
			t.Errorf("the next election is to resume %v, the last advertisement was at %v", o.Resume, spoke)
		}
		b.end(next)
	})
}

// A master that offers its place has told its peer to take over: there is nothing to resume, also if its report did not arrive.
func TestSupervisorDoesNotKeepWhatIsHandedOver(t *testing.T) {
	for _, reported := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, oneRouter("eth0", "192.0.2.100/24"))
			c := b.child(t, 0)
			r := master(1, time.Second)
			if reported {
				r.Routers[0].HandingOver = true
			} else {
				c.spoke = map[string]message.Monotonic{"web": -1}
			}
			c.report(t, r)
			c.die(errors.New("signal: killed"))
			next := b.child(t, 1)
			b.nothingToResume(t, next)
			b.end(next)
		})
	}
}

// A director whose checks find something while its election stands still sends another order. The master that dies then is
// nevertheless resumed, unless its configuration has changed.
func TestSupervisorResumesAfterAnOrderThatWasNotCarriedOut(t *testing.T) {
	for _, changed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, oneRouter("eth0", "192.0.2.100/24"))
			c := b.child(t, 0)
			c.report(t, master(1, time.Second))
			order := oneRouter("eth0", "192.0.2.100/24")
			order.Routers[0].Tracking = vrrp.Tracking{Delta: -10}
			if changed {
				order.Routers[0].VIPs = append(order.Routers[0].VIPs, netip.MustParsePrefix("192.0.2.101/24"))
			}
			b.Configure(order)
			synctest.Wait()
			c.die(errors.New("signal: killed"))
			next := b.child(t, 1)
			if o := <-next.orders; len(o.Resume) == 0 != changed || len(b.removed()) == 0 == changed {
				t.Errorf("changed %v: resume %v, removed %v", changed, o.Resume, b.removed())
			}
			b.end(next)
		})
	}
}
