// SPDX-License-Identifier: Apache-2.0

package election

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/vrrp"
)

// An announced is a gratuitous ARP reply or a neighbour advertisement that the far end of the cable received.
type announced struct {
	at             time.Time
	addr, hardware string
	claims         string // the hardware address that it announces over IPv4
}

// A listener collects the announcements that the far end of the cable receives.
type listener struct {
	mu   sync.Mutex
	list []announced
}

func listen(t *testing.T) *listener {
	t.Helper()
	far, err := net.InterfaceByName("far0")
	if err != nil {
		t.Fatal(err)
	}
	const all = 0x0300 // every protocol, ETH_P_ALL in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, all)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: far.Index})
	}
	if err != nil {
		t.Fatal(err)
	}
	socket := os.NewFile(uintptr(fd), "far0")
	l := &listener{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 2048)
		for {
			n, err := socket.Read(b)
			if err != nil {
				return
			}
			l.note(b[:n])
		}
	}()
	t.Cleanup(func() {
		_ = socket.Close()
		<-ended
	})
	return l
}

func (l *listener) note(b []byte) {
	a := announced{at: time.Now(), hardware: net.HardwareAddr(b[6:12]).String()}
	switch {
	case b[12] == 0x08 && b[13] == 0x06 && b[21] == 2:
		a.addr, a.claims = net.IP(b[28:32]).String(), net.HardwareAddr(b[22:28]).String()
	case b[12] == 0x86 && b[13] == 0xdd && b[20] == 58 && b[54] == 136:
		a.addr = net.IP(b[62:78]).String()
	default:
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, a)
}

// await returns the first announcement of an address after a moment that ok accepts.
func (l *listener) await(t *testing.T, addr string, after time.Time, ok func(announced) bool) announced {
	t.Helper()
	var found announced
	if !eventually(func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, a := range l.list {
			if a.addr == addr && a.at.After(after) && ok(a) {
				found = a
				return true
			}
		}
		return false
	}) {
		t.Fatalf("%s was not announced", addr)
	}
	return found
}

func from(hardware string) func(announced) bool {
	return func(a announced) bool { return a.hardware == hardware }
}

func whatever(announced) bool { return true }

func eth0(t *testing.T) netlink.Link {
	t.Helper()
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	return link
}

// watchStalls returns a function. It says for how long in total the machine has not run this process since, or has kept a request
// about an interface waiting: in the kernel, all of those take turns, also those of other programs.
func watchStalls(t *testing.T) func() time.Duration {
	t.Helper()
	const pause = time.Millisecond
	stop, total := make(chan struct{}), make(chan time.Duration, 2)
	go func() {
		var waited time.Duration
		for {
			began := time.Now()
			_, _ = netlink.LinkByName("lo")
			waited += max(0, time.Since(began)-2*pause)
			select {
			case <-stop:
				total <- waited
				return
			case <-time.After(5 * pause):
			}
		}
	}()
	go func() {
		var stalled time.Duration
		for last := time.Now(); ; {
			select {
			case <-stop:
				total <- stalled
				return
			case <-time.After(pause):
			}
			now := time.Now()
			if late := now.Sub(last) - 2*pause; late > 0 {
				stalled += late
			}
			last = now
		}
	}()
	return func() time.Duration {
		close(stop)
		return <-total + <-total
	}
}

func TestElectionPutsBackAndAnnouncesWhatSomebodyDeletes(t *testing.T) {
	const most = 50 * time.Millisecond
	cable(t)
	heard := listen(t)
	r := newRig(t)
	both := routers("192.0.2.100/24") // and one more, of the other family
	both[0].ExcludedVIPs = append(both[0].ExcludedVIPs, netip.MustParsePrefix("2001:db8::100/64"))
	r.order(message.Order{Routers: both})
	r.holds("192.0.2.100/24")
	heard.await(t, "2001:db8::100", time.Time{}, whatever)
	before := r.asked(vrrp.Master).Routers[0]
	for range 5 {
		for _, prefix := range []string{"192.0.2.100/24", "2001:db8::100/64"} {
			gone := netip.MustParsePrefix(prefix)
			addr, err := netlink.ParseAddr(prefix)
			if err != nil {
				t.Fatal(err)
			}
			stalls, start := watchStalls(t), time.Now()
			if err := netlink.AddrDel(eth0(t), addr); err != nil {
				t.Fatal(err)
			}
			took := heard.await(t, gone.Addr().String(), start, whatever).at.Sub(start)
			stalled := stalls()
			t.Logf("%s was back and announced after %v, of which the process stalled %v", prefix, took, stalled)
			if took > most+stalled {
				t.Errorf("%s was back and announced after %v, want %v at most", prefix, took, most)
			}
			r.holds("192.0.2.100/24")
		}
	}
	after := r.asked(vrrp.Master).Routers[0]
	if !after.Since.Equal(before.Since) || after.Counters.BecameMaster != 1 {
		t.Errorf("master since %v, and since %v after that", before.Since, after.Since)
	}
	r.order(message.Order{Leave: true})
	r.ended()
}

func TestElectionAnnouncesAgainFromANewMACAddress(t *testing.T) {
	cable(t)
	heard := listen(t)
	r := newRig(t)
	once := routers("192.0.2.100/24")
	once[0].Announce = garp.Config{Repeat: []time.Duration{0}}
	r.order(message.Order{Routers: once})
	heard.await(t, "192.0.2.100", time.Time{}, from(eth0(t).Attrs().HardwareAddr.String()))
	hardware := net.HardwareAddr{0x02, 0, 0, 0, 0, 0x42}
	start := time.Now()
	if err := netlink.LinkSetHardwareAddr(eth0(t), hardware); err != nil {
		t.Fatal(err)
	}
	took := heard.await(t, "192.0.2.100", start, from(hardware.String())).at.Sub(start)
	t.Logf("announced from the new address after %v", took)
	r.order(message.Order{Leave: true})
	r.ended()
}

func TestElectionHoldsAllThatFollowsTheMaster(t *testing.T) {
	cable(t)
	heard := listen(t)
	r := newRig(t)
	all := routers("192.0.2.100/24")
	all[0].VirtualMAC, all[0].NoPrefixRoute = true, true
	all[0].Routes = []vrrp.Route{{To: netip.MustParsePrefix("198.51.100.0/24"), Device: "eth0"}}
	all[0].Rules = []vrrp.Rule{{Family: 4, Table: 70, Priority: 100}}
	r.order(message.Order{Routers: all})
	heard.await(t, "192.0.2.100", time.Time{}, from("00:00:5e:00:01:33"))
	there := func() (what []string) {
		if _, err := os.Stat("/proc/sys/net/ipv4/conf/vrrp.51"); err == nil {
			what = append(what, "interface")
		}
		routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Protocol: 112}, netlink.RT_FILTER_PROTOCOL)
		if err != nil {
			t.Fatal(err)
		}
		rules, err := netlink.RuleList(netlink.FAMILY_V4)
		if err != nil {
			t.Fatal(err)
		}
		for range routes {
			what = append(what, "route")
		}
		for _, rule := range rules {
			if rule.Protocol == 112 {
				what = append(what, "rule")
			}
		}
		return what
	}
	if !eventually(func() bool { return strings.Join(there(), " ") == "interface route rule" }) {
		t.Errorf("there is: %v", there())
	}
	r.reported(vrrp.Master)
	r.order(message.Order{Leave: true})
	r.ended()
	if left := there(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A virtual MAC address is announced once more when the former master has removed its addresses.
func TestVirtualMACIsAnnouncedAfterTheFormerMaster(t *testing.T) {
	plain := message.Router{Announce: garp.DefaultConfig()}
	virtual := plain
	virtual.VirtualMAC = true
	if got := announcement(plain); !slices.Equal(got.Repeat, plain.Announce.Repeat) {
		t.Errorf("without a virtual MAC address: %v", got.Repeat)
	}
	got := announcement(virtual).Repeat
	if !slices.IsSorted(got) || got[0] != 0 || !slices.Contains(got, vrrp.Linger) || len(got) <= len(plain.Announce.Repeat) {
		t.Errorf("with one: %v", got)
	}
	for _, usual := range plain.Announce.Repeat {
		if !slices.Contains(got, usual) {
			t.Errorf("with one: %v lacks %v", got, usual)
		}
	}
}
