// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

const (
	// settleEvery is after how many rounds the soak waits until no hook runs or waits. A round is two transitions.
	settleEvery = 10
	// maxRounds is for how many rounds four restarts are enough: see restartPlaces.
	maxRounds = 80
	// forceLimit is how long a forced transition may take. A director that was started has to read its files first.
	forceLimit = 20 * time.Second
	// The priorities of web. While director-a steps back, director-b has the higher one.
	high, low, lower = 150, 100, 90
)

// A soak is a pair whose transitions are forced while hooks hang, fail, fork and print.
type soak struct {
	*lab.Lab
	t      *lab.Attempt
	random *rand.Rand
	a, b   *machine

	forced   map[string]int // by what forced them
	moves    []time.Duration
	restarts map[string]int // by the director and how it ended
	problems []string
}

// A machine is a director of a soak.
type machine struct {
	*lab.Director
	starts  []time.Duration // on the clock of lab.Uptime
	history []string        // the lines so far
	running bool
}

// A way forces a transition away from director-a, and back.
type way struct {
	name       string
	away, back func()
}

// newSoak makes a pair and starts it.
func newSoak(t *lab.Attempt, seed uint64) *soak {
	l := lab.New(t)
	s := &soak{
		Lab: l, t: t, random: rand.New(rand.NewPCG(seed, 0)), forced: make(map[string]int), restarts: make(map[string]int),
		a: &machine{Director: newSoakDirector(l, t, "director-a", "192.0.2.2/24", high, low)},
		b: &machine{Director: newSoakDirector(l, t, "director-b", "192.0.2.3/24", low, high)},
	}
	s.start(s.a)
	s.start(s.b)
	s.await(s.a)
	return s
}

func (s *soak) start(m *machine) {
	m.starts = append(m.starts, lab.Uptime())
	m.Launch()
	m.running = true
}

// stop stops a director. It must tell its hooks before it ends.
func (s *soak) stop(m *machine) {
	m.Process().Signal(syscall.SIGTERM)
	if code := m.Process().Wait(time.Minute); code != 0 {
		s.t.Errorf("%s ended with code %d", m.Name, code)
	}
	m.running = false
	s.look(m)
	s.wantTold(m, map[string]string{"web": "stop", "db": "stop"})
}

// kill kills a director.
func (s *soak) kill(m *machine) {
	m.KillDirector()
	m.Process().Wait(10 * time.Second)
	m.running = false
}

// ways are what forces transitions.
func (s *soak) ways() []way {
	order := func(command string) {
		if out, err := s.a.TryRun(s.a.Program(), command, "--socket", s.a.Socket); err != nil {
			s.t.Errorf("tandem %s: %v: %s", command, err, out)
		}
	}
	configure := func(priority int) {
		s.a.Configure(soakConfig(s.a.Director, priority, low))
		s.a.Process().Signal(syscall.SIGHUP)
	}
	return []way{
		{"an order", func() { order("failover") }, func() { order("release") }},
		{"a tracked file", func() { s.a.WriteFile("step-back", "60\n") }, func() { s.a.WriteFile("step-back", "0\n") }},
		{"a cable", s.a.Cut, s.a.Plug},
		{"a reload", func() { configure(lower) }, func() { configure(high) }},
	}
}

// run forces a number of transitions.
func (s *soak) run(transitions int) {
	ways := s.ways()
	rounds := (transitions + 1) / 2
	restarts := []func(){
		func() { s.restart(s.a, "killed", s.kill) },
		func() { s.restart(s.b, "killed", s.kill) },
		func() { s.restart(s.a, "stopped", s.stop) },
		func() { s.restart(s.b, "stopped", s.stop) },
	}
	next := 0
	places := restartPlaces(rounds)
	for i := range rounds {
		if slices.Contains(places, i) {
			restarts[next%len(restarts)]()
			next++
		}
		w := ways[s.random.IntN(len(ways))]
		s.force(w.name, w.away, s.b)
		s.pause()
		s.force(w.name, w.back, s.a)
		s.pause()
		if i%settleEvery == settleEvery-1 {
			s.settle()
		}
	}
	s.settle()
	for _, m := range []*machine{s.a, s.b} {
		s.stop(m)
		s.noneLeft(m)
	}
}

// restartPlaces returns before which rounds a director is restarted: each director in turn, and each as often killed as stopped. A round
// is about 15 lines of a history. A director that has recorded 1000 leaves out most of what follows, so none makes more than 40 rounds.
func restartPlaces(rounds int) (places []int) {
	n := (rounds + maxRounds - 1) / maxRounds * 4
	for i := range n {
		places = append(places, (i+1)*rounds/(n+1))
	}
	return places
}

// pause lets hooks end sometimes, before the next state comes.
func (s *soak) pause() {
	if s.random.IntN(3) == 0 {
		time.Sleep(time.Duration(s.random.IntN(300)) * time.Millisecond)
	}
}

// force forces a transition of web, and waits until a director has the VIP alone.
func (s *soak) force(name string, do func(), to *machine) {
	began := time.Now()
	do()
	s.await(to)
	s.forced[name]++
	s.moves = append(s.moves, time.Since(began))
}

// await waits until a director has the VIP of web alone.
func (s *soak) await(m *machine) {
	other := s.a
	if m == s.a {
		other = s.b
	}
	limit := time.Now().Add(forceLimit)
	for !m.Has(lab.VIP) || other.Has(lab.VIP) {
		if time.Now().After(limit) {
			s.t.Fatalf("%s has not become master of web within %s", m.Name, forceLimit)
		}
		time.Sleep(time.Millisecond)
	}
}

// restart ends a director while one of its hooks runs, and starts it again.
func (s *soak) restart(m *machine, how string, end func(*machine)) {
	w := s.ways()[1]
	busy := false
	for range 20 {
		s.force(w.name, w.away, s.b)
		s.force(w.name, w.back, s.a)
		if busy = s.busy(m) > 0; busy {
			break
		}
	}
	if !busy {
		s.t.Fatalf("no hook of %s runs after a transition", m.Name)
	}
	end(m)
	if m == s.a {
		s.await(s.b)
		s.forced["the end of a director"]++
	}
	s.start(m)
	if m == s.a {
		s.await(s.a)
		s.forced["the start of a director"]++
	} else {
		m.AwaitState(forceLimit, "backup")
	}
	s.restarts[m.Name+" "+how]++
	s.settle()
}

// busy returns how many hooks of a director run or wait; -1: it does not answer.
func (s *soak) busy(m *machine) (n int) {
	is, err := m.Status()
	if err != nil {
		return -1
	}
	for _, h := range is.Hooks {
		n += h.Running + h.Waiting
	}
	return n
}

// settle waits until no hook runs or waits. Then each director's hooks have been told the present states, and no process of theirs
// is left.
func (s *soak) settle() {
	for _, m := range []*machine{s.a, s.b} {
		s.Eventually(time.Minute, "the hooks of "+m.Name+" have ended", func() error {
			if n := s.busy(m); n != 0 {
				return fmt.Errorf("%d run or wait", n)
			}
			return s.told(m)
		})
		s.look(m)
		s.noneLeft(m)
	}
}

// told compares the last states that the hooks of a director were told with its present ones.
func (s *soak) told(m *machine) error {
	is, err := m.Status()
	if err != nil {
		return err
	}
	now := make(map[string]string)
	for _, r := range is.VRRP {
		now[r.Name] = r.State
	}
	return s.lastTold(m, now)
}

func (s *soak) wantTold(m *machine, now map[string]string) {
	if err := s.lastTold(m, now); err != nil {
		s.problems = append(s.problems, err.Error())
	}
}

// lastTold compares the last runs of the hooks that hear all states with the present states.
func (s *soak) lastTold(m *machine, now map[string]string) error {
	runs, _ := readRuns(s.wrote(m))
	for _, h := range soakHooks {
		for _, router := range h.routers {
			i := len(runs) - 1
			for i >= 0 && (runs[i].hook != h.name || runs[i].router != router) {
				i--
			}
			if len(h.on) == allStates && (i < 0 || runs[i].event != now[router]) {
				return fmt.Errorf("%s: %s is %s, and hook %s was told last %+v", m.Name, router, now[router], h.name, runs[max(i, 0):i+1])
			}
		}
	}
	return nil
}

// wrote returns what the hooks of a director have written.
func (s *soak) wrote(m *machine) string {
	text, err := os.ReadFile(filepath.Join(m.Dir(), "hooks.log"))
	if err != nil {
		s.t.Fatalf("%v", err)
	}
	return string(text)
}

// look adds to the history of a director what is new in its files. Old events are dropped from the files in time.
func (s *soak) look(m *machine) {
	var lines []string
	for _, end := range []string{".1", ""} {
		text, err := os.ReadFile(filepath.Join(m.Dir(), "state", "history.jsonl"+end))
		if err != nil && !(end != "" && errors.Is(err, os.ErrNotExist)) {
			s.t.Fatalf("%v", err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasSuffix(line, "\n") {
				lines = append(lines, line)
			}
		}
	}
	fresh, ok := added(m.history, lines)
	if !ok {
		s.t.Fatalf("%s: its history was dropped before the soak has read it", m.Name)
	}
	m.history = append(m.history, fresh...)
}

// added returns what follows the known lines of a history. lines are those of its files, which may lack the oldest. Lines may be alike,
// so all of what both have is compared.
func added(known, lines []string) (fresh []string, ok bool) {
	for i := range known {
		if both := known[i:]; len(lines) >= len(both) && slices.Equal(both, lines[:len(both)]) {
			return lines[len(both):], true
		}
	}
	return lines, len(known) == 0
}

// noneLeft looks for processes of hooks that have ended. Only the director and its election may run.
func (s *soak) noneLeft(m *machine) {
	want := []int{}
	if m.running {
		election, err := m.ElectionPid()
		if err != nil {
			s.t.Fatalf("%v", err)
		}
		want = []int{m.Process().Pid(), election}
	}
	left := slices.DeleteFunc(m.Pids(), func(pid int) bool { return slices.Contains(want, pid) })
	if len(left) == 0 || m.running && s.busy(m) != 0 {
		return // none, or the state has changed just now
	}
	for _, pid := range left {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // nothing if it has ended meanwhile
		s.problems = append(s.problems, fmt.Sprintf("%s: process %d is left behind: %q", m.Name, pid, line))
	}
}
