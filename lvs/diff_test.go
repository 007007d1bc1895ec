// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

const (
	www = "tcp 192.0.2.100:80"
	dns = "udp 192.0.2.100:53"
	six = "tcp [2001:db8::100]:80"
)

func TestDiff(t *testing.T) {
	one, two := server("192.0.2.11:80", DR, 1), server("192.0.2.12:80", DR, 1)
	zero := func(s Server) Server { s.Weight = 0; return s }
	sticky, sip := entry(www, "rr"), entry(dns, "rr")
	sticky.Persist(5*time.Minute, 24)
	sip.Persist(time.Minute, 0)
	sip.Engine = "sip"
	full := entry(www, "rr")
	full.Prefix = 32
	for _, c := range []struct {
		name       string
		have, want []Entry
		owned      []string
		changes    []string
	}{
		{"nothing at all", nil, nil, nil, nil},
		{"as it should be", []Entry{entry(www, "rr", one, two)}, []Entry{entry(www, "rr", two, one)}, []string{www}, nil},
		{
			"from empty: services first, then servers",
			nil, []Entry{entry(dns, "rr"), entry(www, "wrr", two, one)}, nil,
			[]string{
				"add udp 192.0.2.100:53 (rr)",
				"add tcp 192.0.2.100:80 (wrr)",
				"add 192.0.2.11:80 to tcp 192.0.2.100:80 (dr, weight 1)",
				"add 192.0.2.12:80 to tcp 192.0.2.100:80 (dr, weight 1)",
			},
		},
		{
			"weight in place", []Entry{entry(www, "rr", zero(one))}, []Entry{entry(www, "rr", one)}, []string{www},
			[]string{"set weight of 192.0.2.11:80 in tcp 192.0.2.100:80: 0 → 1"},
		},
		{
			"method and weight in place",
			[]Entry{entry(www, "rr", server("192.0.2.11:80", NAT, 3))}, []Entry{entry(www, "rr", one)}, []string{www},
			[]string{"set weight, method of 192.0.2.11:80 in tcp 192.0.2.100:80: 3 → 1, nat → dr"},
		},
		{
			"scheduler in place", []Entry{entry(www, "rr", one)}, []Entry{entry(www, "wlc", one)}, []string{www},
			[]string{"set scheduler of tcp 192.0.2.100:80: rr → wlc"},
		},
		{
			"flags that somebody set", []Entry{sticky}, []Entry{entry(www, "rr")}, []string{www},
			[]string{"set flags, timeout, prefix of tcp 192.0.2.100:80: persistent → none, 5m0s → 0s, 24 → whole address"},
		},
		{
			"an engine", []Entry{entry(dns, "rr")}, []Entry{sip}, nil,
			[]string{"set flags, timeout, engine of udp 192.0.2.100:53: none → persistent, 0s → 1m0s, none → sip"},
		},
		{
			"thresholds", []Entry{entry(www, "rr", one)}, []Entry{entry(www, "rr", limited(100, 50))}, nil,
			[]string{"set upper threshold, lower threshold of 192.0.2.11:80 in tcp 192.0.2.100:80: 0 → 100, 0 → 50"},
		},
		{
			"tunnels", []Entry{entry(www, "rr", through(GRE, 0, Csum))}, []Entry{entry(www, "rr", through(GUE, 6080, 0))}, nil,
			[]string{"set tunnel of 192.0.2.11:80 in tcp 192.0.2.100:80: gre csum → gue port 6080"},
		},
		{
			"to a tunnel", []Entry{entry(www, "rr", one)}, []Entry{entry(www, "rr", through(GUE, 6080, RemCsum))}, nil,
			[]string{"set method, tunnel of 192.0.2.11:80 in tcp 192.0.2.100:80: dr → tunnel, ipip → gue port 6080 remcsum"},
		},
		{
			"one tunnel by two names", []Entry{entry(www, "rr", through(0, 0, 0))},
			[]Entry{entry(www, "rr", through(IPIP, 0, NoChecksum))}, nil, nil,
		},
		{"one prefix by two names", []Entry{entry(www, "rr")}, []Entry{full}, nil, nil},
		{
			"capacity comes before it goes",
			[]Entry{entry(www, "rr", one, zero(two), server("192.0.2.13:80", DR, 1))},
			[]Entry{entry(www, "rr", zero(one), two, server("192.0.2.14:80", DR, 1))},
			[]string{www},
			[]string{
				"add 192.0.2.14:80 to tcp 192.0.2.100:80 (dr, weight 1)",
				"set weight of 192.0.2.12:80 in tcp 192.0.2.100:80: 0 → 1",
				"set weight of 192.0.2.11:80 in tcp 192.0.2.100:80: 1 → 0",
				"delete 192.0.2.13:80 from tcp 192.0.2.100:80",
			},
		},
		{
			"a server's port is its identity",
			[]Entry{entry(www, "rr", server("192.0.2.11:80", NAT, 1))},
			[]Entry{entry(www, "rr", server("192.0.2.11:8080", NAT, 1))}, []string{www},
			[]string{
				"add 192.0.2.11:8080 to tcp 192.0.2.100:80 (nat, weight 1)",
				"delete 192.0.2.11:80 from tcp 192.0.2.100:80",
			},
		},
		{
			"ours and no longer wanted, without a command for its servers",
			[]Entry{entry(www, "rr", one), entry(dns, "rr")}, []Entry{entry(dns, "rr")}, []string{www, dns},
			[]string{"delete tcp 192.0.2.100:80"},
		},
		{"a stranger's is not touched", []Entry{entry(six, "rr", server("[2001:db8::11]:80", DR, 1))}, nil, []string{www}, nil},
		{
			"a stranger's that is wanted becomes ours", []Entry{entry(www, "lc", one, two)}, []Entry{entry(www, "rr", one)}, nil,
			[]string{"set scheduler of tcp 192.0.2.100:80: lc → rr", "delete 192.0.2.12:80 from tcp 192.0.2.100:80"},
		},
		{
			"marks of two families are two services",
			[]Entry{entry("fwmark 1 (ipv4)", "rr")}, []Entry{entry("fwmark 1 (ipv6)", "rr")}, []string{"fwmark 1 (ipv4)"},
			[]string{"add fwmark 1 (ipv6) (rr)", "delete fwmark 1 (ipv4)"},
		},
		{
			"the family of an address service is its address's",
			[]Entry{entry(www, "rr")},
			[]Entry{{Service: Service{Scheduler: "rr", ServiceID: ServiceID{
				Protocol: TCP, Addr: netip.MustParseAddr("192.0.2.100"), Port: 80, Family: IPv4}}}},
			[]string{www}, nil,
		},
	} {
		owned := make(map[ServiceID]bool)
		for _, s := range c.owned {
			owned[id(s)] = true
		}
		var got []string
		for _, change := range Diff(c.have, c.want, owned) {
			got = append(got, change.String())
		}
		if !slices.Equal(got, c.changes) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.changes)
		}
	}
}

// TestDiffLeadsToWant: for any table, the changes can be made one by one, lead to the wanted table, and leave services of
// other programs alone. Then no changes are left.
func TestDiffLeadsToWant(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 0))
		have, want, owned := randomTable(r), randomTable(r), make(map[ServiceID]bool)
		for _, e := range have {
			owned[e.ServiceID] = r.IntN(2) == 0
		}
		changes := Diff(have, want, owned)

		shuffled := slices.Clone(have)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if !slices.Equal(changes, Diff(shuffled, want, owned)) {
			t.Fatalf("seed %d: the order of have matters", seed)
		}

		table := newSimulation(have)
		for _, c := range changes {
			if err := table.apply(c); err != nil {
				t.Fatalf("seed %d: %v\nhave %v\nwant %v\nchanges %v", seed, err, have, want, changes)
			}
		}
		expected := newSimulation(want)
		for _, h := range have {
			if _, ok := expected[h.ServiceID]; !ok && !owned[h.ServiceID] {
				expected[h.ServiceID] = newSimulation([]Entry{h})[h.ServiceID]
			}
		}
		if got, want := table.entries(), expected.entries(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("seed %d:\n got %v\nwant %v", seed, got, want)
		}
		if again := Diff(table.entries(), want, owned); len(again) != 0 {
			t.Fatalf("seed %d: the second pass still changes %v", seed, again)
		}
	}
}

// randomTable returns a random table of few names, so that two tables have much in common.
func randomTable(r *rand.Rand) []Entry {
	var entries []Entry
	for _, name := range []string{www, dns, six, "fwmark 1 (ipv4)", "fwmark 1 (ipv6)"} {
		if r.IntN(2) == 0 {
			continue
		}
		e := entry(name, schedulers[r.IntN(2)])
		for host := range 4 {
			if r.IntN(2) == 0 {
				a := fmt.Sprintf("192.0.2.%d:80", 11+host)
				e.Servers = append(e.Servers, server(a, Method(1+r.IntN(3)), r.IntN(3)))
			}
		}
		r.Shuffle(len(e.Servers), func(i, j int) { e.Servers[i], e.Servers[j] = e.Servers[j], e.Servers[i] })
		entries = append(entries, e)
	}
	return entries
}

// A simulation is a table as strict as the kernel's.
type simulation map[ServiceID]simulatedService

type simulatedService struct {
	Service
	servers map[ServerID]Server
}

func newSimulation(entries []Entry) simulation {
	s := make(simulation)
	for _, e := range entries {
		servers := make(map[ServerID]Server)
		for _, srv := range e.Servers {
			servers[srv.ServerID] = srv
		}
		s[e.ServiceID] = simulatedService{e.Service, servers}
	}
	return s
}

func (s simulation) apply(c Change) error {
	current, exists := s[c.Service.ServiceID]
	if exists == (c.Op == AddService) {
		return fmt.Errorf("%s: service exists: %v", c, exists)
	}
	old, there := current.servers[c.Server.ServerID]
	switch c.Op {
	case AddService:
		s[c.Service.ServiceID] = simulatedService{c.Service, make(map[ServerID]Server)}
	case SetService:
		if c.OldService != current.Service || c.Service == current.Service {
			return fmt.Errorf("%s: was %v", c, current.Service)
		}
		s[c.Service.ServiceID] = simulatedService{c.Service, current.servers}
	case DeleteService:
		delete(s, c.Service.ServiceID)
	case AddServer:
		if there {
			return fmt.Errorf("%s: there already", c)
		}
		current.servers[c.Server.ServerID] = c.Server
	case SetServer:
		if c.OldServer != old || c.Server == old {
			return fmt.Errorf("%s: was %v", c, old)
		}
		current.servers[c.Server.ServerID] = c.Server
	case DeleteServer:
		if !there {
			return fmt.Errorf("%s: not there", c)
		}
		delete(current.servers, c.Server.ServerID)
	default:
		return fmt.Errorf("unknown operation %s", c.Op)
	}
	return nil
}

func (s simulation) entries() []Entry {
	var entries []Entry
	for _, service := range s {
		e := Entry{Service: service.Service}
		for _, srv := range service.servers {
			e.Servers = append(e.Servers, srv)
		}
		e.Servers = SortServers(e.Servers)
		entries = append(entries, e)
	}
	return sorted(entries)
}

// BenchmarkDiffUnchanged measures a pass over 1,000 services of 10 servers.
func BenchmarkDiffUnchanged(b *testing.B) {
	have := bigTable(1000, 10)
	want := bigTable(1000, 10)
	b.ReportAllocs()
	for b.Loop() {
		if changes := Diff(have, want, nil); len(changes) != 0 {
			b.Fatal(changes[0])
		}
	}
}

func bigTable(services, servers int) []Entry {
	entries := make([]Entry, services)
	for i := range entries {
		addr := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		entries[i].Service = Service{ServiceID: ServiceID{Protocol: TCP, Addr: addr, Port: 80}, Scheduler: "wrr"}
		for j := range servers {
			addr := netip.AddrFrom4([4]byte{10, 2, 0, byte(j + 1)})
			entries[i].Servers = append(entries[i].Servers,
				Server{ServerID: ServerID{Addr: addr, Port: 80}, Method: DR, Weight: 1})
		}
	}
	return entries
}

// If the kernel's list was interrupted, it repeats rows. Nothing is deleted because of that.
func TestDiffOfAListThatRepeatsRows(t *testing.T) {
	server := func(weight int) Server {
		return Server{ServerID: ServerID{Addr: netip.MustParseAddr("192.0.2.11"), Port: 80}, Method: DR, Weight: weight}
	}
	entry := func(port uint16, servers ...Server) Entry {
		id := ServiceID{Protocol: TCP, Addr: netip.MustParseAddr("192.0.2.100"), Port: port}
		return Entry{Service: Service{ServiceID: id, Scheduler: "rr"}, Servers: servers}
	}
	have := []Entry{entry(80, server(1), server(1)), entry(81), entry(80, server(1)), entry(81)}
	want := []Entry{entry(80, server(1)), entry(81)}
	owned := map[ServiceID]bool{want[0].ServiceID: true, want[1].ServiceID: true}
	if got := Diff(have, want, owned); len(got) != 0 {
		t.Errorf("got %v, want no change", got)
	}
	if len(have[0].Servers) != 2 {
		t.Error("the argument was changed")
	}
	if got := Diff(have, want[:1], owned); len(got) != 1 || got[0].Op != DeleteService {
		t.Errorf("got %v, want one deletion", got)
	}
}
