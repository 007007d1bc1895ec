// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
	"golang.org/x/sys/unix"
)

// unnoticed is the number of questions in a row without an answer that a client does not notice.
const unnoticed = 2

// A scene is the life of the package on three machines: two directors and a real server.
type scene struct {
	*lab.Attempt
	lab.Pair
	ask           time.Duration // how often the client asks
	lb1, lb2, web *machine
	before        map[*machine]traces
	compared      []string // what was compared
	excused       []string // the differences that are exceptions
}

func (s *scene) machines() []*machine { return []*machine{s.lb1, s.lb2, s.web} }

// build makes the network of the shipped example, and starts the machines.
func (s *scene) build() {
	l := lab.New(s.Attempt)
	if err := unix.Mount("cgroup2", groups, "cgroup2", unix.MS_NOSUID, ""); err != nil {
		s.Fatalf("mount the control groups: %v", err)
	}
	if err := os.WriteFile(groups+"/cgroup.subtree_control", []byte("+cpu +memory +pids"), 0); err != nil {
		s.Fatalf("control groups: %v", err)
	}
	s.Pair = lab.Pair{Lab: l, Client: l.Host("client", "192.0.2.1/24")}
	machine := func(name, addr, unit string) *machine {
		return &machine{Host: l.Host(name, addr), scene: s, unit: unit}
	}
	s.lb1, s.lb2 = machine("lb1", "192.0.2.2/24", "tandem"), machine("lb2", "192.0.2.3/24", "tandem")
	s.web = machine("web1", "192.0.2.11/24", "tandem-realserver")
	s.web.HTTPServer("web1")
	// The second real server is as somebody has prepared it without tandem.
	other := l.Host("web2", "192.0.2.12/24")
	other.RealServer(lab.VIP, secondVIP)
	other.HTTPServer("web2")
	// The example's second machine has another kind of network card.
	s.lb2.Run("ip", "link", "set", "eth0", "down")
	s.lb2.Run("ip", "link", "set", "eth0", "name", "ens3")
	s.lb2.Run("ip", "link", "set", "ens3", "up")
	for _, m := range s.machines() {
		if err := errors.Join(m.unpack(), m.start()); err != nil {
			s.Fatalf("%v", err)
		}
	}
	s.A, s.B = s.lb1.director(), s.lb2.director()
}

// director is the machine as a director of the lab.
func (m *machine) director() *lab.Director {
	socket := fmt.Sprintf("/proc/%d/root/run/tandem/control.sock", m.cmd.Process.Pid)
	return &lab.Director{Host: m.Host, Socket: socket}
}

// each does something on machines at the same time, and returns what to say about each.
func (s *scene) each(machines []*machine, do func(*machine) string) []string {
	said := make([]string, len(machines))
	failed := s.Failed()
	var running sync.WaitGroup
	for i, m := range machines {
		// A failure on one machine ends only this goroutine.
		running.Go(func() { s.Keep(func() { said[i] = do(m) }) })
	}
	running.Wait()
	if !failed && s.Failed() {
		s.Fatalf("see above")
	}
	return said
}

// row prints a row of the table: what is now on each machine.
func (s *scene) row(step, client string) {
	now := strings.Join(s.each(s.machines(), (*machine).state), " | ")
	fmt.Printf("| %s | %s | %s |\n", step, now, client)
}

// watched has a client ask while something happens that it must not notice, and prints the row.
func (s *scene) watched(step string, do func()) {
	probe := s.Client.ProbeTCP(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddrPort(lab.VIP+":80"), s.ask)
	s.Answers(probe)
	do()
	s.Answers(probe)
	out := probe.Stop()
	missed := probe.Missed()
	s.row(step, fmt.Sprintf("%d of %d questions unanswered, %d in a row; longest pause of the client %d ms",
		out.Lost, out.Sent, missed, out.Gap.Milliseconds()))
	if missed > unnoticed {
		s.explain(step, out)
	}
	// While the whole emulated machine pauses, the directors do too.
	if allowed := unnoticed + int(out.Gap/s.ask); missed > allowed || out.Open {
		s.Errorf("%s: the client missed %d answers in a row, want at most %d: %s", step, missed, allowed, out)
	}
}

// explain prints when a client got no answer, and what the directors said in the seconds around it.
func (s *scene) explain(step string, out lab.Outage) {
	const clock = "2006-01-02 15:04:05.000000"
	fmt.Fprintf(os.Stderr, "%s: no answer for %.1f ms from %s on\n", step, float64(out.Longest.Microseconds())/1000, out.Began.UTC().Format(clock))
	for _, m := range []*machine{s.lb1, s.lb2} {
		said, _ := m.run(fmt.Sprintf("journalctl --utc --no-pager --quiet -o short-precise -u tandem --since '%s' --until '%s'",
			out.Began.UTC().Add(-2*time.Second).Format(clock[:19]), out.Began.UTC().Add(3*time.Second).Format(clock[:19])))
		fmt.Fprintf(os.Stderr, "%s:\n%s", m.Name, said)
	}
}

// state describes what of the package is on a machine, and what it does.
func (m *machine) state() string {
	status, _ := m.run("dpkg-query --show --showformat='${Version} ${db:Status-Status}' tandem 2>/dev/null")
	version, status, _ := strings.Cut(strings.TrimSpace(status), " ")
	switch {
	case status == "" || status == "not-installed":
		return "–"
	case status != "installed":
		return status
	}
	if active, _ := m.run("systemctl is-active " + m.unit); strings.TrimSpace(active) != "active" {
		return "installed " + version
	}
	_, version, _ = strings.Cut(version, ".g")
	does := "serves"
	if m.unit == "tandem" {
		is, err := m.director().Status()
		if err != nil || len(is.VRRP) == 0 {
			return fmt.Sprintf("no director answers: %v", err)
		}
		if does, version = is.VRRP[0].State, is.Version; is.VRRP[0].Name != "web" {
			does = is.VRRP[0].Name
		}
	}
	text := fmt.Sprintf("%s, %s", does, version)
	if has := slices.DeleteFunc([]string{lab.VIP, secondVIP}, func(vip string) bool { return !m.Has(vip) }); len(has) > 0 {
		text += ", has " + strings.Join(has, " and ")
	}
	return text
}

// install installs a package.
func (m *machine) install(deb lab.File) {
	text, err := os.ReadFile(deb.Path())
	if err == nil {
		err = m.write("root/"+deb.Name, string(text), 0o644) // /tmp is another file system in the machine
	}
	if err != nil {
		m.scene.Fatalf("copy %s to %s: %v", deb.Name, m.Name, err)
	}
	m.must("dpkg -i " + deb.Name + "; code=$?; rm " + deb.Name + "; exit $code")
}

// awaitMaster waits until a director is master of both virtual routers.
func (s *scene) awaitMaster(d, other *lab.Director) {
	s.AwaitMaster(d)
	s.Eventually(30*time.Second, d.Name+" has the second VIP", func() error {
		if !d.Has(secondVIP) || other.Has(secondVIP) {
			return fmt.Errorf("%s on %s: %t, on %s: %t", secondVIP, d.Name, d.Has(secondVIP), other.Name, other.Has(secondVIP))
		}
		return nil
	})
}

// awaitConnected waits until both directors say that the channel works.
func (s *scene) awaitConnected() {
	s.Eventually(time.Minute, "the directors are connected", func() error {
		for _, d := range []*lab.Director{s.A, s.B} {
			if is, err := d.Status(); err != nil || !is.Peer.Connected() {
				return errors.Join(err, fmt.Errorf("%s is not connected: %+v", d.Name, is.Peer))
			}
		}
		return nil
	})
}
