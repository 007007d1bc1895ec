// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A scene is a deployment in the lab.
type scene struct {
	deployment
	*lab.Lab
	t         *lab.Attempt
	client    *lab.Host
	a, b      *machine
	questions []question
	every     time.Duration // between two questions
	limit     time.Duration // of a question
	mails     *mailSink
	behind    map[string]*lab.Process // servers behind the directors, by the names of their machines
	query     func() (string, error)  // a question whose answer names the server; nil: none
	restart   func()                  // starts the first of them again
	imported  imported
	steps     []step // that were taken
	told      []string
}

// A step is something that happened, and what the client saw.
type step struct {
	name   string
	served string // by a or b; for two addresses both: "ab"
	outage outage
	bound  time.Duration
}

func (s *scene) must(err error) {
	if err != nil {
		s.t.Helper()
		s.t.Fatalf("%v", err)
	}
}

// settling is the longest time until the right director serves.
const settling = 60 * time.Second

// play builds the deployment and takes all steps.
func (s *scene) play() {
	s.Lab = lab.New(s.t)
	s.every, s.limit = 20*time.Millisecond, 500*time.Millisecond
	if lab.Place() == "vm" {
		s.every, s.limit = 100*time.Millisecond, 2*time.Second
	}
	s.client = s.Host("client", "192.0.2.1/24")
	s.a, s.b = newMachine(s, "a", "192.0.2.2/24"), newMachine(s, "b", "192.0.2.3/24")
	s.behind = make(map[string]*lab.Process)
	s.build(s)
	s.t.Cleanup(func() { // the scene is over: a hand-over would only take time
		for _, m := range []*machine{s.a, s.b} {
			if m.box != nil {
				m.box.Kill()
			}
		}
	})
	s.a.importFile()

	s.a.boot()
	s.await("tandem serves alone", strings.Repeat("a", len(s.vips)))
	s.b.boot()
	s.settle()
	s.steps = append(s.steps, step{name: "start", served: s.await("both run", s.normal("a"))})

	s.handOver()
	s.lose()
	switch {
	case s.program != "":
		s.crash()
	case s.fault != nil:
		s.fault(s)
	}
	s.tell()
}

// normal is who serves while both are well, if the master of the first address is known. The second address of two-instances is
// director-b's.
func (s *scene) normal(master string) string {
	switch {
	case len(s.vips) == 1:
		return master
	case s.split:
		return "ab"
	}
	return strings.Repeat(master, len(s.vips))
}

// only is who serves if only one director can.
func (s *scene) only(letter string) string { return strings.Repeat(letter, len(s.vips)) }

// after is who serves when director-a is well again after director-b was master, or the other way round.
func (s *scene) after(master string) string {
	if s.sticky {
		return s.normal(master)
	}
	return s.normal("a")
}

// handOver has the master hand over: tandem by its command, keepalived by its end.
func (s *scene) handOver() {
	s.take("hand-over", s.only("b"), s.skew(s.b)+s.reaction, func() { s.a.tandem("failover", "-c", tandemAt) })
	s.take("back", s.after("b"), s.reaction, func() { s.a.tandem("release", "-c", tandemAt) })
	if s.sticky {
		s.take("hand-over of b", s.only("a"), s.skew(s.a)+s.reaction, s.b.stopDaemon)
		s.take("back", s.after("a"), s.reaction, s.b.startDaemon)
	}
}

// lose has the master lose its power.
func (s *scene) lose() {
	s.take("a without power", s.only("b"), s.down(s.b)+s.reaction, s.a.powerOff)
	s.take("back", s.after("b"), s.reaction, s.a.powerOn)
	if s.sticky {
		s.take("b without power", s.only("a"), s.down(s.a)+s.reaction, s.b.powerOff)
		s.take("back", s.after("a"), s.reaction, s.b.powerOn)
	}
}

// crash kills the program on each of the directors.
func (s *scene) crash() {
	s.take(s.program+" of a killed", s.only("b"), s.track+s.down(s.b)+s.reaction, s.a.killProgram)
	s.take("back", s.after("b"), s.reaction, s.a.startProgram)
	s.take(s.program+" of b killed", s.only("a"), s.track+s.down(s.a)+s.reaction, s.b.killProgram)
	s.take("back", s.normal("a"), s.reaction, s.b.startProgram)
}

// skew and down are the times of RFC 9568, section 6.1: the backup takes over so long after the master has said that it leaves, or
// after it has said anything.
func (s *scene) skew(m *machine) time.Duration {
	return time.Duration(256-s.priority[m.letter]) * s.advert / 256
}

func (s *scene) down(m *machine) time.Duration { return 3*s.advert + s.skew(m) }

// take takes a step while the client asks, and waits until the right directors serve.
func (s *scene) take(name, served string, bound time.Duration, do func()) {
	s.Logf("step: %s", name)
	stalls, w := s.WatchStalls(), s.watch()
	do()
	got := s.await(name, served)
	s.settle()
	s.await(name+", later", served)
	o := w.end()
	still := stalls.Stop() + lab.StallError
	text := fmt.Sprintf("%s, %s: %s lost %d of %d, the outage is %s, the bound %s; the machine stood still for up to %s", s.name, name, got,
		o.lost, o.asked, milliseconds(o.length), milliseconds(bound), milliseconds(still))
	if o.err != nil {
		text += "; first: " + o.err.Error()
	}
	s.Logf("%s", text)
	if o.length > bound+still {
		s.t.Errorf("too long: %s", text)
	}
	s.steps = append(s.steps, step{name, got, o, bound})
}

// settle lets the programs go on for so long that what is wrong shows: a second master, a late notification.
func (s *scene) settle() { time.Sleep(3*s.advert + s.settles) }

// await waits until the directors serve that should: each address is at one director only, and the answers come from there.
func (s *scene) await(what, served string) string {
	s.t.Helper()
	s.Eventually(settling, fmt.Sprintf("%s: %s serve", what, served), func() error {
		for i, vip := range s.vips {
			has := map[bool]string{true: "a"}[s.a.Has(vip)] + map[bool]string{true: "b"}[s.b.Has(vip)]
			if has != served[i:i+1] {
				return fmt.Errorf("%s is at %q", vip, has)
			}
		}
		return nil
	})
	for i, q := range s.questions {
		s.Eventually(settling, fmt.Sprintf("%s: answer to %s", what, q.name), func() error {
			answer, err := s.ask(q)
			if err != nil || s.from == nil {
				return err
			}
			if from, want := s.from(answer), served[min(i, len(served)-1):][:1]; from != want {
				return fmt.Errorf("%q is from %q, not from %q", answer, from, want)
			}
			return nil
		})
	}
	if s.query != nil {
		s.Eventually(settling, what+": answer to a query", func() error {
			_, err := s.query()
			return err
		})
	}
	return served
}

func (s *scene) ask(q question) (string, error) {
	ctx, cancel := s.within()
	defer cancel()
	return q.ask(ctx)
}

// tell ends both daemons, and compares what their scripts and mails were told.
func (s *scene) tell() {
	s.a.stopDaemon()
	s.await("director-a has ended", s.only("b"))
	s.b.stopDaemon()
	s.Eventually(settling, "no address is left", func() error {
		for _, vip := range s.vips {
			if s.a.Has(vip) || s.b.Has(vip) {
				return errors.New(vip + " is")
			}
		}
		return nil
	})
	s.compareScripts()
	s.compareMails()
}

// compareScripts compares the lines that the scripts have written: with the same arguments for the same states.
func (s *scene) compareScripts() {
	a, b := s.lines(s.a), s.lines(s.b)
	if len(a) == 0 && len(b) == 0 {
		return
	}
	s.Logf("%s: scripts of a: %q, of b: %q", s.name, a, b)
	if !slices.Equal(a, b) {
		s.t.Errorf("%s: the scripts of a were told %q, those of b %q", s.name, a, b)
	}
	s.told = append(s.told, fmt.Sprintf("%d kinds of arguments, the same: %s", len(a), strings.Join(a, ", ")))
}

// lines returns the different lines of what a machine's scripts have written, sorted. The machine's own priority is P.
func (s *scene) lines(m *machine) (all []string) {
	for line := range strings.Lines(m.read(toldAt)) {
		line = strings.TrimSpace(line)
		if base, ok := strings.CutSuffix(line, fmt.Sprintf(" %d", s.priority[m.letter])); ok {
			line = base + " P"
		}
		all = append(all, line)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// compareMails compares the states that mails were about, and who got them.
func (s *scene) compareMails() {
	if s.mails == nil {
		return
	}
	states := make(map[string][]string)
	for _, m := range s.mails.received() {
		found := aboutState.FindStringSubmatch(m.subject)
		if found == nil || m.from != found[1]+"@example.net" || !slices.Equal(m.to, []string{"noc@example.net", "web@example.net"}) {
			s.t.Errorf("%s: an unexpected mail: %+v", s.name, m)
			continue
		}
		if state := strings.ToLower(found[3]); state != "stop" { // keepalived sends no mail at its end
			states[found[1]] = append(states[found[1]], found[2]+" "+state)
		}
	}
	for name, all := range states {
		slices.Sort(all)
		states[name] = slices.Compact(all)
	}
	if a, b := states[s.a.Name], states[s.b.Name]; !slices.Equal(a, b) || len(a) == 0 {
		s.t.Errorf("%s: the mails of a are about %q, those of b about %q", s.name, a, b)
	}
	s.told = append(s.told, "mails from both about "+strings.Join(states[s.a.Name], ", "))
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
