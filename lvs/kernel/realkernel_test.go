// SPDX-License-Identifier: Apache-2.0

//go:build ipvs

// The tests of this file need root and a kernel with IPVS, and fail without. They work in namespaces of their own.

package kernel

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/tandem-lvs/tandem/lvs/internal/nstest"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// inNamespace runs f in a namespace that has addresses of both families, with an IPVS that is its own.
func inNamespace(t *testing.T, f func(k *IPVS)) {
	t.Helper()
	nstest.New(t).Do(func() {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			t.Error(err)
			return
		}
		for _, s := range []string{"192.0.2.1/24", "192.0.2.11/24", "192.0.2.100/32", "2001:db8::1/64"} {
			addr, err := netlink.ParseAddr(s)
			if err == nil {
				addr.Flags = unix.IFA_F_NODAD
				err = netlink.AddrAdd(lo, addr)
			}
			if err != nil {
				t.Errorf("add %s to lo: %v", s, err)
				return
			}
		}
		k := New(hclog.NewNullLogger())
		f(k)
		// The namespace ends later, and until then its services disturb the looks in others.
		if out, err := exec.Command("ipvsadm", "-C").CombinedOutput(); err != nil {
			t.Errorf("flush: %v: %s", err, out)
		}
		if err := k.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

// fullTable returns a table with every method, protocol and family, and every setting of a service or server.
func fullTable() []lvs.Entry {
	table := []lvs.Entry{
		entry("fwmark 7 (ipv4)", "rr", server("192.0.2.11:0", lvs.DR, 1), server("192.0.2.12:0", lvs.NAT, 2)),
		entry("fwmark 7 (ipv6)", "wlc", server("[2001:db8::11]:0", lvs.DR, 65535)),
	}
	for _, protocol := range []lvs.Protocol{lvs.TCP, lvs.UDP, lvs.SCTP} {
		for i, m := range []lvs.Method{lvs.DR, lvs.NAT, lvs.Tunnel} {
			table = append(table,
				entry(fmt.Sprintf("%s 192.0.2.100:%d", protocol, 80+i), "wrr",
					server(fmt.Sprintf("192.0.2.11:%d", 80+i), m, 0), server(fmt.Sprintf("192.0.2.12:%d", 80+i), m, 65535)),
				entry(fmt.Sprintf("%s [2001:db8::100]:%d", protocol, 80+i), "lc",
					server(fmt.Sprintf("[2001:db8::11]:%d", 80+i), m, 1)))
		}
	}
	table = append(table, specials()...)
	return sorted(append(table,
		entry("tcp 192.0.2.101:65535", "sh", server("192.0.2.11:8080", lvs.NAT, 1)),
		entry("tcp 192.0.2.102:1", "rr")))
}

// specials are services that the kernel's text does not show in full.
func specials() []lvs.Entry {
	with := func(e lvs.Entry, f func(*lvs.Service)) lvs.Entry { f(&e.Service); return e }
	tunnel := func(addr string, e lvs.Encapsulation) lvs.Server {
		s := server(addr, lvs.Tunnel, 1)
		s.Tunnel = e
		return s
	}
	limited := server("192.0.2.11:90", lvs.DR, 1)
	limited.UpperThreshold, limited.LowerThreshold = 100, 50
	return []lvs.Entry{
		with(entry("tcp 192.0.2.103:0", "wlc", server("192.0.2.11:0", lvs.DR, 1)),
			func(s *lvs.Service) { s.Persist(300*time.Second, 24) }),
		with(entry("tcp [2001:db8::103]:80", "wlc"), func(s *lvs.Service) { s.Persist(time.Second, 64) }),
		with(entry("fwmark 8 (ipv4)", "rr"), func(s *lvs.Service) { s.Persist(lvs.MaxTimeout, 1) }),
		with(entry("udp 192.0.2.103:5060", "rr"), func(s *lvs.Service) { s.Engine = "sip"; s.Persist(time.Minute, 0) }),
		with(entry("udp 192.0.2.103:53", "rr"), func(s *lvs.Service) { s.Flags = lvs.OnePacket }),
		with(entry("udp [2001:db8::103]:53", "rr"), func(s *lvs.Service) { s.Flags = lvs.OnePacket }),
		with(entry("tcp 192.0.2.103:81", "sh"), func(s *lvs.Service) { s.Flags = lvs.Fallback | lvs.SourcePort }),
		with(entry("tcp 192.0.2.103:82", "mh"), func(s *lvs.Service) { s.Flags = lvs.SourcePort }),
		entry("tcp 192.0.2.103:90", "rr", limited,
			tunnel("192.0.2.12:90", lvs.Encapsulation{Type: lvs.GUE, Port: 6080, Checksum: lvs.RemCsum}),
			tunnel("192.0.2.13:90", lvs.Encapsulation{Type: lvs.GRE, Checksum: lvs.Csum}),
			tunnel("[2001:db8::11]:90", lvs.Encapsulation{})),
		entry("tcp [2001:db8::103]:90", "rr", tunnel("192.0.2.12:90", lvs.Encapsulation{Type: lvs.GUE, Port: 1})),
	}
}

// mustApply makes the changes that lead to want and reports the differences that are left.
func mustApply(t *testing.T, k *IPVS, want []lvs.Entry, owned map[lvs.ServiceID]bool) {
	t.Helper()
	have, err := k.Read(t.Context())
	if err != nil {
		t.Error(err)
	}
	changes := lvs.Diff(have, want, owned)
	if done, err := k.Apply(t.Context(), changes); err != nil || done != len(changes) {
		t.Errorf("%d of %d changes made: %v", done, len(changes), err)
	}
	if have, err = k.Read(t.Context()); err != nil {
		t.Error(err)
	}
	if rest := lvs.Diff(have, want, owned); len(rest) > 0 {
		t.Errorf("after apply, still to do: %v", rest[:min(len(rest), 5)])
	}
}

func TestRealKernelProbe(t *testing.T) {
	if err := Probe(); err != nil {
		t.Error(err)
	}
}

func TestRealKernelProbeNeedsCapability(t *testing.T) {
	// The namespace's goroutine ends with its thread, and so do the capabilities that the thread gives away.
	nstest.New(t).Do(func() {
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			t.Errorf("drop capabilities: %v", err)
			return
		}
		if err := Probe(); !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
			t.Errorf("probe without capabilities: %v", err)
		}
		k := New(hclog.NewNullLogger())
		if _, err := k.Read(t.Context()); !errors.Is(err, unix.EPERM) {
			t.Errorf("read without capabilities: %v", err)
		}
	})
}

func TestRealKernelHoldsWhatItIsTold(t *testing.T) {
	inNamespace(t, func(k *IPVS) {
		want := fullTable()
		mustApply(t, k, want, nil)
		have, err := k.Read(t.Context())
		if err != nil || fmt.Sprint(have) != fmt.Sprint(want) {
			t.Errorf("read %v\n     %v\nwant %v", err, have, want)
		}
		rows, err := k.Look(t.Context())
		if err != nil {
			t.Error(err)
		}
		var ids []lvs.ServiceID
		var visible []lvs.Entry
		for _, e := range have {
			ids = append(ids, e.ServiceID)
			visible = append(visible, shown(e))
		}
		if looked := entriesOf(rows); len(lvs.Diff(looked, visible, nil)) != 0 || len(looked) != len(have) {
			t.Errorf("the look and the read differ:\nlook %v\nread %v", looked, have)
		}
		one, err := k.ReadServices(t.Context(), append(ids, id("tcp 192.0.2.250:1")))
		if err != nil || fmt.Sprint(one) != fmt.Sprint(have) {
			t.Errorf("one by one: %v\n     %v\nwant %v", err, one, have)
		}
		writes := k.Writes()
		mustApply(t, k, want, nil)
		if k.Writes() != writes {
			t.Errorf("%d writes to change nothing", k.Writes()-writes)
		}
		owned := make(map[lvs.ServiceID]bool)
		for _, e := range want {
			owned[e.ServiceID] = true
		}
		mustApply(t, k, nil, owned)
		if have, err := k.Read(t.Context()); err != nil || len(have) != 0 {
			t.Errorf("after removing everything: %v, %v", have, err)
		}
	})
}

// entriesOf are rows as entries. A firewall mark without servers is taken for one of IPv4.
func entriesOf(rows []lvs.Row) []lvs.Entry {
	entries := make([]lvs.Entry, len(rows))
	for i, r := range rows {
		if r.FWMark != 0 && r.Family == 0 {
			r.Family = lvs.IPv4
		}
		entries[i].Service = r.Service
		for _, s := range r.Servers {
			entries[i].Servers = append(entries[i].Servers, s.Server)
		}
	}
	return entries
}

func TestRealKernelSchedulers(t *testing.T) {
	inNamespace(t, func(k *IPVS) {
		for i, scheduler := range lvs.Schedulers() {
			name := fmt.Sprintf("tcp 192.0.2.100:%d", 1000+i)
			only := server(fmt.Sprintf("192.0.2.11:%d", 1000+i), lvs.DR, 1)
			want := []lvs.Entry{entry(name, scheduler, only)}
			_, err := k.Apply(t.Context(), lvs.Diff(nil, want, nil))
			if scheduler == "twos" && errors.Is(err, unix.ENOENT) {
				continue // newer than some kernels in use
			}
			if err != nil {
				t.Errorf("%s: %v", scheduler, err)
				continue
			}
			// From any scheduler to another, in place.
			mustApply(t, k, []lvs.Entry{entry(name, "wrr", only)}, nil)
			mustApply(t, k, want, nil)
		}
	})
}

func TestRealKernelErrors(t *testing.T) {
	inNamespace(t, func(k *IPVS) {
		mustApply(t, k, []lvs.Entry{entry(www, "rr", server("192.0.2.11:80", lvs.DR, 1))}, nil)
		known, unknown := service(www, "rr"), service(dns, "rr")
		there, missing := server("192.0.2.11:80", lvs.DR, 5), server("192.0.2.12:80", lvs.DR, 1)
		for _, c := range []struct {
			change lvs.Change
			want   error
			writes uint64
		}{
			{lvs.Change{Op: lvs.AddService, Service: service(www, "wlc")}, nil, 2},
			{lvs.Change{Op: lvs.AddService, Service: service(dns, "nosuch")}, unix.ENOENT, 1},
			{lvs.Change{Op: lvs.SetService, Service: unknown}, unix.ESRCH, 1},
			{lvs.Change{Op: lvs.DeleteService, Service: unknown}, nil, 1},
			{lvs.Change{Op: lvs.AddServer, Service: known, Server: there}, nil, 2},
			{lvs.Change{Op: lvs.SetServer, Service: known, Server: missing}, unix.ENOENT, 1},
			{lvs.Change{Op: lvs.DeleteServer, Service: known, Server: missing}, nil, 1},
			{lvs.Change{Op: lvs.DeleteServer, Service: unknown, Server: server("192.0.2.12:53", lvs.DR, 1)}, nil, 1},
			{lvs.Change{Op: lvs.AddServer, Service: unknown, Server: server("192.0.2.12:53", lvs.DR, 1)}, unix.ESRCH, 1},
			{lvs.Change{Op: lvs.AddServer, Service: known, Server: server("224.0.0.1:80", lvs.DR, 1)}, unix.EINVAL, 1},
			{lvs.Change{Op: lvs.AddServer, Service: known, Server: server("[2001:db8::11]:80", lvs.DR, 1)}, lvs.ErrInvalid, 0},
			{lvs.Change{Op: lvs.SetServer, Service: known, Server: server("192.0.2.11:80", lvs.DR, 65536)}, lvs.ErrInvalid, 0},
		} {
			before := k.Writes()
			done, err := k.Apply(t.Context(), []lvs.Change{c.change})
			if !errors.Is(err, c.want) || (c.want == nil) != (done == 1) {
				t.Errorf("%s: %d done, %v, want %v", c.change, done, err, c.want)
			}
			if got := k.Writes() - before; got != c.writes {
				t.Errorf("%s: %d writes, want %d", c.change, got, c.writes)
			}
		}
		have, err := k.Read(t.Context())
		want := []lvs.Entry{entry(www, "wlc", there)}
		if err != nil || fmt.Sprint(have) != fmt.Sprint(want) {
			t.Errorf("have %v, %v, want %v", have, err, want)
		}
	})
}

// TestRealKernelChangesInPlace: a connection through the service outlives every change that can be made in place.
func TestRealKernelChangesInPlace(t *testing.T) {
	inNamespace(t, func(k *IPVS) {
		mustApply(t, k, []lvs.Entry{entry(www, "rr", server("192.0.2.11:8080", lvs.NAT, 1))}, nil)
		l, err := net.Listen("tcp4", "192.0.2.11:8080")
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Close()
		echoed := make(chan struct{})
		go func() {
			defer close(echoed)
			if c, err := l.Accept(); err == nil {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}
		}()
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, Timeout: 5 * time.Second}
		c, err := dialer.Dial("tcp4", "192.0.2.100:80")
		if err != nil {
			t.Error(err)
			return
		}
		for _, want := range []lvs.Entry{
			entry(www, "rr", server("192.0.2.11:8080", lvs.NAT, 1)),
			entry(www, "wlc", server("192.0.2.11:8080", lvs.NAT, 1)),
			entry(www, "wlc", server("192.0.2.11:8080", lvs.NAT, 0)),
			entry(www, "wlc", server("192.0.2.11:8080", lvs.NAT, 7), server("192.0.2.12:80", lvs.DR, 1)),
			entry(www, "mh", server("192.0.2.11:8080", lvs.NAT, 1), server("192.0.2.12:80", lvs.Tunnel, 1)),
		} {
			mustApply(t, k, []lvs.Entry{want}, nil)
			if err := echo(c, want.String()); err != nil {
				t.Errorf("after %v: %v", want, err)
			}
			rows, err := k.Look(t.Context())
			active := 0
			for _, r := range rows {
				for _, s := range r.Servers {
					active += s.Active
				}
			}
			if err != nil || active != 1 {
				t.Errorf("after %v: %d active connections, want 1: %v", want, active, err)
			}
		}
		_ = c.Close()
		<-echoed
	})
}

func echo(c net.Conn, text string) error {
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	back := make([]byte, len(text))
	if _, err := io.ReadFull(c, back); err != nil {
		return err
	}
	if string(back) != text {
		return fmt.Errorf("sent %q, got %q", text, back)
	}
	return nil
}
