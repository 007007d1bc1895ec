// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// keepalived starts Debian's keepalived with the configuration as it is.
func (s *stage) keepalived() *lab.Process {
	d := s.director
	pid := d.Dir() + "/keepalived.pid"
	file := d.WriteFile("keepalived.conf", s.of.text())
	args := []string{"--dont-fork", "--log-console", "--log-detail", "-f", file, "-p", pid, "-r", pid + ".vrrp", "-c", pid + ".check"}
	return d.Start("keepalived", args...)
}

// A conversion is what tandem import prints with --json.
type conversion struct {
	Text           string
	Notes, Refused []struct {
		Line     int
		Text, Do string
	}
}

// convert imports the configuration. Both are run on the director, whose files they are.
func (s *stage) convert() conversion {
	d := s.director
	// The exit code is 2 if there are notes.
	out, err := d.TryRun(d.Program(), "import", d.Dir()+"/keepalived.conf", "--json")
	var c conversion
	if bad := json.NewDecoder(strings.NewReader(out)).Decode(&c); bad != nil || c.Text == "" || len(c.Refused) > 0 {
		s.attempt.Fatalf("tandem import: %v: %s", err, out)
	}
	return c
}

// tandem starts tandem with the converted file.
func (s *stage) tandem(c conversion) *lab.Process {
	d := s.director
	d.Configure(c.Text)
	if out, err := d.TryRun(d.Program(), "check", d.File); err != nil {
		s.attempt.Fatalf("tandem check refuses the converted file: %s\n%s", out, c.Text)
	}
	return d.Launch()
}

// end stops a subject as its service does.
func (s *stage) end(p *lab.Process) {
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(20 * time.Second); code != 0 {
		s.attempt.Errorf("it ended with code %d", code)
	}
	s.Eventually(5*time.Second, "no process is left", func() error {
		if pids := s.director.Pids(); len(pids) > 0 {
			return fmt.Errorf("processes %v", pids)
		}
		return nil
	})
}
