// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

const (
	key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	// unnoticed is the number of milliseconds of outage that clients do not notice.
	unnoticed = 2
	// connected is how long two directors may take to be connected.
	connected = 15 * time.Second
	// undisturbed is how long nothing may happen when nobody does anything.
	undisturbed = 3 * time.Second
)

// pair are the settings of the pairs. Their interval bridges short stalls of a busy machine.
var pair = lab.DuoSettings{Advert: 300 * time.Millisecond}

// A scene is a pair of directors, of which at least one is of the former version for a time.
type scene struct {
	*lab.Attempt
	lab.Duo
}

// setUp makes the pair.
func (s *scene) setUp() {
	s.Duo = lab.NewDuo(s.Attempt, pair)
	for _, d := range s.both() {
		d.Configure(s.config(d))
	}
}

// config returns a director's configuration.
func (s *scene) config(d *lab.Director) string {
	priority, other := lab.PriorityA, "192.0.2.3"
	if d == s.B {
		priority, other = lab.PriorityB, "192.0.2.2"
	}
	return pair.Config(d.Name, priority) + fmt.Sprintf("[peer]\naddress = \"%s:8474\"\nkey = \"hex:%s\"\n", other, key)
}

func (s *scene) both() [2]*lab.Director { return [2]*lab.Director{s.A, s.B} }

func (s *scene) other(d *lab.Director) *lab.Director {
	if d == s.A {
		return s.B
	}
	return s.A
}

// said prints a row.
func said(format string, args ...any) { fmt.Printf("  "+format+"\n", args...) }

// run runs a command of the director's own version.
func (s *scene) run(d *lab.Director, args ...string) (string, error) {
	return d.TryRun(d.Program(), append(args, "--socket", d.Socket)...)
}

// must is run for a command that succeeds.
func (s *scene) must(d *lab.Director, args ...string) string {
	out, err := s.run(d, args...)
	if err != nil {
		s.Fatalf("%s: %v", d.Name, err)
	}
	return out
}

// says checks the output of a command that succeeds.
func (s *scene) says(d *lab.Director, out string, want ...string) {
	for _, w := range want {
		if !strings.Contains(out, w) {
			s.Errorf("%s: want %q in\n%s", d.Name, w, out)
		}
	}
}

// refuses checks that a command is refused, with these words.
func (s *scene) refuses(d *lab.Director, want string, args ...string) {
	out, err := s.run(d, args...)
	if err == nil || !strings.Contains(out, want) {
		s.Errorf("%s: tandem %s: %v\n%s\nwant it to be refused with %q", d.Name, strings.Join(args, " "), err, out, want)
		return
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	said("tandem %s on %s is refused: %s", strings.Join(args, " "), d.Name, lines[len(lines)-1])
}

// status is the state of a director that answers.
func (s *scene) status(d *lab.Director) lab.Status {
	is, err := d.Status()
	if err != nil || len(is.VRRP) != 1 {
		s.Fatalf("status of %s: %v", d.Name, err)
	}
	return is
}

// elected returns the roles of directors, and since when they have them.
func (s *scene) elected(all []*lab.Director) string {
	var b strings.Builder
	for _, d := range all {
		r := s.status(d).VRRP[0]
		fmt.Fprintf(&b, "%s is %s since %s, became master %d times\n", d.Name, r.State, r.Since.UTC(), r.Counters.BecameMaster)
	}
	return b.String()
}

// keeps checks that what f does changes no role of directors, and that the client notices nothing. Those that f restarts are not among
// the directors; without any, it is about both.
func (s *scene) keeps(what string, f func(), all ...*lab.Director) {
	if len(all) == 0 {
		all = []*lab.Director{s.A, s.B}
	}
	before, probe := s.elected(all), s.Steady()
	f()
	out := probe.Stop()
	if out.Lost > 0 {
		s.Errorf("%s: the client got no answer to %d of %d questions: %s", what, out.Lost, out.Sent, out)
	}
	if after := s.elected(all); after != before {
		s.Errorf("%s: the election has changed. Before:\n%safter:\n%s", what, before, after)
	}
	said("%s: 0 transitions, %d of %d questions of the client unanswered", what, out.Lost, out.Sent)
}

// hands checks that what f does moves the virtual address to a director, and that the client does not notice it.
func (s *scene) hands(what string, to *lab.Director, f func()) {
	probe := s.Steady()
	f()
	s.AwaitMaster(to)
	s.Answers(probe)
	out := probe.Stop()
	missed := probe.Missed()
	said("%s: %s is master, %d questions in a row unanswered", what, to.Name, missed)
	if allowed := unnoticed + out.Stalled(); missed > allowed || out.Open {
		s.Errorf("%s: the client missed %d answers in a row, asking every millisecond; want at most %d: %s", what, missed, allowed, out)
	}
}

// awaitConnected waits until both directors say that the channel works in both directions.
func (s *scene) awaitConnected() {
	began := time.Now()
	s.Eventually(connected, "the directors are connected", func() error {
		for _, d := range s.both() {
			if is, err := d.Status(); err != nil || !is.Peer.Connected() {
				return fmt.Errorf("%s: %v, %+v", d.Name, err, is.Peer)
			}
		}
		return nil
	})
	said("connected in both directions after %d ms", time.Since(began).Milliseconds())
}

// tellsVersions checks that status --pair of both directors has both versions.
func (s *scene) tellsVersions() {
	for _, d := range s.both() {
		o := s.other(d)
		own, theirs := s.status(d).Version, s.status(o).Version
		out := s.must(d, "status", "--pair")
		s.says(d, out, fmt.Sprintf("%s · tandem %s\n%s · tandem %s · connected for ", d.Name, own, o.Name, theirs))
		if own != theirs {
			s.says(d, out, "the versions differ: what only one of them knows is not compared")
		}
		said("status --pair on %s: %s", d.Name, strings.Join(strings.Split(out, "\n")[:2], "; "))
	}
}

// stop ends a director, as its service does before another version starts.
func (s *scene) stop(d *lab.Director) {
	d.Process().Signal(syscall.SIGTERM)
	if code := d.Process().Wait(15 * time.Second); code != 0 {
		s.Errorf("tandem on %s ended with code %d, want 0", d.Name, code)
	}
	if d.Has(lab.VIP) {
		s.Errorf("%s kept the virtual address", d.Name)
	}
}
