// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/garp"
)

// TestReferAnnouncesTheNewMaster: a former master whose successor announces nothing announces the addresses at the successor's
// hardware address, in frames that come from its own. It stops watching after that.
func TestReferAnnouncesTheNewMaster(t *testing.T) {
	t.Parallel()
	ns, peer := newPair(t)
	w, _ := watch(t, ns, "eth0")
	vip6 := netip.MustParseAddr("2001:db8::100")
	vips, successor := []netip.Addr{vip, vip6}, netip.MustParseAddr("192.0.2.2")
	seen, claims := newCapture(t, peer, "peer0"), observe(t, peer, "peer0")
	w.Set(vips)
	eventually(t, "the watcher listens", func() bool {
		return slices.ContainsFunc(seen.all(), func(s sighting) bool { return s.form == garp.Request })
	})
	sendAdvert(t, peer, successor)
	w.Refer(time.Now(), time.Now(), vips, successor)
	w.Set(nil)
	ours := hardwareOf(t, ns, "eth0").String()
	for len(vips) > 0 {
		select {
		case o := <-claims:
			if i := slices.Index(vips, o.Claimed); i >= 0 && o.Announced && o.From == server {
				vips = slices.Delete(vips, i, i+1)
			}
		case <-time.After(15 * time.Second):
			t.Fatalf("%v are not announced at the successor", vips)
		}
	}
	for _, s := range seen.all() {
		if s.hardware != ours && s.hardware != hardwareOf(t, peer, "peer0").String() {
			t.Errorf("a frame for %s comes from %s", s.addr, s.hardware)
		}
	}
}

// logged is the output of a log that another goroutine writes.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestReferSaysItOnce: an address that is announced for the new master again and again is one line of the log at level info.
func TestReferSaysItOnce(t *testing.T) {
	t.Parallel()
	ns, peer := newPair(t)
	lines := &logged{}
	w, _ := watchLogging(t, ns, "eth0", hclog.New(&hclog.LoggerOptions{Output: lines, Level: hclog.Debug}))
	successor := netip.MustParseAddr("192.0.2.2")
	seen, claims := newCapture(t, peer, "peer0"), observe(t, peer, "peer0")
	w.Set([]netip.Addr{vip})
	eventually(t, "the watcher listens", func() bool {
		return slices.ContainsFunc(seen.all(), func(s sighting) bool { return s.form == garp.Request })
	})
	sendAdvert(t, peer, successor)
	w.Refer(time.Now(), time.Now(), []netip.Addr{vip}, successor)
	w.Set(nil)
	for announced := 0; announced < 3; { // the request and the reply are one announcement
		select {
		case o := <-claims:
			if o.Announced && o.Claimed == vip && o.From == server && o.How == garp.Reply {
				announced++
			}
		case <-time.After(15 * time.Second):
			t.Fatalf("announced %d times", announced)
		}
	}
	text := lines.String()
	if first, more := strings.Count(text, "[INFO]"), strings.Count(text, "[DEBUG]"); first != 1 || more < 2 {
		t.Errorf("%d lines at level info and %d at level debug, want one and more:\n%s", first, more, text)
	}
}

// TestReferAfterGivingUpToNobody: a watcher without addresses listens for a master of addresses that were given up, or that a
// dead process may have had, before a master was heard.
func TestReferAfterGivingUpToNobody(t *testing.T) {
	ns, peer := newPair(t)
	w, _ := watch(t, ns, "eth0")
	successor := netip.MustParseAddr("192.0.2.2")
	claims := observe(t, peer, "peer0")
	w.GiveUp([]netip.Addr{vip})
	for begun := time.Now(); ; {
		// The first advertisement may come before the watcher listens, as in a network that is being repaired.
		sendAdvert(t, peer, successor)
		w.Refer(time.Now(), time.Now(), []netip.Addr{vip}, successor)
		select {
		case o := <-claims:
			if o.Announced && o.Claimed == vip && o.From == server {
				return
			}
		case <-time.After(300 * time.Millisecond):
		}
		if time.Since(begun) > 15*time.Second {
			t.Fatal("the address is not announced at the successor")
		}
	}
}

// TestReferLeavesItToTheNewMaster: a former master announces nothing if the successor announces the address itself.
func TestReferLeavesItToTheNewMaster(t *testing.T) {
	t.Parallel()
	ns, peer := newPair(t)
	w, _ := watch(t, ns, "eth0")
	successor, quiet := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.101")
	seen, claims := newCapture(t, peer, "peer0"), observe(t, peer, "peer0")
	w.Set([]netip.Addr{vip, quiet})
	eventually(t, "the watcher listens", func() bool {
		return slices.ContainsFunc(seen.all(), func(s sighting) bool { return s.form == garp.Request })
	})
	sendAdvert(t, peer, successor)
	// The machine may stall until the successor announces: so there is time for that.
	w.Refer(time.Now(), time.Now().Add(3*time.Second), []netip.Addr{vip, quiet}, successor)
	w.Set(nil)
	b, err := frame(garp.Reply, vip, net.HardwareAddr(server[:]), false)
	if err != nil {
		t.Fatal(err)
	}
	sendRaw(t, peer, b)
	for {
		select {
		case o := <-claims:
			if o.Announced && o.Claimed == vip && o.From == server {
				t.Error("announced what the successor has announced")
			}
			if o.Announced && o.Claimed == quiet { // both would have been announced at the same time, the VIP first
				return
			}
		case <-time.After(15 * time.Second):
			t.Fatal("the other address is not announced")
		}
	}
}

// observe returns what the frames that arrive at an interface say.
func observe(t *testing.T, ns *namespace, iface string) <-chan garp.Observation {
	t.Helper()
	var l *Listener
	var err error
	ns.do(func() { l, err = Listen(iface) })
	if err != nil {
		t.Fatal(err)
	}
	out, ended := make(chan garp.Observation, 1024), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(ended)
		if err := l.Run(ctx, func(o garp.Observation) { out <- o }); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return out
}

// sendAdvert sends the headers of an advertisement from a VRRP master at the hardware address server.
func sendAdvert(t *testing.T, ns *namespace, from netip.Addr) {
	t.Helper()
	b := append([]byte{1, 0, 0x5e, 0, 0, 0x12}, server[:]...)
	b = append(b, 0x08, 0x00, 0x45, 0xc0, 0, 20, 0, 0, 0, 0, hopLimit, protocolVRRP, 0, 0)
	b = append(append(b, from.AsSlice()...), 224, 0, 0, 18)
	sendRaw(t, ns, b)
}

func sendRaw(t *testing.T, ns *namespace, b []byte) {
	t.Helper()
	command(t, ns, "peer0", func(l netlink.Link) error {
		conn, err := packet.Listen(&net.Interface{Index: l.Attrs().Index}, packet.Raw, unix.ETH_P_IP, nil)
		if err != nil {
			return err
		}
		defer conn.Close()
		return write(conn, b)
	})
}
