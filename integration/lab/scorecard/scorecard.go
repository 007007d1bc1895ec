// SPDX-License-Identifier: Apache-2.0

// Package scorecard judges what tandem doctor says of broken networks: whether it names the fault and nothing else, whether its advice
// works as it is printed, and how soon the finding goes.
//
// Each breakage is a row of a table. Tests print their rows, and `make scorecard` makes one table of them.
package scorecard

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// GoesWithin is the time from the mend of a fault to the beginning of the examinations that no longer find it.
const GoesWithin = 2 * time.Second

// A Breakage is a row: a fault, the machine whose doctor names it, and what it names.
type Breakage struct {
	Name string
	On   *lab.Host
	Also []*lab.Host // whose doctors name the same
	Fail func()
	Want string // the only finding
	Says string // in what it says
	// Advises is in its advice. Hurts: the service does not work until the mend.
	Advises string
	Hurts   bool
	// Heal does what the finding advises to do in a file or with another program. The command in its advice, if it has one, runs
	// afterwards on these hosts; none: on the host of the doctor. If there is neither, the test undoes the fault.
	Heal func()
	Runs []*lab.Host
	// Router is the address that stands for ROUTER in the command.
	Router  string
	Works   func() error // reports whether the service works
	Restore func()       // undoes what the mend leaves behind
}

// A Card is the scorecard of machines whose faults are caused one after another.
type Card struct {
	*lab.Lab
	T      *testing.T
	Args   map[*lab.Host][]string // of the doctor
	Dirs   []*lab.Director
	Ignore []string // findings that the kernel of the lab explains
	// Starts are the times after a mend at which examinations begin. They run beside each other.
	Starts []time.Duration
}

// New makes the card of a pair.
func New(t *testing.T, l *lab.Lab, dirs ...*lab.Director) *Card {
	c := &Card{Lab: l, T: t, Args: make(map[*lab.Host][]string), Dirs: dirs}
	for at := time.Duration(0); at <= GoesWithin; at += GoesWithin / 4 {
		c.Starts = append(c.Starts, at)
	}
	return c
}

// Row prints a row of the table.
func Row(t *testing.T, name, finding, on, advice string, gone time.Duration) {
	t.Helper()
	t.Logf("scorecard: %-48s | %-34s | %s | %.1f s", name, finding+" on "+on, advice, gone.Seconds())
}

// settles is how long the network may take until the doctor finds what it should.
const settles = time.Minute

// Clean checks that no machine has a finding. All are examined at the same time.
func (c *Card) Clean(when string) {
	c.T.Helper()
	c.Eventually(settles, "no findings "+when, func() error {
		doctors := make(map[string]lab.Doctor)
		for h, args := range c.Args {
			doctors[h.Name] = h.StartDoctor(args...)
		}
		var wrong []error
		for name, d := range doctors {
			if all := c.relevant(d); len(all) > 0 {
				wrong = append(wrong, fmt.Errorf("on %s: %+v", name, all))
			}
		}
		return errors.Join(wrong...)
	})
}

// relevant returns the findings that are not to be ignored.
func (c *Card) relevant(d lab.Doctor) []lab.Finding {
	all, _ := d.Findings()
	return slices.DeleteFunc(all, func(f lab.Finding) bool { return slices.Contains(c.Ignore, f.ID) })
}

// Run causes one breakage after another. Before the first and after the last, no machine may have a finding.
func (c *Card) Run(rows []Breakage) {
	c.T.Helper()
	c.Clean("at first")
	for _, row := range rows {
		c.T.Run(row.Name, func(t *testing.T) { c.run(t, row) })
	}
	c.Clean("at last")
}

func (c *Card) run(t *testing.T, row Breakage) {
	if row.Works == nil {
		t.Fatal("a row must say what works after the mend")
	}
	row.Fail()
	args := c.Args[row.On]
	var found lab.Finding
	c.Eventually(settles, row.Name+": the doctor names it", func() error {
		doctors := []lab.Doctor{row.On.StartDoctor(args...)}
		for _, h := range row.Also {
			doctors = append(doctors, h.StartDoctor(c.Args[h]...))
		}
		for _, d := range doctors {
			all := c.relevant(d)
			if len(all) != 1 || all[0].ID != row.Want || !strings.Contains(all[0].What, row.Says) || !strings.Contains(all[0].Mend, row.Advises) {
				return fmt.Errorf("beside %s it finds %+v, want %s with %q and the advice %q", row.On.Name, all, row.Want, row.Says, row.Advises)
			}
			if found.ID == "" {
				found = all[0]
			}
		}
		return nil
	})
	if row.Hurts && row.Works() == nil {
		t.Error("the service works before the mend")
	}
	if row.Heal != nil {
		row.Heal()
	}
	if command := strings.ReplaceAll(CommandIn(found.Mend), "ROUTER", row.Router); command != "" {
		on := row.Runs
		if on == nil {
			on = []*lab.Host{row.On}
		}
		for _, h := range on {
			Do(t, h, command, c.Dirs...)
		}
	}
	took := c.goes(t, row.On, args)
	c.Eventually(settles, row.Name+": the service works after the mend", row.Works)
	if row.Restore != nil {
		row.Restore()
	}
	Row(t, row.Name, row.Want, row.On.Name, found.Mend, took)
}

// goes returns how long after now an examination begins that has no findings.
func (c *Card) goes(t *testing.T, h *lab.Host, args []string) (gone time.Duration) {
	t.Helper()
	if err := c.Undisturbed(func() (err error) {
		gone, err = c.look(h, args)
		return err
	}); err != nil {
		t.Errorf("%s after the mend %v", GoesWithin, err)
	}
	return gone
}

// look returns how long after now an examination begins that has no findings. It is an error if none does until GoesWithin.
func (c *Card) look(h *lab.Host, args []string) (gone time.Duration, err error) {
	mended := time.Now()
	var all []lab.Doctor
	var last []lab.Finding
	for _, at := range c.Starts {
		time.Sleep(time.Until(mended.Add(at)))
		for len(all) > 0 && !all[0].Running() {
			if last = c.relevant(all[0]); len(last) == 0 {
				return all[0].Began.Sub(mended), nil
			}
			all = all[1:]
		}
		all = append(all, h.StartDoctor(args...))
	}
	for _, d := range all {
		if last = c.relevant(d); len(last) == 0 {
			return d.Began.Sub(mended), nil
		}
	}
	return -1, fmt.Errorf("the doctor finds %+v", last)
}

// programs are those that an advice may begin with.
var programs = []string{"ip", "sysctl", "nft", "tandem", "iptables-legacy", "ip6tables-legacy", "modprobe"}

// CommandIn returns the command in an advice: what is in backquotes, or all of it if it begins with the name of a program.
func CommandIn(mend string) string {
	if _, rest, ok := strings.Cut(mend, "`"); ok {
		command, _, _ := strings.Cut(rest, "`")
		return command
	}
	if first, _, _ := strings.Cut(mend, " "); slices.Contains(programs, first) {
		return mend
	}
	return ""
}

// Do runs commands on a host as the doctor prints them. A command of tandem's also gets the paths of the lab.
func Do(t *testing.T, h *lab.Host, commands string, dirs ...*lab.Director) {
	t.Helper()
	for command := range strings.SplitSeq(commands, " && ") {
		var err error
		switch words := strings.Fields(command); {
		case len(words) < 2:
			t.Errorf("on %s: no command: %q", h.Name, commands)
		case words[0] == "sysctl": // the lab's is busybox's
			_, err = h.TryRun("busybox", words...)
		case words[0] == "tandem" && words[1] == "reload":
			for _, d := range dirs {
				if d.Host == h {
					_, err = h.TryRun(lab.Tandem.Path(), "reload", "--socket", d.Socket)
				}
			}
		case words[0] == "tandem":
			_, err = h.TryRun(lab.Tandem.Path(), append(words[1:], "--state-dir", h.Dir()+"/realserver")...)
		default:
			_, err = h.TryRun(words[0], words[1:]...)
		}
		if err != nil {
			t.Errorf("%s on %s: %v", command, h.Name, err)
		}
	}
}
