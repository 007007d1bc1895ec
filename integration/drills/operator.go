// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// A drilled is what tandem drill --json tells. It has the members that are read here.
type drilled struct {
	Passed, Killed bool
	Refused        []string
	Failures       []string
	Compared       int
	Changed        []struct{ What string }
	Clients        []struct{ Flows, Broken, Failed, Asked int }
	Outage         *float64 `json:"outage_seconds"`
	ClientsOutage  *float64 `json:"clients_outage_seconds"`
	text           string
}

const (
	// settle is how long it may take until all is as before. With preempt = "synced" the director waits for connections up to a minute.
	settle = 90 * time.Second
	// drillLimit is the maximum time of one drill.
	drillLimit = settle + time.Minute
)

// drill runs tandem drill on the master, with the clients' machine, and returns its report.
func (s *site) drill(args ...string) (r drilled) {
	args = append([]string{"drill", "-c", s.a.File, "--json", "--settle", settle.String(), "--probe", asker, "--probe", keeper, "--key", s.key}, args...)
	var report, progress bytes.Buffer
	cmd := exec.Command(s.a.Program(), args...)
	cmd.Stdout, cmd.Stderr = &report, &progress
	s.Logf("tandem %s", strings.Join(args, " "))
	if err := s.a.Do(cmd.Start); err != nil {
		s.t.Fatalf("%v", err)
	}
	timer := time.AfterFunc(drillLimit, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	s.Logf("it says:\n%s%s", progress.String(), report.String())
	var all []drilled
	if bad := json.Unmarshal(report.Bytes(), &all); bad != nil || len(all) != 1 {
		s.t.Fatalf("the report of the drill: %v\n%s%s", errors.Join(err, bad), progress.String(), report.String())
	}
	r = all[0]
	r.text = strings.Join(append(r.Refused, r.Failures...), "; ")
	return r
}

// outage is what the clients saw.
func (r drilled) outage() string {
	if r.ClientsOutage == nil {
		return "not known"
	}
	return milliseconds(r.clientsOutage())
}

// clientsOutage is the same; 0 if it is not known.
func (r drilled) clientsOutage() time.Duration {
	if r.ClientsOutage == nil {
		return 0
	}
	return time.Duration(*r.ClientsOutage * float64(time.Second))
}

// broken is how many of the clients' connections broke.
func (r drilled) broken() string {
	broken, flows := 0, 0
	for _, c := range r.Clients {
		broken, flows = broken+c.Broken, flows+c.Flows
	}
	if flows == 0 {
		return "not known"
	}
	return fmt.Sprintf("%d of %d", broken, flows)
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

// foreseen is how long a cut cable or a crash of the master takes, as tandem status --pair says before it happens.
func (s *site) foreseen() time.Duration {
	out := s.a.Run(s.a.Program(), "status", "--pair", "--json", "--socket", s.a.Socket)
	var is struct {
		Forecast struct {
			Failures []struct {
				Silent *float64 `json:"cable_or_crash_seconds"`
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &is); err != nil || len(is.Forecast.Failures) == 0 || is.Forecast.Failures[0].Silent == nil {
		s.t.Fatalf("no forecast: %v: %s", err, out)
	}
	return time.Duration(*is.Forecast.Failures[0].Silent * float64(time.Second))
}
