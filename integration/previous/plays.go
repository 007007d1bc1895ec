// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// mixed is a pair of which one director is of the former version: the master or the backup.
func (s *scene) mixed(master bool) {
	s.setUp()
	former := s.B
	if master {
		former = s.A
	}
	former.Use(previous)
	s.Launch()
	s.awaitConnected()
	s.keeps("nobody does anything for "+undisturbed.String(), func() { time.Sleep(undisturbed) })
	s.tellsVersions()
	s.questions(s.other(former))
	s.drifts()
	s.hands("tandem failover on "+s.A.Name, s.B, func() { s.must(s.A, "failover") })
	s.hands("tandem release on "+s.A.Name, s.A, func() { s.must(s.A, "release") })
	s.keeps(s.B.Name+" restarts", func() { s.restart(s.B) }, s.A)
	s.tellsVersions()
}

// questions asks the director of the former version what it does not know. All is refused in words, and nothing changes.
func (s *scene) questions(d *lab.Director) {
	o := s.other(d)
	s.keeps("questions to "+o.Name, func() {
		older := o.Name + " is older (tandem " + s.status(o).Version + ") and cannot "
		out := s.must(d, "status", "--pair")
		s.says(d, out, o.Name+" is older and cannot answer: ")
		s.refuses(d, older+"tell its history", "history", "--pair")
		s.refuses(d, older, "why", "web", "--pair")
		s.refuses(d, older, "apply", "--pair")
		if config := s.must(d, "config", "log"); strings.Count(config, "\n") > 2 {
			s.Errorf("%s has applied something:\n%s", d.Name, config)
		}
	})
}

// drifts makes the configuration of a director differ, and back: both directors tell it, each from what the other one has told.
func (s *scene) drifts() {
	const right, wrong, says = "vrid = 51", "vrid = 51\nexcluded_vips = [\"192.0.2.150/24\"]", "has excluded_vips"
	load := func(text string, want bool) {
		s.B.Configure(text)
		s.must(s.B, "reload")
		for _, d := range s.both() {
			s.Eventually(5*time.Second, "status --pair on "+d.Name, func() error {
				if out := s.must(d, "status", "--pair"); strings.Contains(out, says) != want {
					return fmt.Errorf("%s", out)
				}
				return nil
			})
		}
	}
	text := s.config(s.B)
	s.keeps("both directors tell what differs in the configurations, and that it does no more", func() {
		load(strings.Replace(text, right, wrong, 1), true)
		load(text, false)
	})
}

// upgrade is a pair of the former version. Both directors change to this version, one after the other, and back to the former one,
// with the state that the other version has left.
func (s *scene) upgrade() {
	s.setUp()
	for _, d := range s.both() {
		d.Use(previous)
	}
	s.Launch()
	s.awaitConnected()
	s.tellsVersions()
	for _, to := range []lab.Cargo{lab.Tandem, previous} {
		s.keeps(s.B.Name+" changes to "+to.Name, func() { s.change(s.B, to) }, s.A)
		s.tellsVersions()
		// The command is of the version that is installed, and the director still of the one before.
		s.hands("tandem failover on "+s.A.Name+", before it changes to "+to.Name, s.B, func() {
			if out, err := s.A.TryRun(to.Path(), "failover", "--socket", s.A.Socket); err != nil {
				s.Errorf("tandem failover: %v\n%s", err, out)
			}
		})
		s.change(s.A, to)
		s.hands("tandem release on "+s.A.Name, s.A, func() { s.must(s.A, "release") })
		s.tellsVersions()
	}
}

// change restarts a director in another version.
func (s *scene) change(d *lab.Director, to lab.Cargo) {
	d.Use(to)
	s.restart(d)
}

// restart ends a director, and starts its program.
func (s *scene) restart(d *lab.Director) {
	s.stop(d)
	d.Launch()
	d.AwaitState(10*time.Second, "backup")
	s.awaitConnected()
}
