// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// everyService returns services that together use every attribute of a service.
func everyService() []lvs.Service {
	with := func(name, scheduler string, f func(*lvs.Service)) lvs.Service {
		s := service(name, scheduler)
		f(&s)
		return s
	}
	return []lvs.Service{
		service(www, "rr"),
		service(six, "fifteenletter15"),
		service("sctp 192.0.2.100:65535", "mh"),
		service("fwmark 4294967295 (ipv6)", "sh"),
		with("tcp 192.0.2.100:0", "wlc", func(s *lvs.Service) { s.Persist(lvs.MaxTimeout, 1) }),
		with("tcp 192.0.2.100:81", "wlc", func(s *lvs.Service) { s.Persist(time.Second, 31) }),
		with("tcp [2001:db8::100]:81", "wlc", func(s *lvs.Service) { s.Persist(time.Second, 127) }),
		with(dns, "sh", func(s *lvs.Service) { s.Flags = lvs.OnePacket | lvs.Fallback | lvs.SourcePort }),
		with("udp 192.0.2.100:5060", "rr", func(s *lvs.Service) { s.Engine = "sip"; s.Persist(time.Minute, 0) }),
	}
}

// everyServer returns real servers that together use every attribute of a real server.
func everyServer() []lvs.Server {
	return []lvs.Server{
		server("192.0.2.11:80", lvs.DR, 0),
		server("192.0.2.11:0", lvs.NAT, lvs.MaxWeight),
		server("[2001:db8::11]:80", lvs.Tunnel, 1),
		through(lvs.GUE, 6080, lvs.RemCsum), through(lvs.GRE, 0, lvs.Csum), through(lvs.GUE, 65535, 0),
		limited(math.MaxUint32, 1),
	}
}

func TestMessagesReadAsTheyWereWritten(t *testing.T) {
	stats := lvs.Stats{
		Connections: 1 << 40, InPackets: 2, OutPackets: 3, InBytes: 1 << 63, OutBytes: 5,
		ConnectionRate: 6, InPacketRate: 7, OutPacketRate: 8, InByteRate: 9, OutByteRate: 10,
	}
	for _, s := range everyService() {
		var counted lvs.Stats
		got, ok := parseService(appendStats(appendService(nil, s, true), serviceStats, stats), &counted)
		if !ok || got != s || counted != stats {
			t.Errorf("%+v reads as %+v, %v, %+v", s, got, ok, counted)
		}
		if got, ok := parseService(appendService(nil, s, false), nil); !ok || got != (lvs.Service{ServiceID: s.ServiceID}) {
			t.Errorf("the name of %s reads as %+v, %v", s, got, ok)
		}
	}
	for _, s := range everyServer() {
		for _, counted := range []bool{false, true} {
			want := lvs.ServerStatus{Server: s.Canonical()}
			if counted {
				want.Stats = stats
			}
			got, err := parseServer(appendStats(appendServer(nil, s, true), serverStats, stats), lvs.IPv6, counted)
			if err != nil || got != want {
				t.Errorf("%+v reads as %+v, %v", s, got, err)
			}
		}
	}
}

// TestMobyMeansTheSame: a single change has the same result in the kernel as a batch.
func TestMobyMeansTheSame(t *testing.T) {
	for _, s := range everyService() {
		if got := fromService(toService(s)); got != s {
			t.Errorf("%+v becomes %+v", s, got)
		}
	}
	for _, s := range everyServer() {
		in := service(www, "rr")
		if s.Addr.Is6() {
			in = service(six, "rr")
		}
		change := lvs.Change{Op: lvs.AddServer, Service: in, Server: s}
		if got := fromDestination(toDestination(s)); (got == s.Canonical()) != mobyCan([]lvs.Change{change}) {
			t.Errorf("%+v becomes %+v", s, got)
		}
	}
	mixed := lvs.Change{Op: lvs.SetServer, Service: service(www, "rr"), Server: server("[2001:db8::11]:80", lvs.Tunnel, 1)}
	if mobyCan([]lvs.Change{mixed}) {
		t.Error("moby/ipvs cannot send an address of another family")
	}
}

func TestPrefixesThatAreNone(t *testing.T) {
	mask := func(m uint32) uint32 {
		return binary.NativeEndian.Uint32(binary.BigEndian.AppendUint32(nil, m))
	}
	for _, c := range []struct {
		netmask uint32
		family  lvs.Family
		want    uint8
	}{
		{mask(0xffffffff), lvs.IPv4, 0}, {mask(0xffffff00), lvs.IPv4, 24}, {mask(0x80000000), lvs.IPv4, 1},
		{mask(0), lvs.IPv4, lvs.OtherPrefix}, {mask(0xff00ff00), lvs.IPv4, lvs.OtherPrefix}, {mask(0x7fffffff), lvs.IPv4, lvs.OtherPrefix},
		{128, lvs.IPv6, 0}, {64, lvs.IPv6, 64}, {0, lvs.IPv6, lvs.OtherPrefix}, {129, lvs.IPv6, lvs.OtherPrefix}, {256 + 64, lvs.IPv6, lvs.OtherPrefix},
	} {
		if got := prefixOf(c.netmask, c.family); got != c.want {
			t.Errorf("%08x, %s: %d, want %d", c.netmask, c.family, got, c.want)
		}
	}
}

func TestMessagesCutShort(t *testing.T) {
	whole := appendServer(nil, server("192.0.2.11:80", lvs.DR, 1), true)
	for n := range len(whole) {
		if s, err := parseServer(whole[:n], lvs.IPv4, true); err == nil || !errors.Is(err, errMalformed) {
			t.Fatalf("%d of %d bytes: %v, %v", n, len(whole), s, err)
		}
	}
	if s, ok := parseService(whole, nil); ok {
		t.Errorf("a server is the service %v", s)
	}
	if d, err := parseDaemon(whole); err == nil {
		t.Errorf("a server is the daemon %v", d)
	}
	for _, b := range [][]byte{{1}, make([]byte, unix.SizeofNlMsghdr), append([]byte{200, 0, 0, 0}, make([]byte, 12)...)} {
		err := eachMessage(b, func(uint16, uint32, []byte) error { return nil })
		if !errors.Is(err, errMalformed) {
			t.Errorf("%v: %v", b, err)
		}
	}
}

func FuzzMessages(f *testing.F) {
	for _, s := range everyService() {
		f.Add(appendStats(appendService(nil, s, true), serviceStats, lvs.Stats{Connections: 1}))
	}
	for _, s := range everyServer() {
		f.Add(appendStats(appendServer(nil, s, true), serverStats, lvs.Stats{Connections: 1}))
	}
	f.Add(appendDaemon(nil, lvs.Sync{Interface: "eth0", Group: defaultSyncGroup, Port: 1}, lvs.SyncMaster))
	f.Add([]byte{3, 0, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, ok := parseService(b, new(lvs.Stats)); ok && s.Prefix != lvs.OtherPrefix && len(s.Scheduler) < 100 {
			s.Flags &^= flagHashed
			if got, ok := parseService(appendService(nil, s, true), nil); !ok || got != s {
				t.Errorf("%+v reads as %+v, %v", s, got, ok)
			}
		}
		if s, err := parseServer(b, lvs.IPv4, true); err == nil && s.Method != 0 {
			got, err := parseServer(appendServer(nil, s.Server, true), lvs.IPv4, false)
			if err != nil || got.Server != s.Server {
				t.Errorf("%+v reads as %+v, %v", s, got, err)
			}
		}
		if _, err := parseDaemon(b); err != nil && !errors.Is(err, errMalformed) {
			t.Error(err)
		}
		_ = eachMessage(b, func(_ uint16, _ uint32, data []byte) error {
			if len(data) > len(b) {
				t.Errorf("%d bytes out of %d", len(data), len(b))
			}
			return nil
		})
	})
}

// An errSocket answers every system call with an error.
type errSocket struct{ read, write error }

func (s errSocket) Read([]byte) (int, error)    { return 0, s.read }
func (s errSocket) Write(b []byte) (int, error) { return len(b), s.write }
func (s errSocket) Close() error                { return nil }

func TestWirePassesErrorsOn(t *testing.T) {
	for _, s := range []errSocket{{read: unix.ENOBUFS}, {write: unix.ENOBUFS}} {
		w := newWire(s, fakeFamily)
		if _, err := w.exec(1, func(b []byte, _ int) (uint8, []byte) { return cmdGetInfo, b }); !errors.Is(err, unix.ENOBUFS) {
			t.Errorf("exec: %v", err)
		}
		if err := w.dump(cmdGetService, nil, nil); !errors.Is(err, unix.ENOBUFS) {
			t.Errorf("dump: %v", err)
		}
	}
}

// TestWireIgnoresOldAnswers: an answer to an earlier command does not count for the present one.
func TestWireIgnoresOldAnswers(t *testing.T) {
	_, f := newFake(t)
	socket := &fakeSocket{kernel: f, closed: make(chan struct{}), answers: make(chan []byte, 10)}
	w := newWire(socket, fakeFamily)
	w.seq = math.MaxUint32 - 1 // the numbers may start again in the middle
	for _, seq := range []uint32{0, 5, math.MaxUint32 - 1} {
		old := binary.NativeEndian.AppendUint32(make([]byte, 8), seq)
		socket.answer(append(old, 0, 0, 0, 0), unix.NLMSG_ERROR, binary.NativeEndian.AppendUint32(nil, ^uint32(0)))
	}
	s := []lvs.Service{service(www, "rr"), service(www, "rr"), service(dns, "rr")}
	failed, err := w.exec(3, func(b []byte, i int) (uint8, []byte) { return cmdNewService, appendService(b, s[i], true) })
	if got := fmt.Sprint(failed, err); got != "map[1:file exists] <nil>" {
		t.Error(got)
	}
	if n := len(f.services); n != 2 {
		t.Errorf("%d services", n)
	}
}

// TestWireDoesNotWaitForAnInterruptedCommand: the kernel does not answer an interrupted command.
func TestWireDoesNotWaitForAnInterruptedCommand(t *testing.T) {
	k, f := newFake(t)
	for _, command := range []string{"new-daemon", "del-daemon"} {
		f.fail[command] = unix.EINTR
	}
	want := lvs.Sync{Interface: "eth0", ID: 1, Roles: lvs.SyncMaster}
	if err := errors.Join(k.StartDaemon(t.Context(), want, lvs.SyncMaster), k.StopDaemon(t.Context(), lvs.SyncMaster)); err != nil {
		t.Error(err)
	}
}

func TestStatus(t *testing.T) {
	k, f := newFake(t)
	fill(t, k, wanted())
	i := slices.IndexFunc(f.services, func(s *fakeService) bool { return s.ServiceID == id(www) })
	f.services[i].Stats = lvs.Stats{Connections: 1 << 33, OutByteRate: 7}
	f.services[i].servers[1].Stats = lvs.Stats{InBytes: 1 << 34}
	f.services[i].servers[1].Active, f.services[i].servers[1].Inactive, f.services[i].servers[1].Persistent = 3, 2, 1
	all, err := k.Status(t.Context())
	if err != nil || len(all) != len(wanted()) {
		t.Fatalf("%d services, %v", len(all), err)
	}
	for at, e := range wanted() {
		got := all[at]
		servers := make([]lvs.Server, len(got.Servers))
		for j, s := range got.Servers {
			servers[j] = s.Server
		}
		if got.Service != e.Service || !slices.Equal(servers, e.Servers) {
			t.Errorf("%v, want %v", got, e)
		}
		if e.ServiceID == id(www) {
			want := lvs.ServerStatus{Server: e.Servers[1], Active: 3, Inactive: 2, Persistent: 1, Stats: lvs.Stats{InBytes: 1 << 34}}
			if got.Stats != f.services[i].Stats || got.Servers[1] != want {
				t.Errorf("%+v", got)
			}
		}
	}
}

// StatusOf reads the given services alone. One that the kernel does not have is left out.
func TestStatusOf(t *testing.T) {
	k, f := newFake(t)
	fill(t, k, wanted())
	i := slices.IndexFunc(f.services, func(s *fakeService) bool { return s.ServiceID == id(www) })
	f.services[i].servers[1].Stats = lvs.Stats{Connections: 8, OutPackets: 9}
	missing := f.services[i].ServiceID
	missing.Port++
	all, err := k.StatusOf(t.Context(), []lvs.ServiceID{missing, id(www)})
	if err != nil || len(all) != 1 || all[0].ServiceID != id(www) || len(all[0].Servers) != len(f.services[i].servers) {
		t.Fatalf("%+v, %v", all, err)
	}
	if all[0].Servers[1].Stats != f.services[i].servers[1].Stats {
		t.Errorf("%+v", all[0].Servers[1])
	}
}
