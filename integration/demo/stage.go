// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A stage runs the play. The lab uses it as it uses a *testing.T in a test, and it prints the steps for the reader.
type stage struct {
	pair     *lab.Pair
	scene    string
	colour   bool
	outages  []string
	logs     []string
	cleanups []func()
	failed   bool
	reason   string
}

var _ lab.T = (*stage)(nil)

// A stopped ends a play from within.
type stopped struct{}

func newStage() *stage { return &stage{colour: lab.Terminal()} }

// play runs the play and cleans up behind it.
func (s *stage) play(show func(*stage)) {
	defer func() {
		for len(s.cleanups) > 0 {
			last := s.cleanups[len(s.cleanups)-1]
			s.cleanups = s.cleanups[:len(s.cleanups)-1]
			last()
		}
		if s.failed {
			for _, text := range s.logs {
				fmt.Fprintln(os.Stderr, text)
			}
		}
	}()
	defer func() {
		switch r := recover().(type) {
		case nil, stopped:
		default:
			panic(r)
		}
	}()
	show(s)
}

// Helper, Name, Logf and the rest make a stage a lab.T. Logs are kept for when the play fails.
func (s *stage) Helper()      {}
func (s *stage) Name() string { return "demo" }
func (s *stage) Logf(format string, args ...any) {
	s.logs = append(s.logs, fmt.Sprintf(format, args...))
}
func (s *stage) Failed() bool     { return s.failed }
func (s *stage) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// Errorf remembers the first reason for failure.
func (s *stage) Errorf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.logs = append(s.logs, text)
	if !s.failed {
		s.failed, s.reason = true, text
	}
}

// Fatalf prints a failure and stops the demonstration.
func (s *stage) Fatalf(format string, args ...any) {
	s.Errorf(format, args...)
	panic(stopped{})
}

// TempDir makes a directory that is removed at the end of the demonstration.
func (s *stage) TempDir() string {
	dir, err := os.MkdirTemp("", "demo-")
	if err != nil {
		s.Fatalf("make a directory: %v", err)
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (s *stage) begin(p *lab.Pair) { s.pair = p }

// title begins a scene.
func (s *stage) title(text string) {
	s.scene = text
	if s.colour {
		text = "\x1b[1m" + text + "\x1b[0m"
	}
	fmt.Printf("\n%6.1f s  %s\n", s.pair.Elapsed().Seconds(), text)
}

// say tells what happened.
func (s *stage) say(format string, args ...any) {
	fmt.Printf("%6.1f s      %s\n", s.pair.Elapsed().Seconds(), fmt.Sprintf(format, args...))
}

// ask lets the client ask the virtual address n times and prints who answered. Each of the names must be among them, and
// nobody else.
func (s *stage) ask(n int, want ...string) {
	var got []string
	for range n {
		body, err := s.pair.Client.Get("http://" + lab.VIP + "/")
		if err != nil {
			s.Fatalf("%s: the client's request failed: %v", s.scene, err)
		}
		got = append(got, body)
	}
	distinct := slices.Compact(slices.Sorted(slices.Values(got)))
	if !slices.Equal(distinct, want) {
		s.Fatalf("%s: the client was answered by %v, not by %v", s.scene, distinct, want)
	}
	names := servers(got)
	if s.colour {
		names = "\x1b[32m" + names + "\x1b[0m"
	}
	s.say("the client asks %d times and is answered by  %s", n, names)
}

// awaitWeight waits until both directors have web1 at a weight.
func (s *stage) awaitWeight(weight int) {
	for _, d := range []*lab.Director{s.pair.A, s.pair.B} {
		s.pair.Eventually(15*time.Second, fmt.Sprintf("web1 at weight %d on %s", weight, d.Name), func() error {
			if got, there := d.Weights()["tcp 192.0.2.11"]; !there || got != weight {
				return fmt.Errorf("it is at %d", got)
			}
			return nil
		})
	}
}

// probe starts a client that asks the virtual address every millisecond, and waits until it is answered.
func (s *stage) probe() *lab.Prober {
	p := s.pair.Client.Probe(lab.VIP + ":7")
	s.awaitAnswers(p)
	return p
}

func (s *stage) awaitAnswers(p *lab.Prober) {
	s.pair.Eventually(15*time.Second, "the virtual address answers", func() error {
		if p.Answered(100) < 50 {
			return errors.New("it does not")
		}
		return nil
	})
}

// outage waits until the client is answered again, and tells for how long it was not.
func (s *stage) outage(p *lab.Prober) {
	s.awaitAnswers(p)
	o := p.Stop()
	text := ms(o.Longest)
	s.outages = append(s.outages, fmt.Sprintf("%-48s %8s", s.scene, text))
	if s.colour {
		text = "\x1b[33m" + text + "\x1b[0m"
	}
	s.say("outage that a client saw, asking every millisecond: %s (its own longest pause: %s)", text, ms(o.Gap))
}

// stop ends a director by SIGTERM.
func (s *stage) stop(d *lab.Director) {
	d.Process().Signal(syscall.SIGTERM)
	if code := d.Process().Wait(15 * time.Second); code != 0 {
		s.Fatalf("%s: tandem on %s ended with code %d", s.scene, d.Name, code)
	}
	if d.Has(lab.VIP) {
		s.Fatalf("%s: %s kept the virtual address", s.scene, d.Name)
	}
}

// summary repeats the figures.
func (s *stage) summary() {
	fmt.Printf("\n%6.1f s  Outages that the client saw\n", s.pair.Elapsed().Seconds())
	for _, text := range s.outages {
		fmt.Printf("              %s\n", text)
	}
	fmt.Println()
}
