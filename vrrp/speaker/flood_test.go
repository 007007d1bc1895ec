// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/internal/nstest"
)

const floodRate = 100_000 // packets a second

// flood sends packets at floodRate, taking turns among them, and reports how many it sent in the time d.
func flood(fd int, d time.Duration, packets [][]byte) (int, error) {
	to := &unix.SockaddrInet4{Addr: vrrp.Group4.As4()}
	start, n := time.Now(), 0
	for {
		elapsed := time.Since(start)
		if elapsed >= d {
			return n, nil
		}
		for due := int(elapsed.Seconds() * floodRate); n < due; n++ {
			if err := unix.Sendto(fd, packets[n%len(packets)], 0, to); err != nil {
				return n, err
			}
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// A gap is the result of gaps.
type gap struct {
	longest time.Duration // between two steps of the counter
	stall   time.Duration // of the machine: the longest time between two looks at the counter
}

// gaps watches a counter until the channel is closed.
func gaps(count func() uint64, until <-chan struct{}) (g gap) {
	looked, last, seen := time.Now(), time.Now(), count()
	for tick := time.NewTicker(time.Millisecond); ; {
		select {
		case <-until:
			tick.Stop()
			return g
		case <-tick.C:
			now := time.Now()
			g.stall, looked = max(g.stall, now.Sub(looked)), now
			if n := count(); n != seen {
				g.longest, last, seen = max(g.longest, now.Sub(last)), now, n
			}
		}
	}
}

func TestFloodDelaysNoAdvert(t *testing.T) {
	good := testAdvert(addrC, 51, 250, 100*time.Millisecond)
	with := func(i int, v byte) []byte { f := slices.Clone(good); f[i] = v; return f }
	patient := testHMAC(vrrp.HMACEnforce)
	patient.Window = vrrp.MaxTimeWindow // so that each forged signature must be computed
	for _, tt := range []struct {
		name    string
		packets [][]byte
		seen    bool // by the loop
		signing vrrp.HMAC
	}{
		{"other virtual routers", [][]byte{testAdvert(addrC, 99, 250, time.Second), testAdvert(addrC, 98, 0, time.Second)}, false, vrrp.HMAC{}},
		{"other versions and types", [][]byte{with(20, 0x41), with(20, 0x3f)}, false, vrrp.HMAC{}},
		{"our VRID, forged", [][]byte{with(26, good[26]^1), with(8, 64), with(20, 0x21), with(23, 0)}, true, vrrp.HMAC{}},
		{"our VRID, unsigned and signed with another key", [][]byte{good, forgedSignature(addrC, time.Now(), 250), forgedSignature(addrA, time.Now(), 0)},
			true, patient},
	} {
		t.Run(tt.name, func(t *testing.T) {
			nstest.Undisturbed(t, func(t testing.TB) {
				s, a, b := pairWith(t, tt.signing, 51)
				attacker := s.plug("192.0.2.3")
				done, said, heard := make(chan struct{}), make(chan gap, 1), make(chan gap, 1)
				go func() { said <- gaps(func() uint64 { return a.counters(51).AdvertsSent }, done) }()
				go func() { heard <- gaps(func() uint64 { return b.counters(51).AdvertsReceived }, done) }()
				sent := 0
				nstest.Command(t, attacker.ns, func() error {
					return withSocket("eth0", socket4, func(fd int) (err error) {
						sent, err = flood(fd, 2*time.Second, tt.packets)
						return err
					})
				})
				close(done)
				master, backup := <-said, <-heard
				var drops [2]uint64
				for i, p := range []*peer{a, b} {
					st := p.loop.Status()[0]
					for _, n := range st.Counters.Drops.All() {
						drops[i] += n
					}
					if want := [...]vrrp.State{vrrp.Master, vrrp.Backup}[i]; st.State != want || st.Counters.BecameMaster != uint64(1-i) {
						t.Errorf("%s: %s, became master %d times", p.port, st.State, st.Counters.BecameMaster)
					}
					if (drops[i] > 0) != tt.seen {
						t.Errorf("%s: the loop saw %d packets", p.port, drops[i])
					}
					if strays := p.loop.Stray(); strays != (vrrp.Drops{}) {
						t.Errorf("%s: %v", p.port, strays)
					}
				}
				if n := b.counters(51).Drops[vrrp.DropWrongHMAC]; (n > 0) != tt.signing.On() {
					t.Errorf("%d signatures computed", n)
				}
				// With room for a slow machine. Not all packets arrive: the kernel's queues are short.
				if master.longest > 300*time.Millisecond+master.stall {
					t.Errorf("%s without an advertisement; the machine itself stalled for %s", master.longest, master.stall)
				}
				t.Logf("%d packets in 2 s; seen by the master %d, by the backup %d; longest gap between adverts every 100 ms, as sent %s, as heard %s",
					sent, drops[0], drops[1], master.longest, backup.longest)
			})
		})
	}
}

// TestFloodOfWarnings: the notifications that a flood causes are bounded too, and so are the answers to it.
func TestFloodOfWarnings(t *testing.T) {
	nstest.Undisturbed(t, func(t testing.TB) {
		s := newBridge(t)
		c := fastConfig(51, 150)
		c.AdvertInterval = 500 * time.Millisecond // a busy machine may stop a loop for two shorter ones, and then a forger takes over
		a := s.plug("192.0.2.1", c)
		a.awaitState(51, vrrp.Master)
		attacker := s.plug("192.0.2.3")
		var forged [][]byte
		for i := range 200 {
			p := vrrp.Packet{Version: 3, VRID: 51, Priority: 1, Interval: 100 * time.Millisecond}
			p.VIPs = []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, 51}), netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})}
			src := netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)})
			forged = append(forged, p.AppendTo(appendIPv4Header(nil, src, vrrp.Group4, p.Len()), src, vrrp.Group4))
		}
		sent, began := a.counters(51).AdvertsSent, time.Now()
		nstest.Command(t, attacker.ns, func() error {
			return withSocket("eth0", socket4, func(fd int) error {
				_, err := flood(fd, time.Second, forged)
				return err
			})
		})
		is := a.counters(51)
		if n, most := is.AdvertsSent-sent, uint64(11*(time.Since(began)/c.AdvertInterval+2)); n > most || is.AnswersWithheld == 0 {
			t.Errorf("%d advertisements in %s, want at most %d; %d answers withheld", n, time.Since(began), most, is.AnswersWithheld)
		}
		a.await(51, "warnings", func(s vrrp.Status) bool { return len(s.Warnings) == vrrp.MaxWarnings })
		if n := len(a.notified(51)); n > 4*vrrp.MaxWarnings {
			t.Errorf("told %d times", n)
		}
		if st := a.loop.Status()[0]; st.State != vrrp.Master || st.Counters.BecameMaster != 1 {
			t.Errorf("%+v", st)
		}
		t.Log(fmt.Sprint(a.loop.Status()[0].Warnings[:2]))
	})
}

// forgedSignature returns an advertisement for VRID 51 that was signed with a key that nobody has.
func forgedSignature(src netip.Addr, wall time.Time, priority uint8) []byte {
	c := fastConfig(51, 100)
	c.HMAC = testHMAC(vrrp.HMACEnforce)
	c.HMAC.Keys[0].Secret = vrrp.NewSecret(make([]byte, vrrp.MinSecret))
	r := vrrp.NewRouter(c)
	r.Packet.Priority = priority
	r.Sign(wall)
	return r.Packet.AppendTo(appendIPv4Header(nil, src, vrrp.Group4, r.Packet.Len()), src, vrrp.Group4)
}

// BenchmarkForgedAdvert measures the cost of a forged packet that passes the filter.
func BenchmarkForgedAdvert(b *testing.B) {
	damaged := testAdvert(addrA, 51, 200, time.Second)
	damaged[26] ^= 1
	for _, tt := range []struct {
		name    string
		signing vrrp.HMAC
		packet  []byte
	}{
		{"checksum", vrrp.HMAC{}, damaged},
		{"unsigned", testHMAC(vrrp.HMACEnforce), testAdvert(addrA, 51, 200, time.Second)},
		{"another key", testHMAC(vrrp.HMACEnforce), forgedSignature(addrA, epoch, 250)},
		{"stale", testHMAC(vrrp.HMACEnforce), forgedSignature(addrA, epoch.Add(time.Minute), 250)},
	} {
		b.Run(tt.name, func(b *testing.B) {
			l, r, _ := socketless(nil)
			c := r.Config
			c.HMAC = tt.signing
			r.setConfig(c)
			b.ReportAllocs()
			for b.Loop() {
				l.receive(epoch, tt.packet)
			}
			if r.counters.received.Load() != 0 {
				b.Error("accepted")
			}
		})
	}
}
