// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
	"golang.org/x/sys/unix"
)

const (
	example = "usr/share/doc/tandem/examples/pair.toml"
	config  = "etc/tandem/tandem.toml"
	// askEvery is how often the client asks for a new connection. The emulated machine does not carry more.
	askEvery = 5 * time.Millisecond
	// unnoticed is the number of questions in a row without an answer that a client does not notice.
	unnoticed = 2
)

// A scene is the life of the package on two machines.
type scene struct {
	*lab.Attempt
	lab.Pair
	machines []*machine
	before   map[*machine]traces
}

// build makes the network of the shipped example, and starts both machines.
func (s *scene) build() {
	l := lab.New(s.Attempt)
	if err := unix.Mount("cgroup2", groups, "cgroup2", unix.MS_NOSUID, ""); err != nil {
		s.Fatalf("mount the control groups: %v", err)
	}
	if err := os.WriteFile(groups+"/cgroup.subtree_control", []byte("+cpu +memory +pids"), 0); err != nil {
		s.Fatalf("control groups: %v", err)
	}
	s.Pair = lab.Pair{Lab: l, Client: l.Host("client", "192.0.2.1/24")}
	for i, addr := range []string{"192.0.2.11/24", "192.0.2.12/24"} {
		web := l.Host("web"+strconv.Itoa(i+1), addr)
		web.RealServer(lab.VIP)
		web.HTTPServer(web.Name)
	}
	a, b := &machine{Host: l.Host("lb1", "192.0.2.2/24"), scene: s}, &machine{Host: l.Host("lb2", "192.0.2.3/24"), scene: s}
	// The example's second machine has another kind of network card.
	b.Run("ip", "link", "set", "eth0", "down")
	b.Run("ip", "link", "set", "eth0", "name", "ens3")
	b.Run("ip", "link", "set", "ens3", "up")
	for _, m := range []*machine{a, b} {
		s.machines = append(s.machines, m)
		if err := m.start(); err != nil {
			s.Fatalf("%v", err)
		}
	}
	s.A, s.B = a.director(), b.director()
}

// director is the machine as a director of the lab.
func (m *machine) director() *lab.Director {
	socket := fmt.Sprintf("/proc/%d/root/run/tandem/control.sock", m.cmd.Process.Pid)
	return &lab.Director{Host: m.Host, Socket: socket}
}

// both does something on both machines at the same time, and returns what to say about each.
func (s *scene) both(do func(*machine) string) [2]string {
	var said [2]string
	var running sync.WaitGroup
	for i, m := range s.machines {
		// A failure on one machine ends only this goroutine. The other one goes on.
		running.Go(func() { s.Keep(func() { said[i] = do(m) }) })
	}
	running.Wait()
	s.stopIfFailed()
	return said
}

func (s *scene) stopIfFailed() {
	if s.Failed() {
		s.Fatalf("see above")
	}
}

// row prints a row of the table.
func row(step string, said [2]string, client string) {
	fmt.Printf("| %s | %s | %s | %s |\n", step, said[0], said[1], client)
}

// watched has a client ask while something happens that it must not notice, and prints the row.
func (s *scene) watched(step string, do func(), describe func(*machine) string) {
	probe := s.Client.ProbeTCP(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddrPort(lab.VIP+":80"), askEvery)
	s.Answers(probe)
	do()
	s.Answers(probe)
	out := probe.Stop()
	missed := probe.Missed()
	row(step, s.both(describe), fmt.Sprintf("%d of %d questions without an answer, %d in a row; longest pause between two questions %d ms",
		out.Lost, out.Sent, missed, out.Gap.Milliseconds()))
	if allowed := unnoticed + int(out.Gap/askEvery); missed > allowed || out.Open {
		s.Errorf("%s: the client missed %d answers in a row, want at most %d: %s", step, missed, allowed, out)
	}
}

// state describes a machine's director.
func (m *machine) state() string {
	is, err := m.director().Status()
	if err != nil || len(is.VRRP) != 1 {
		return fmt.Sprintf("no director: %v", err)
	}
	text := is.VRRP[0].State + ", tandem " + is.Version
	if m.Has(lab.VIP) {
		text += ", has the VIP"
	}
	return text
}

// configure writes the configuration, as the page First pair of the guide does: from an example of the package, with a channel.
func (m *machine) configure(peer bool) {
	text, err := os.ReadFile(filepath.Join(m.root, example))
	if err == nil && peer {
		text = []byte(strings.NewReplacer(
			"[director.lb1]", "[peer]\nkey = { file = \"/etc/tandem/peer.key\" }\n\n[director.lb1]\npeer.address = \"192.0.2.3:8474\"",
			"[director.lb2]", "[director.lb2]\npeer.address = \"192.0.2.2:8474\"").Replace(string(text)))
	}
	if err == nil {
		err = m.write(config, string(text), 0o644)
	}
	if err != nil {
		m.scene.Fatalf("configure %s: %v", m.Name, err)
	}
	m.must("tandem check /" + config)
}

// install installs a package.
func (m *machine) install(deb lab.File) {
	text, err := os.ReadFile(deb.Path())
	if err == nil {
		// Below /root, because /tmp is another file system in the machine.
		err = m.write("root/"+deb.Name, string(text), 0o644)
	}
	if err != nil {
		m.scene.Fatalf("copy %s to %s: %v", deb.Name, m.Name, err)
	}
	m.must("dpkg -i " + deb.Name + "; code=$?; rm " + deb.Name + "; exit $code")
}

func (m *machine) version() string {
	return m.must("dpkg-query --show --showformat='${Version} ${db:Status-Status}' tandem")
}

// awaitConnected waits until both directors say that the channel works.
func (s *scene) awaitConnected() {
	s.Eventually(30*time.Second, "the directors are connected", func() error {
		for _, d := range []*lab.Director{s.A, s.B} {
			if is, err := d.Status(); err != nil || !is.Peer.Connected() {
				return errors.Join(err, fmt.Errorf("%s is not connected: %+v", d.Name, is.Peer))
			}
		}
		return nil
	})
}
