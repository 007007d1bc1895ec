// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"net"
	"net/netip"
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

// eventually polls until ok, for at most 15 s. The time in which the machine stalls does not count.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	var waited time.Duration
	for last := time.Now(); !ok(); time.Sleep(200 * time.Microsecond) {
		now := time.Now()
		if waited += min(now.Sub(last), 50*time.Millisecond); waited > 15*time.Second {
			t.Fatalf("not within 15 s: %s", what)
		}
		last = now
	}
}

// command runs f on a device inside the namespace and fails the test on its error.
func command(t *testing.T, ns *namespace, name string, f func(netlink.Link) error) {
	t.Helper()
	var err error
	ns.do(func() {
		var l netlink.Link
		if l, err = netlink.LinkByName(name); err == nil {
			err = f(l)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// run runs the announcer inside the namespace until the test ends or stop is called.
func run(t *testing.T, ns *namespace, a *Announcer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ns.do(func() {
			if err := a.Run(ctx); err != nil {
				t.Errorf("run: %v", err)
			}
		})
	}()
	stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(stop)
	return stop
}

// A sighting is an announcement that was captured.
type sighting struct {
	at       time.Time
	form     garp.Form
	addr     netip.Addr
	hardware string
	router   bool
}

// A capture records the announcements that arrive at an interface.
type capture struct {
	mu   sync.Mutex
	list []sighting
}

// newCapture captures announcements at an interface until the test ends.
func newCapture(t *testing.T, ns *namespace, name string) *capture {
	t.Helper()
	var conn *packet.Conn
	command(t, ns, name, func(l netlink.Link) (err error) {
		conn, err = packet.Listen(&net.Interface{Index: l.Attrs().Index}, packet.Raw, unix.ETH_P_ALL, nil)
		if err != nil {
			return err
		}
		raw, err := conn.SyscallConn()
		if err != nil {
			return err
		}
		const room = 32 << 20 // an announcer that does not pause fills the usual buffer in a few milliseconds
		failed := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room) })
		return errors.Join(err, failed)
	})
	c := &capture{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 2048)
		for {
			n, _, err := conn.ReadFrom(b)
			if err != nil && strings.Contains(err.Error(), unix.ENETDOWN.Error()) {
				continue // reported once; the socket hears again when the interface is up
			}
			if err != nil {
				return
			}
			c.record(b[:n])
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-ended
	})
	return c
}

func (c *capture) record(b []byte) {
	s := sighting{at: time.Now(), hardware: net.HardwareAddr(b[6:12]).String()}
	switch {
	case b[12] == 0x08 && b[13] == 0x06:
		s.form = garp.Form(b[21]) // the operations are numbered alike
		s.addr, _ = netip.AddrFromSlice(b[28:32])
	case b[12] == 0x86 && b[13] == 0xdd && b[20] == protocolICMPv6 && b[54] == 136:
		s.form = garp.Advertisement
		s.addr, _ = netip.AddrFromSlice(b[62:78])
		s.router = b[58]&0x80 != 0
	default:
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, s)
}

func (c *capture) all() []sighting {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.list[:len(c.list):len(c.list)]
}

func (c *capture) count(form garp.Form, addr netip.Addr) (n int) {
	for _, s := range c.all() {
		if s.form == form && s.addr == addr {
			n++
		}
	}
	return n
}

func newPair(t *testing.T) (ns, peer *namespace) {
	t.Helper()
	ns, peer = newNamespace(t), newNamespace(t)
	addVeth(t, ns, "eth0", peer, "peer0")
	return ns, peer
}

func hardwareOf(t *testing.T, ns *namespace, name string) (hw net.HardwareAddr) {
	t.Helper()
	command(t, ns, name, func(l netlink.Link) error {
		hw = l.Attrs().HardwareAddr
		return nil
	})
	return hw
}

// newAnnouncing runs an Announcer on eth0 of a namespace, and returns a capture of what its neighbour receives.
func newAnnouncing(t *testing.T) (*namespace, *capture, *Announcer) {
	t.Helper()
	ns, peer := newPair(t)
	seen := newCapture(t, peer, "peer0")
	a := NewAnnouncer("eth0", hclog.NewNullLogger())
	run(t, ns, a)
	return ns, seen, a
}
