// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs/internal/nstest"
)

// A pair is a real server, 192.0.2.11 on eth0, and a neighbour of it.
type pair struct {
	t         *testing.T
	server    *nstest.NS
	neighbour *nstest.NS
	machine   *Machine
	dir       string
	record    fakeStore
	asks      *packet.Conn
	mac       net.HardwareAddr
}

// A fakeStore is a Store in memory.
type fakeStore struct {
	saved Saved
	err   error
}

func (s *fakeStore) Load() (Saved, error) { return s.saved, s.err }

func (s *fakeStore) Store(saved Saved) error {
	s.saved = saved
	return nil
}

func newMachine(dir string, record Store) *Machine {
	return New(Options{Log: hclog.NewNullLogger(), StateDir: dir, Record: record, WriteFile: os.WriteFile})
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t, server: nstest.New(t), neighbour: nstest.New(t), dir: t.TempDir()}
	nstest.Veth(t, p.server, "eth0", p.neighbour, "peer0")
	p.machine = newMachine(p.dir, &p.record)
	p.in(p.server, func() error { return addAddr("eth0", "192.0.2.11/24") })
	p.in(p.neighbour, func() error {
		ifi, err := net.InterfaceByName("peer0")
		if err != nil {
			return err
		}
		p.mac = ifi.HardwareAddr
		p.asks, err = packet.Listen(ifi, packet.Raw, unix.ETH_P_ARP, nil)
		return err
	})
	t.Cleanup(func() { _ = p.asks.Close() })
	return p
}

func (p *pair) in(ns *nstest.NS, f func() error) {
	p.t.Helper()
	var err error
	ns.Do(func() { err = f() })
	if err != nil {
		p.t.Fatal(err)
	}
}

func addAddr(iface, prefix string) error {
	dev, err := netlink.LinkByName(iface)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(prefix)
	if err != nil {
		return err
	}
	return netlink.AddrAdd(dev, a)
}

// apply applies and returns the commands.
func (p *pair) apply(c Config) (done []string) {
	p.t.Helper()
	p.in(p.server, func() error {
		steps, err := p.machine.Apply(c)
		done = commands(steps)
		return err
	})
	return done
}

func (p *pair) remove() (done []string) {
	p.t.Helper()
	p.in(p.server, func() error {
		steps, err := p.machine.Remove()
		done = commands(steps)
		return err
	})
	return done
}

// ask sends an ARP request for an address.
func (p *pair) ask(addr string) {
	p.t.Helper()
	q, err := arp.NewPacket(arp.OperationRequest, p.mac, netip.MustParseAddr("192.0.2.1"), make(net.HardwareAddr, 6), netip.MustParseAddr(addr))
	if err != nil {
		p.t.Fatal(err)
	}
	payload, err := q.MarshalBinary()
	if err != nil {
		p.t.Fatal(err)
	}
	frame := ethernet.Frame{Destination: ethernet.Broadcast, Source: p.mac, EtherType: ethernet.EtherTypeARP, Payload: payload}
	b, err := frame.MarshalBinary()
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.asks.WriteTo(b, &packet.Addr{HardwareAddr: ethernet.Broadcast}); err != nil {
		p.t.Fatal(err)
	}
}

// next returns the next ARP packet of the operation that the server sends, except answers to itself.
func (p *pair) next(op arp.Operation) arp.Packet {
	p.t.Helper()
	b := make([]byte, 2048)
	if err := p.asks.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	for {
		n, _, err := p.asks.ReadFrom(b)
		if err != nil {
			p.t.Fatalf("wait for an ARP packet: %v", err)
		}
		var f ethernet.Frame
		var q arp.Packet
		if f.UnmarshalBinary(b[:n]) == nil && q.UnmarshalBinary(f.Payload) == nil && q.Operation == op && !slices.Equal(f.Destination, asker) {
			return q
		}
	}
}

// answersFor tells whether the server answers for an address. It answers in turn, so that the answer for its own
// address, which is asked for second, ends the wait.
func (p *pair) answersFor(addr string) bool {
	p.t.Helper()
	p.ask(addr)
	p.ask("192.0.2.11")
	if first := p.next(arp.OperationReply); first.SenderIP.String() == "192.0.2.11" {
		return false
	}
	p.next(arp.OperationReply)
	return true
}

// senderOfRequests is the address that the server asks with when it sends from a VIP to a neighbour that it does not know.
func (p *pair) senderOfRequests(from string) string {
	p.t.Helper()
	p.in(p.server, func() error {
		dev, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		neighbour := net.ParseIP("192.0.2.77")
		_ = netlink.NeighDel(&netlink.Neigh{LinkIndex: dev.Attrs().Index, IP: neighbour}) // it may not be there
		conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.ParseIP(from)}, &net.UDPAddr{IP: neighbour, Port: 9})
		if err != nil {
			return err
		}
		_, err = conn.Write([]byte("x"))
		return errors.Join(err, conn.Close())
	})
	return p.next(arp.OperationRequest).SenderIP.String()
}

// settings reads every ARP and path setting of the server.
func (p *pair) settings() map[string]string {
	p.t.Helper()
	all := make(map[string]string)
	p.in(p.server, func() error {
		for _, iface := range []string{"all", "default", "lo", "eth0"} {
			for _, name := range []string{"arp_ignore", "arp_announce", "rp_filter", "arp_filter"} {
				text, err := os.ReadFile(filepath.Join(procSys, sysctl(iface, name)))
				if err != nil {
					return err
				}
				all[iface+"/"+name] = string(text)
			}
		}
		return nil
	})
	return all
}

func (p *pair) addresses() (all []string) {
	p.t.Helper()
	p.in(p.server, func() error {
		list, err := netlink.AddrList(nil, netlink.FAMILY_V4)
		for _, a := range list {
			all = append(all, a.IPNet.String()+" "+a.Label)
		}
		return err
	})
	return all
}

func TestApplySilencesAndRemoveLeavesTheMachineAsItWas(t *testing.T) {
	for _, tt := range []struct {
		method Method
		dropIn bool
	}{{Sysctl, false}, {Sysctl, true}, {ARPFilter, false}} {
		t.Run(tt.method.String(), func(t *testing.T) {
			p := newPair(t)
			p.in(p.server, func() error { // what a careless hand has left
				return errors.Join(addAddr("eth0", vip4+"/24"),
					os.WriteFile(filepath.Join(procSys, sysctl("eth0", "arp_announce")), []byte("1\n"), 0))
			})
			settings, addresses := p.settings(), p.addresses()
			if !p.answersFor(vip4) {
				t.Fatal("the server does not answer for the VIP before: nothing could be shown")
			}
			c := Config{VIPs: vips(vip4, vip6), Mode: DirectRouting, Method: tt.method}
			if tt.dropIn {
				c.DropIn = filepath.Join(t.TempDir(), "sysctl.d", "60-tandem.conf")
			}
			if len(p.apply(c)) == 0 {
				t.Error("nothing was done")
			}
			if p.answersFor(vip4) {
				t.Error("the server answers for the VIP")
			}
			if got := p.senderOfRequests(vip4); got != "192.0.2.11" {
				t.Errorf("the server asks as %s, want 192.0.2.11", got)
			}
			if got := p.addresses(); !slices.Contains(got, vip4+"/32 lo") || slices.Contains(got, vip4+"/24 eth0") {
				t.Errorf("addresses %v", got)
			}
			if again := p.apply(c); len(again) > 0 {
				t.Errorf("the second time it did %v", again)
			}
			if tt.dropIn {
				if _, err := os.Stat(c.DropIn); err != nil {
					t.Error(err)
				}
			}
			if got := p.settings(); tt.method == ARPFilter && !equal(got, settings) {
				t.Errorf("the filter changed settings: %v, were %v", got, settings)
			}
			p.remove()
			if got := p.settings(); !equal(got, settings) {
				t.Errorf("settings %v, were %v", got, settings)
			}
			if got := p.addresses(); !slices.Equal(got, addresses) {
				t.Errorf("addresses %v, were %v", got, addresses)
			}
			if !p.answersFor(vip4) {
				t.Error("after the removal the server is silent still")
			}
			if again := p.remove(); len(again) > 0 {
				t.Errorf("the second removal did %v", again)
			}
			if saved := p.record.saved; !reflect.ValueOf(saved).IsZero() {
				t.Errorf("the record is left: %+v", saved)
			}
			if _, err := os.Stat(c.DropIn); c.DropIn != "" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the sysctl file is left: %v", err)
			}
		})
	}
}

func equal(a, b map[string]string) bool {
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return len(a) == len(b)
}

func TestCheckChangesNothing(t *testing.T) {
	p := newPair(t)
	settings, addresses := p.settings(), p.addresses()
	p.in(p.server, func() error {
		steps, err := p.machine.Check(Config{VIPs: vips(vip4), Mode: DirectRouting, Method: Sysctl})
		if len(steps) != 5 {
			t.Errorf("steps %v, want four settings and the VIP", commands(steps))
		}
		return err
	})
	if !equal(p.settings(), settings) || !slices.Equal(p.addresses(), addresses) {
		t.Error("the machine was changed")
	}
	if left, err := os.ReadDir(p.dir); err != nil || len(left) > 0 {
		t.Errorf("files %v, %v", left, err)
	}
}

func TestTheSilenceComesFirst(t *testing.T) {
	p := newPair(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c := Config{VIPs: vips(vip4), Mode: DirectRouting, Method: Sysctl}
		for range 100 {
			p.server.Do(func() {
				_, applied := p.machine.Apply(c)
				_, removed := p.machine.Remove()
				if err := errors.Join(applied, removed); err != nil {
					t.Error(err)
				}
			})
		}
	}()
	asked, answered := 0, 0
	for running := true; running; asked++ {
		select {
		case <-ended:
			running = false
		default:
		}
		if p.answersFor(vip4) {
			answered++
		}
	}
	if t.Logf("asked %d times", asked); answered > 0 {
		t.Errorf("the server answered for the VIP %d times", answered)
	}
}

func TestADamagedRecordStopsEverything(t *testing.T) {
	p := newPair(t)
	p.record.err = errors.New("damaged")
	p.in(p.server, func() error {
		if _, err := p.machine.Apply(Config{VIPs: vips(vip4), Mode: DirectRouting, Method: Sysctl}); !errors.Is(err, p.record.err) {
			t.Errorf("error %v, want %v", err, p.record.err)
		}
		return nil
	})
	if slices.Contains(p.addresses(), vip4+"/32 lo") {
		t.Error("the VIP was added though nobody would know what to take off")
	}
}

func TestRunMendsWhatSomebodyChanges(t *testing.T) {
	p := newPair(t)
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		p.server.Do(func() {
			if err := p.machine.Run(ctx, Config{VIPs: vips(vip4), Mode: DirectRouting, Method: Sysctl}, func() { close(ready) }); err != nil {
				t.Errorf("run: %v", err)
			}
		})
	}()
	<-ready
	ignore := filepath.Join(procSys, sysctl("all", "arp_ignore"))
	p.in(p.server, func() error {
		dev, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.AddrDel(dev, &netlink.Addr{IPNet: network(whole(vips(vip4)[0]))})
		}
		return errors.Join(err, os.WriteFile(ignore, []byte("0"), 0))
	})
	changed := time.Now()
	for deadline := changed.Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		text := ""
		p.in(p.server, func() error {
			b, err := os.ReadFile(ignore)
			text = string(b)
			return err
		})
		if text == "1\n" && slices.Contains(p.addresses(), vip4+"/32 lo") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not mended: arp_ignore %q, addresses %v", text, p.addresses())
		}
	}
	t.Logf("mended after %v", time.Since(changed))
	remove := func() (err error) {
		p.in(p.server, func() error {
			_, err = p.machine.Remove()
			return nil
		})
		return err
	}
	if err := remove(); !errors.Is(err, ErrKept) || !slices.Contains(p.addresses(), vip4+"/32 lo") {
		t.Errorf("remove, which would be repaired: %v, addresses %v", err, p.addresses())
	}
	cancel()
	<-ended
	if !slices.Contains(p.addresses(), vip4+"/32 lo") {
		t.Error("the VIP went with the process")
	}
	if err := remove(); err != nil || slices.Contains(p.addresses(), vip4+"/32 lo") {
		t.Errorf("remove after the end: %v, addresses %v", err, p.addresses())
	}
}
