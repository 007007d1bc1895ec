// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/integration/lab/report"
)

// probeGoal is the processor time that a question each millisecond may cost, in percent of a core.
const probeGoal = 10

// A question is what clients ask every millisecond.
type question struct {
	what string
	args []string // of tandem probe
	// apart says that the kernel's work for the server has another processor than the client, as it is between two machines. Otherwise
	// the kernel does that work within the client's system calls, and it counts as the client's.
	apart bool
	goal  *report.Goal
}

var questions = []question{
	{"HTTP, server on a processor of its own", []string{probedHTTP, "--http", "/"}, true, report.AtMost(probeGoal)},
	{"HTTP", []string{probedHTTP, "--http", "/"}, false, nil},
	{"TCP, connections only", []string{probedHTTP}, false, nil},
	{"UDP", []string{probedEcho, "--udp", "--send", "?"}, false, nil},
}

// measureProbeCost measures the processor time of clients that ask every millisecond. The system calls alone are what this machine's
// kernel takes for the same connections, whoever asks.
func measureProbeCost(b *bench) {
	span := 10 * time.Second
	if b.options.long {
		span = 30 * time.Second
	}
	for _, q := range questions {
		what := fmt.Sprintf("a question every %s, %s", cadence, q.what)
		tell := func(name string, asked int, used time.Duration, note string, goal *report.Goal) {
			// Of a client that asked less often than it should, because the machine was busy, it is what all questions would have cost.
			each := used.Seconds() / float64(asked)
			b.judge(what, name, 100*each/cadence.Seconds(), "% of a core",
				fmt.Sprintf("%.1f us a question, %d questions in %s%s", 1e6*each, asked, span, note), goal)
		}
		scene := func(t *lab.Attempt) *probeScene {
			s := newProbeScene(b, t)
			if q.apart {
				s.setApart()
			}
			return s
		}
		for _, subject := range b.subjects(tandem) {
			b.measure(what, subject.name, func(t *lab.Attempt) {
				r, p := scene(t).probe(subject.program(), span, q.args...)
				tell(subject.name, r.Asked, p.CPU(), fmt.Sprintf("; by its own report %.2f %%, without its other threads", 100*r.Prober.CPU/r.Seconds), q.goal)
			})
		}
		if len(q.args) < 2 || q.args[1] != "--http" {
			continue
		}
		b.measure(what, vegeta.Name, func(t *lab.Attempt) {
			s := scene(t)
			p := s.attack(span)
			tell(vegeta.Name, s.attacked().asked, p.CPU(), "", nil)
		})
		const alone = "system calls alone"
		b.measure(what, alone, func(t *lab.Attempt) {
			s := scene(t)
			asked, used, err := bareQuestions(s.client, probedHTTP, span, s.apart)
			if err != nil {
				t.Fatalf("%s: %v", alone, err)
			}
			tell(alone, asked, used, "; blocking calls in a loop that does nothing else", nil)
		})
	}
}

// setApart lets the kernel receive for the server on the last processor. Clients are started on the first one.
func (s *probeScene) setApart() {
	last := runtime.NumCPU() - 1
	if last == 0 {
		s.attempt.Fatalf("this machine has only one processor")
	}
	sys := s.attempt.TempDir()
	err := s.host.Do(func() error { // its own interfaces are in there
		if err := unix.Mount("sysfs", sys, "sysfs", 0, ""); err != nil {
			return fmt.Errorf("mount sysfs: %w", err)
		}
		err := os.WriteFile(filepath.Join(sys, "class/net/eth0/queues/rx-0/rps_cpus"), fmt.Appendf(nil, "%x", 1<<last), 0)
		return errors.Join(err, unix.Unmount(sys, 0))
	})
	if err != nil {
		s.attempt.Fatalf("receive on another processor: %v", err)
	}
	s.apart = true
}

// start starts a client.
func (s *probeScene) start(name string, args ...string) *lab.Process {
	if s.apart {
		return s.client.Start("busybox", append([]string{"taskset", "1", name}, args...)...)
	}
	return s.client.Start(name, args...)
}

// onFirst keeps this thread on the first processor.
func onFirst() error {
	var first unix.CPUSet
	first.Set(0)
	return unix.SchedSetaffinity(0, &first)
}
