// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"cmp"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the transcripts in testdata anew")

// TestTranscripts replays the conversations in testdata/*.txt. A block of a file is comments and commands, a line "----",
// and the result: each event that moved a machine, and the actions of the machine.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts (%v)", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			in, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := (&transcript{t: t, now: epoch}).perform(string(in))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(in) {
				t.Errorf("%s: the conversation is another now; got\n%s\nTo accept it: go test ./vrrp -run Transcripts -update; then read the difference", file, got)
			}
		})
	}
}

// A transcript is a set of machines on a segment. Commands drive them. An advertisement takes a millisecond.
type transcript struct {
	t        *testing.T
	now      time.Time
	parties  []*party
	onTheWay []delivery
	groups   map[string]*Groups // by the part of the parties' names before the dot
	own      map[string]Tracking
	out      strings.Builder
}

// A party is one virtual router of one director.
type party struct {
	*Router
	name     string
	addr     netip.Addr
	deaf     bool // its cable is cut
	lost     int  // how many of its next advertisements get lost
	deafTo   *party
	asleep   bool
	slow     time.Duration // how long it takes to add its addresses
	ways     [3]way        // its paths
	hard     bool          // its link is at fault
	told     Tracking
	mastered uint64
	heard    Packet   // the last advertisement
	sent     [][]byte // on the segment
	dropped  Drops
}

// A delivery is an advertisement or an announcement on its way.
type delivery struct {
	at       time.Time
	from, to *party
	message  []byte // nil: it is an announcement of the VIPs
	path     int
}

func (p *transcript) perform(script string) string {
	var all []string
	for block := range strings.SplitSeq(strings.TrimRight(script, "\n"), "\n\n") {
		head, _, _ := strings.Cut(block+"\n", "----\n")
		p.out.Reset()
		commands := 0
		for line := range strings.Lines(head) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				commands++
				p.command(line)
			}
		}
		if commands == 0 {
			all = append(all, block)
			continue
		}
		all = append(all, head+"----\n"+strings.TrimRight(p.out.String(), "\n"))
	}
	return strings.Join(all, "\n\n") + "\n"
}

func (p *transcript) command(line string) {
	word, rest, _ := strings.Cut(line, " ")
	if word == "run" {
		p.run(p.now.Add(p.duration(rest)))
		return
	}
	if word == "state" {
		for _, a := range p.parties {
			p.describe(a)
		}
		return
	}
	name, args, _ := strings.Cut(rest, " ")
	if word == "router" {
		p.enter(name, args)
		return
	}
	a := p.party(name)
	switch word {
	case "start":
		p.step(a, Event{Kind: EventUp, Source: a.addr})
	case "resume":
		p.step(a, Event{Kind: EventResume, Source: a.addr})
	case "stop":
		p.step(a, Event{Kind: EventStop, Cause: &Cause{Kind: CauseShutdown}})
	case "standby":
		p.step(a, Event{Kind: EventStandby, On: args == "on"})
	case "link":
		a.hard = args == "down"
		if len(a.Config.Heartbeat) == 0 {
			a.deaf = a.hard
		}
		a.ways[0].cut = a.hard
		p.assess(a)
	case "cut":
		a.deaf = true
	case "mend":
		a.deaf = false
	case "lose":
		a.lost = p.number(args)
	case "deaf":
		a.deafTo = p.party(args)
	case "way":
		p.setWay(a, args)
	case "paths":
		p.describePaths(a)
	case "placed":
		p.step(a, Event{Kind: EventPlaced})
	case "slow":
		a.slow = p.duration(args)
	case "freeze":
		a.asleep = true
	case "thaw":
		p.thaw(a)
	case "track":
		p.track(a, args)
	case "replay", "forge":
		p.attack(word, a, args)
	case "drops":
		p.countDrops(a)
	case "restart":
		p.restart(a)
	case "config":
		c := a.Config
		p.configure(&c, args)
		a.SetConfig(c)
		p.step(a, Event{Kind: EventConfig, Config: &c})
	default:
		p.t.Fatalf("unknown command %q", line)
	}
}

func (p *transcript) party(name string) *party {
	i := slices.IndexFunc(p.parties, func(a *party) bool { return a.name == name })
	if i < 0 {
		p.t.Fatalf("nobody is called %q", name)
	}
	return p.parties[i]
}

// enter adds a virtual router. Its name may be director.router: then routers of the same name hear each other.
func (p *transcript) enter(name, args string) {
	c := testConfig(100)
	p.configure(&c, args)
	a := &party{name: name, addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(len(p.parties) + 1)})}
	director, short, dotted := strings.Cut(name, ".")
	if dotted {
		c.Name = short
	}
	a.Router = NewRouter(c)
	for i := range c.Heartbeat {
		a.Machine.SetPathSource(i+1, p.on(a, i+1))
	}
	p.parties = append(p.parties, a)
	if c.SyncGroup == "" {
		return
	}
	var members []Config
	for _, b := range p.director(director) {
		members = append(members, b.Config)
	}
	if p.groups == nil {
		p.groups, p.own = map[string]*Groups{}, map[string]Tracking{}
	}
	p.groups[director] = NewGroups(members)
}

func (p *transcript) director(name string) (all []*party) {
	for _, a := range p.parties {
		if strings.HasPrefix(a.name, name+".") {
			all = append(all, a)
		}
	}
	return all
}

// track tells a party, or its group, what it tracks.
func (p *transcript) track(a *party, args string) {
	var t Tracking
	what, words, _ := strings.Cut(args, " ")
	switch what {
	case "fault":
		t.Fault = words
	case "script":
		t.Fault, t.LastResort = words, true
	case "unclear":
		t.Unclear = true
	case "granted":
		t.Granted = a.Machine.Claim()
	case "unsynced":
		t.Unsynced = true
	case "witness":
		t.NoWitness = words == "lost"
	default:
		t.Delta = p.number(what)
	}
	if a.Config.SyncGroup != "" {
		p.own[a.name] = t
		p.decide(a)
		return
	}
	p.tell(a, t)
}

// tell passes tracking results to a party, as a Loop does.
func (p *transcript) tell(a *party, t Tracking) {
	former := a.told
	a.told = t
	if t.Delta != former.Delta || t.Unclear != former.Unclear || t.NoWitness != former.NoWitness || t.Granted != former.Granted || t.Unsynced != former.Unsynced {
		p.step(a, Event{Kind: EventTracking, Delta: t.Delta, Unclear: t.Unclear, NoWitness: t.NoWitness, Granted: t.Granted, Unsynced: t.Unsynced})
	}
	p.assess(a)
}

// assess tells a party of a new fault or of the end of its fault, as a Loop does.
func (p *transcript) assess(a *party) {
	m, why := a.Machine, a.told.Cause()
	if a.hard {
		why = Cause{Kind: FaultLinkCarrier, Text: "eth0"}
	}
	switch isFault := why.Kind != 0; {
	case isFault && (m.State() != Fault || m.Cause() != why):
		p.step(a, Event{Kind: EventFault, Cause: &why, Gentle: !a.hard, LastResort: !a.hard && a.told.LastResort, Source: a.addr})
	case !isFault && (m.State() == Fault || m.LastResort()):
		p.step(a, Event{Kind: EventUp, Source: a.addr})
	}
}

// decide lets the sync groups of a director decide.
func (p *transcript) decide(a *party) {
	name, _, _ := strings.Cut(a.name, ".")
	g := p.groups[name]
	if g == nil {
		return
	}
	members, own, states := p.director(name), map[string]Tracking{}, map[string]Status{}
	for _, b := range members {
		own[b.Config.Name] = p.own[b.name]
		m := b.Machine
		states[b.Config.Name] = Status{
			State: m.State(), Holding: m.Holding(), HandingOver: m.HandingOver(), Ready: m.Ready(), Cause: m.Cause(), Master: m.Master(),
			Held: m.Held(), Preempts: m.Preempts(), Counters: Counters{BecameMaster: b.mastered},
		}
	}
	tracking, joins := g.Decide(states, own)
	for _, b := range members {
		if t := tracking[b.Config.Name]; t != b.told {
			p.tell(b, t)
		}
	}
	for _, j := range joins {
		p.step(p.party(name+"."+j.Name), Event{Kind: EventJoin, To: j.To, Cause: &j.Cause})
	}
}

// step passes an event to a machine, writes the result and sends its advertisements.
func (p *transcript) step(a *party, ev Event) {
	m := a.Machine
	before := fmt.Sprint(m.State(), m.Ready(), m.Holding(), m.HandingOver(), m.Cause(), m.Silent(), m.Claim() != 0, m.Held())
	actions := slices.Clone(m.Step(p.now, ev))
	for _, act := range actions {
		switch {
		case act.Kind == ActionAdvertise:
			p.send(a, act.Priority)
		case act.Kind == ActionTransition && act.To == Master:
			a.mastered++
			p.announce(a)
		}
	}
	changed := fmt.Sprint(m.State(), m.Ready(), m.Holding(), m.HandingOver(), m.Cause(), m.Silent(), m.Claim() != 0, m.Held()) != before
	routine := len(actions) == 0 && !changed && (ev.Kind == EventTimer || ev.Kind == EventAdvert)
	if !routine && !(ev.Kind == EventTimer && !changed && len(actions) == 1) {
		p.line(a, "%s => %s", p.spellEvent(ev), cmp.Or(spell(actions), "-"))
	}
	if changed {
		p.decide(a)
	}
}

func (p *transcript) spellEvent(ev Event) string {
	s := ev.Kind.String()
	switch ev.Kind {
	case EventAdvert:
		s = fmt.Sprintf("advert %d from %s", ev.Priority, ev.Source)
		if ev.Path > 0 {
			s += fmt.Sprintf(" on path %d", ev.Path)
		}
	case EventTracking:
		s += fmt.Sprintf(" %+d", ev.Delta)
		if ev.Unclear {
			s += " unclear"
		}
		if ev.NoWitness {
			s += " no witness"
		}
		if ev.Granted != 0 {
			s += " granted"
		}
		if ev.Unsynced {
			s += " unsynced"
		}
	case EventStandby:
		s += map[bool]string{true: " on", false: " off"}[ev.On]
	case EventJoin:
		s += " " + ev.To.String()
	case EventFault:
		s += map[bool]string{true: " (gentle): ", false: ": "}[ev.Gentle] + ev.Cause.String()
	}
	return s
}

func (p *transcript) line(a *party, format string, args ...any) {
	fmt.Fprintf(&p.out, "%8s  %s  %s\n", p.now.Sub(epoch).Round(time.Millisecond), a.name, fmt.Sprintf(format, args...))
}

func (p *transcript) describe(a *party) {
	m := a.Machine
	extra := ""
	for _, f := range []struct {
		is   bool
		word string
	}{{m.Holding(), "holding"}, {m.HandingOver(), "handing over"}, {m.Standby(), "standby"}, {m.Ready(), "ready"}, {m.Held(), "held"}} {
		if f.is {
			extra += ", " + f.word
		}
	}
	p.line(a, "is %s%s, priority %d, master %s, next deadline in %s: %s", m.State(), extra, m.Priority(), m.Master(), p.remaining(m), m.Cause())
	for _, w := range a.Warnings() {
		p.line(a, "warns: %s", w)
	}
}

func (p *transcript) remaining(m *Machine) string {
	if m.Deadline().IsZero() {
		return "never"
	}
	return m.Deadline().Sub(p.now).Round(time.Millisecond).String()
}
