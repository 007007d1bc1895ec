// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/configs"
)

// A Scenario is one run, before it begins.
type Scenario struct {
	Seed     uint64
	Interval time.Duration // between two advertisements
	Group    bool          // two virtual routers in a sync group, on two segments
	Paths    bool          // the advertisements go over both segments
	Preempt  bool
	Sorry    bool // the service has a sorry server, which always serves
	Track    bool // the virtual router tracks the service
	Master   bool // only the master checks
	Servers  int
	Witness  bool          // the directors have a witness on the outside
	Together bool          // the sync group has the witness
	Release  bool          // and let go when they reach neither it nor each other
	Fence    bool          // they switch each other off before they take over
	Synced   time.Duration // preempt is "synced", with that limit; nobody counts connections here; 0: it is not
	Other    int           // 1 or 2: the director of that number is of another make; 0: none
	Length   time.Duration // in which the faults begin
	Faults   []Fault

	parsed map[string]*configs.Config // by text
}

// String describes the scenario in a line.
func (s *Scenario) String() string {
	return fmt.Sprintf("seed %d: adverts %s, group %t, two paths %t, preempt %t, synced within %s, sorry server %t, track %t, check as master only %t, %d servers, other make %d, guards %s, %d faults",
		s.Seed, s.Interval, s.Group, s.Paths, s.Preempt, s.Synced, s.Sorry, s.Track, s.Master, s.Servers, s.Other, s.guards(), len(s.Faults))
}

// preempt writes when the virtual routers preempt.
func (s *Scenario) preempt() string {
	if s.Preempt && s.Synced > 0 {
		return fmt.Sprintf("%q\npreempt_sync_limit = %q", "synced", s.Synced.String())
	}
	return fmt.Sprint(s.Preempt)
}

// A Result is the result of a run.
type Result struct {
	Broken *Broken  // nil: every invariant held
	Lines  []string // the transcript
	Time   time.Duration
	Events uint64
	Faults [kinds]int
}

const (
	// warmUp is how long a pair runs without faults after its start. healing is the same after the last fault.
	warmUp  = 15 * time.Second
	healing = 40 * time.Second
	quiet   = 20 * time.Second
)

// Run runs a scenario.
func Run(s *Scenario) Result { return run(s, nil) }

// run also calls also before the run begins.
func run(s *Scenario, also func(*world)) (r Result) {
	w := &world{now: epoch, rand: rand.New(rand.NewPCG(s.Seed, 2))}
	defer func() {
		if p := recover(); p != nil {
			w.watch.broke(w, "panic", "%v", p)
		}
		r = Result{w.watch.broken, w.lines, w.now.Sub(epoch), w.next, w.watch.faults}
	}()
	w.build(s)
	if also != nil {
		also(w)
	}
	for _, f := range s.Faults {
		w.at(epoch.Add(warmUp+f.At), func() { w.inject(f) })
	}
	end := epoch.Add(warmUp + s.end())
	w.run(end)
	w.healAll()
	end = end.Add(s.healing())
	w.run(end)
	w.watch.expectWanted(w)
	w.watch.mustBeQuiet = w.watch.broken == nil
	for _, h := range w.hosts { // a reload that changes nothing disturbs nobody
		w.after(5*time.Second, func() { w.reload(h) })
	}
	w.run(end.Add(quiet))
	return
}

// healing is how long a pair has until all is as wanted. Directors that fence may have switched each other off, and begin later.
func (s *Scenario) healing() time.Duration {
	if s.Fence {
		return healing + fenceSettles + fenceDelay
	}
	return healing
}

// end returns when the last fault is over.
func (s *Scenario) end() time.Duration {
	end := s.Length
	for _, f := range s.Faults {
		end = max(end, f.At+f.For)
	}
	return end
}

// build makes the pair, and switches it on.
func (w *world) build(s *Scenario) {
	serverSide := outside
	if s.Group {
		serverSide = inside
	}
	for i := range s.Servers {
		w.servers = append(w.servers, &server{node: firstServer + i, addr: serverAddr(serverSide, i), is: serving, since: epoch})
	}
	for i := range w.hosts {
		h := &host{world: w, name: [...]string{"lb1", "lb2"}[i], node: i, serverSide: serverSide, kernel: newKernel(epoch), powered: true}
		h.addrs = [segments]netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(2 + i)}), netip.AddrFrom4([4]byte{198, 51, 100, byte(2 + i)})}
		h.carrier = [segments]bool{true, true}
		h.cfg, h.other = s.config(i, change{}), s.Other == i+1
		w.hosts[i] = h
	}
	w.watch = newMonitor(s)
	for i := range 2 {
		c := &client{world: w, node: firstClient + i, strict: i == 1}
		w.clients = append(w.clients, c)
		w.after(w.between(0, pause), c.ask)
	}
	w.rewired()
	for _, h := range w.hosts {
		w.after(w.between(0, 3*time.Second), h.start)
	}
}

func serverAddr(segment, i int) netip.Addr {
	if segment == inside {
		return netip.AddrFrom4([4]byte{198, 51, 100, byte(11 + i)})
	}
	return netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)})
}

// A change is what an operator has changed in a configuration file.
type change struct {
	raised  bool // the priority of the backup is above that of the master
	removed bool // the last real server is not there
	weight  int  // of the first real server; 0: 1
}

// The check that real servers get.
const (
	checkInterval = time.Second
	checkTimeout  = 500 * time.Millisecond
	checkRise     = 2
	checkFall     = 2
)

// config returns the configuration of a director, by way of its text.
func (s *Scenario) config(node int, c change) *configs.Config {
	priority := [2]int{150, 100}[node]
	if c.raised {
		priority = [2]int{90, 200}[node]
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("name = %q", [...]string{"lb1", "lb2"}[node])
	s.writeRouter(line, node, priority, "web", "eth0", 51, vip)
	side := outside
	if s.Group {
		s.writeRouter(line, node, priority, "in", "eth1", 52, insideVIP)
		side = inside
	}
	if s.Preempt && s.Synced > 0 {
		line("[peer]\naddress = \"192.0.2.%d:8474\"\nkey = \"hex:%064d\"", 3-node, 1)
		line("[lvs]\nsync = { interface = \"eth0\", id = 51 }")
	}
	if s.Together {
		line("[[group]]\nname = \"all\"")
		s.writeGuards(line, node)
	}
	line("[[service]]\nname = \"www\"\nvirtual = \"%s:80\"\nprotocol = \"tcp\"\nscheduler = \"wrr\"\nmethod = \"dr\"", vip)
	if s.Master {
		line("check_when = \"master\"")
	}
	line("[service.check]\ntype = \"tcp\"\ninterval = %q\ntimeout = %q\nrise = %d\nfall = %d", checkInterval.String(), checkTimeout.String(), checkRise, checkFall)
	for i := range s.Servers {
		if c.removed && i == s.Servers-1 {
			continue
		}
		weight := 1
		if i == 0 && c.weight > 0 {
			weight = c.weight
		}
		line("[[service.server]]\naddress = %q\nweight = %d", serverAddr(side, i).String(), weight)
	}
	if s.Sorry {
		line("[service.sorry_server]\naddress = \"192.0.2.250\"")
	}
	text := b.String()
	if cfg := s.parsed[text]; cfg != nil {
		return cfg
	}
	cfg, err := configs.Parse("tandem.toml", []byte(text))
	if err != nil {
		panic(err)
	}
	s.parsed[text] = cfg
	return cfg
}

// writeRouter writes a virtual router of a director.
func (s *Scenario) writeRouter(line func(string, ...any), node, priority int, name, iface string, vrid int, vip netip.Addr) {
	line("[[vrrp]]\nname = %q\ninterface = %q\nvrid = %d\npriority = %d\nadvert_interval = %q\npreempt = %s\nvips = [\"%s/24\"]",
		name, iface, vrid, priority, s.Interval.String(), s.preempt(), vip)
	if s.Paths {
		line("heartbeat = [%q]", map[string]string{"eth0": "eth1", "eth1": "eth0"}[iface])
	}
	if s.Group {
		line("sync_group = \"all\"")
	}
	if iface == "eth0" && !s.Together {
		s.writeGuards(line, node)
	}
	if s.Fence {
		line("startup_delay = %q", fenceDelay.String())
	}
	if s.Track && name == "web" {
		line("track = [{ service = \"www\", weight = -60 }]")
	}
	if s.Fence {
		line("[[vrrp.hook]]\non = [\"takeover\"]\nbefore = true\ncommand = [\"/bin/power-off\"]\nretry_pause = \"500ms\"")
	}
}

// writeGuards writes the witness of a router or of its sync group.
func (s *Scenario) writeGuards(line func(string, ...any), node int) {
	if s.Witness {
		line("witness = [\"192.0.2.1\"]")
	}
	if s.Release {
		line("witness_release = %q\nwitness_peer = [\"192.0.2.%d\"]", releaseAfter.String(), 3-node)
	}
}
