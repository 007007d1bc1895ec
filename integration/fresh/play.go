// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// play has the whole life of the package.
func (s *scene) play() {
	s.build()
	fmt.Printf("The client asks for a new connection every %s.\n\n| step | lb1 | lb2 | client |\n|---|---|---|---|\n", askEvery)
	row("fresh root, systemd is process 1", s.both(func(m *machine) string {
		after := m.awaitRunning(2 * time.Minute)
		return fmt.Sprintf("running after %.0f s", after.Seconds())
	}), "–")
	s.before = make(map[*machine]traces)
	for _, m := range s.machines {
		s.before[m] = m.all()
	}
	s.setUp()
	lb1, lb2 := s.machines[0], s.machines[1]
	s.watched("tandem failover on lb1", func() {
		lb1.must("tandem failover")
		s.AwaitMaster(s.B)
	}, (*machine).state)
	s.watched("tandem release on lb1", func() {
		lb1.must("tandem release")
		s.AwaitMaster(s.A)
	}, (*machine).state)
	for _, m := range []*machine{lb2, lb1} {
		s.watched("dpkg -i the latest package on "+m.Name, func() {
			m.install(latest)
			s.AwaitMaster(s.A)
			s.awaitConnected()
		}, (*machine).state)
	}
	for _, m := range s.machines {
		if state := m.state(); !strings.Contains(m.version(), strings.TrimPrefix(m.running(), "v")) {
			s.Errorf("%s has the package %s, and runs %s", m.Name, m.version(), state)
		}
	}
	s.watched("dpkg -r on lb1, the master", func() {
		lb1.remove()
		s.Eventually(30*time.Second, "lb2 is master", func() error {
			if state := s.B.State(); state != "master" || !s.B.Has(lab.VIP) {
				return fmt.Errorf("it is %q", state)
			}
			return nil
		})
	}, (*machine).remains)
	lb1.purge()
	row("dpkg -P on lb1", s.both((*machine).remains), "–")
	lb2.remove()
	row("dpkg -r on lb2", s.both((*machine).remains), "–")
	lb2.purge()
	row("dpkg -P on lb2", s.both((*machine).remains), "–")
}

// setUp installs the former package, and makes a pair.
func (s *scene) setUp() {
	row("dpkg -i the former package", s.both(func(m *machine) string {
		m.install(former)
		if out, err := m.run("systemctl is-active tandem"); err == nil {
			m.scene.Fatalf("the package starts tandem on %s: %s", m.Name, out)
		}
		return m.version()
	}), "–")
	s.both(func(m *machine) string { m.configure(false); return "" })
	s.both(func(m *machine) string { return m.must("systemctl enable --now tandem") })
	s.AwaitMaster(s.A)
	s.Eventually(time.Minute, "a client is served", func() error {
		_, err := s.Client.Get("http://" + lab.VIP + "/")
		return err
	})
	row("the shipped example, systemctl enable --now tandem", s.both((*machine).state), "served")
	s.watched("tandem peer init, and reload: they are a pair", func() {
		s.machines[0].must("tandem peer init")
		key := s.machines[0].must("cat /etc/tandem/peer.key")
		if err := s.machines[1].write("etc/tandem/peer.key", key+"\n", 0o600); err != nil {
			s.Fatalf("%v", err)
		}
		s.both(func(m *machine) string { m.configure(true); return m.must("systemctl reload tandem") })
		s.awaitConnected()
		s.machines[0].must("tandem status --pair")
	}, (*machine).state)
}

// running returns the version of the director that runs.
func (m *machine) running() string {
	is, err := m.director().Status()
	if err != nil {
		m.scene.Fatalf("%s: %v", m.Name, err)
	}
	return is.Version
}

// remove removes the package. Then the kernel is as it was before the installation, and no unit and no process is there.
func (m *machine) remove() {
	m.must("dpkg -r tandem")
	m.compare("after dpkg -r", m.network())
	for _, unit := range []string{"tandem", "tandem-realserver"} {
		if out, err := m.run("systemctl cat " + unit); err == nil {
			m.scene.Errorf("after dpkg -r, %s still has the unit %s:\n%s", m.Name, unit, out)
		}
	}
	if out, err := m.run("pgrep -a tandem"); err == nil {
		m.scene.Errorf("after dpkg -r, on %s still runs:\n%s", m.Name, out)
	}
}

// purge purges the package. Then the files are as they were, too.
func (m *machine) purge() {
	m.must("dpkg -P tandem")
	now := m.all()
	m.compare("after dpkg -P", now)
	if out, err := m.run("dpkg-query --status tandem"); err == nil {
		m.scene.Errorf("after dpkg -P, dpkg still knows on %s:\n%s", m.Name, out)
	}
	fmt.Printf("\n%s, compared: %s\n", m.Name, now.size())
}

// compare compares with what was there before the installation.
func (m *machine) compare(when string, now traces) {
	differences, excused := compare(m.scene.before[m], now, exceptions)
	for _, text := range excused {
		m.scene.Logf("%s, %s: %s", m.Name, when, text)
	}
	for _, text := range differences {
		m.scene.Errorf("%s, %s: %s", m.Name, when, text)
	}
}

// remains says what of the package is on a machine.
func (m *machine) remains() string {
	state, err := m.run("dpkg-query --show --showformat='${db:Status-Status}' tandem 2>/dev/null")
	if err != nil || state == "" || state == "not-installed" {
		return "not known to dpkg"
	}
	if state != "installed" {
		return state
	}
	return m.state()
}
