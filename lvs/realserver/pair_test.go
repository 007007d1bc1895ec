// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
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
	if err := p.asks.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
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

// answersFor reports whether the server answers for an address. It answers in turn, so that the answer for its own
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

// senderOfRequests returns the address that the server asks with when it sends from a VIP to a neighbour that it does not know.
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
