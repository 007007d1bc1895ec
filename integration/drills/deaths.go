// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A death is how a drill ends in the middle.
type death struct {
	name string
	hold time.Duration // of the fault: the undoing is not its usual end, except where only the operator's network breaks
	flap time.Duration // the same, for each down and up of a flap
	// begin starts the drill, and returns what ends it.
	begin func(s *site, args []string) (end func())
	// killed says that the drill itself can do nothing any more: its report is that of the dead-man's switch.
	killed bool
	cut    bool // the network of the director is cut until the fault is undone
}

var deaths = []death{
	{name: "SIGKILL", hold: 30 * time.Second, flap: 8 * time.Second, begin: (*site).withoutSession, killed: true},
	{name: "terminal", hold: 30 * time.Second, flap: 8 * time.Second, begin: (*site).inTerminal},
	{name: "network", hold: 6 * time.Second, flap: 2 * time.Second, begin: (*site).overNetwork, cut: true},
}

// restoreLimit is how long it may take until all is as before: the fault is undone, the checks find the servers healthy again, and the
// director becomes master. The network may be cut until the end of the fault.
const restoreLimit = 40 * time.Second

func deathsPart() part {
	p := part{
		name: "deaths",
		title: "The drill dies in the middle of the fault. A cell is the time from its death until both directors are as before, line by " +
			"line. For the network, the time begins when it is back: the fault on the machine itself was undone before that.",
		heading: []string{"kind"},
	}
	for _, d := range deaths {
		p.heading = append(p.heading, d.name)
	}
	p.heading = append(p.heading, "lines compared")
	for _, k := range kinds {
		p.rows = append(p.rows, row{k.name, k.dies})
	}
	return p
}

func (k kind) dies(t *lab.Attempt) (cells []string) {
	s := newSite(t, lab.Tandem, "")
	lines := 0
	for _, d := range deaths {
		s.await(60 * time.Second)
		before := s.snapshot()
		lines = len(before)
		took := s.die(k, d, before)
		cells = append(cells, fmt.Sprintf("%.1f s", took.Seconds()))
	}
	return append(cells, fmt.Sprint(lines))
}

// die makes a drill, ends it when its fault is there, and returns how long it took until all was as before.
func (s *site) die(k kind, d death, before snapshot) time.Duration {
	args, lasts := []string{s.a.Program(), "drill", "-c", s.a.File, k.name}, d.hold
	if k.name == "flap" {
		args, lasts = append(args, "--flaps", "2", "--hold", d.flap.String()), 4*d.flap
	} else {
		args = append(args, append(strings.Fields(k.args), "--hold", d.hold.String())...)
	}
	s.Logf("%s: %s", d.name, strings.Join(args, " "))
	end := d.begin(s, args)
	s.Eventually(30*time.Second, "the fault is there", func() error {
		if compare(withoutDrills(before), withoutDrills(s.snapshot())) == "" {
			return errors.New("all is as before")
		}
		return nil
	})
	end()
	died := time.Now()
	s.Logf("the drill has died: %s", d.name)
	if d.cut {
		time.Sleep(lasts + time.Second) // the drill undoes the fault meanwhile
		s.Eventually(restoreLimit, "the fault is undone on the machine itself", func() error {
			if text := compare(local(before), local(s.snapshot())); text != "" {
				return errors.New(text)
			}
			return nil
		})
		s.Logf("the fault is undone on the machine itself")
		s.a.Rejoin()
		died = time.Now()
	}
	if text := s.differs(before, restoreLimit); text != "" {
		s.t.Fatalf("%s: not as before after %s:\n%s", d.name, restoreLimit, text)
	}
	took := time.Since(died)
	var all []drilled
	out := s.a.Run(s.a.Program(), "drill", "history", "-c", s.a.File, "--json")
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) == 0 {
		s.t.Fatalf("%s: the reports: %v: %s", d.name, err, out)
	}
	last := all[len(all)-1]
	s.Logf("passed %t, killed %t: %s", last.Passed, last.Killed, strings.Join(last.Failures, "; "))
	if last.Killed != d.killed {
		s.t.Errorf("%s: the report says killed: %t, want %t", d.name, last.Killed, d.killed)
	}
	return took
}

// withoutDrills are the lines that are not about the processes of a drill.
func withoutDrills(all snapshot) snapshot {
	return slices.DeleteFunc(slices.Clone(all), func(line string) bool { return strings.Contains(line, ": process: drill: ") })
}

// local are the lines about what a drill does to the machine itself. A director without its network cannot have the others as before.
func local(all snapshot) snapshot {
	return slices.DeleteFunc(withoutDrills(all), func(line string) bool {
		return !strings.HasPrefix(line, "director-a: ") || strings.Contains(line, lab.VIP) ||
			!slices.ContainsFunc([]string{"ip ", "nft ", "process: ", "immutable: "}, func(what string) bool {
				return strings.HasPrefix(line, "director-a: "+what)
			})
	})
}

// withoutSession starts a drill that SIGKILL ends.
func (s *site) withoutSession(args []string) (end func()) {
	p := s.a.Start(args[0], args[1:]...)
	return func() {
		p.Signal(syscall.SIGKILL)
		p.Wait(10 * time.Second)
	}
}
