// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// play has the whole life of the package.
func (s *scene) play() {
	s.build()
	fmt.Printf("The client asks for a new connection every %s.\n\n| step | lb1 | lb2 | web1 | client |\n|---|---|---|---|---|\n", s.ask)
	up := s.each(s.machines(), func(m *machine) string {
		return fmt.Sprintf("running after %.0f s", m.awaitRunning(2*time.Minute).Seconds())
	})
	fmt.Printf("| a fresh root, systemd is process 1 | %s | – |\n", strings.Join(up, " | "))
	s.before = make(map[*machine]traces)
	for _, m := range s.machines() {
		s.before[m] = m.all()
	}
	s.setUp()
	s.pairUp()
	s.watched("tandem failover on lb1", func() {
		s.lb1.must("tandem failover")
		s.awaitMaster(s.B, s.A)
	})
	s.watched("tandem release on lb1", func() {
		s.lb1.must("tandem release")
		s.awaitMaster(s.A, s.B)
	})
	s.upgrade()
	s.endPair()
	s.endServer()
}

// setUp installs the former package, and starts it with the shipped example.
func (s *scene) setUp() {
	s.each(s.machines(), func(m *machine) string { m.install(former); return "" })
	s.row("dpkg -i the former package", "–")
	for _, m := range s.machines() {
		if out, err := m.run("pgrep -a tandem"); err == nil {
			s.Errorf("the package has started something on %s: %s", m.Name, out)
		}
	}
	s.each(s.machines(), func(m *machine) string {
		if m == s.web {
			m.configureServer(lab.VIP)
		} else {
			m.configure()
		}
		return m.must("systemctl enable --now " + m.unit)
	})
	s.AwaitMaster(s.A)
	s.Eventually(time.Minute, "a client is served", func() error {
		_, err := s.Client.Get("http://" + lab.VIP + "/")
		return err
	})
	s.web.must("tandem realserver check")
	s.row("the shipped example, systemctl enable --now", "is served")
}

// pairUp makes a channel between the directors, and then uses what changes more of the kernel.
func (s *scene) pairUp() {
	directors := []*machine{s.lb1, s.lb2}
	s.watched("tandem peer init, reload: they are a pair", func() {
		s.lb1.must("tandem peer init")
		if err := s.lb2.write("etc/tandem/peer.key", s.lb1.must("cat /etc/tandem/peer.key")+"\n", 0o600); err != nil {
			s.Fatalf("%v", err)
		}
		s.each(directors, func(m *machine) string { m.configure(channel...); return m.must("systemctl reload tandem") })
		s.awaitConnected()
		s.lb1.must("tandem status --pair")
	})
	s.watched("reload: sysctls, timeouts, checks through the VIP, a virtual MAC address with a route and a rule", func() {
		s.each(directors, func(m *machine) string {
			m.configure(slices.Concat(channel, everything)...)
			return m.must("systemctl reload tandem")
		})
		s.awaitMaster(s.A, s.B)
	})
	for _, m := range directors {
		if differences, _ := compare(s.before[m], m.network(), nil); len(differences) < 5 {
			s.Errorf("the configuration changes too little of %s for this scene: %s", m.Name, differences)
		}
		s.Logf("what %s changes:\n%s", m.Name, m.changes())
	}
}

// upgrade installs the latest package on one machine after the other, and restarts one.
func (s *scene) upgrade() {
	for _, m := range []*machine{s.web, s.lb2, s.lb1} {
		s.watched("dpkg -i the latest package on "+m.Name, func() {
			m.install(latest)
			s.awaitMaster(s.A, s.B)
			s.awaitConnected()
		})
	}
	for _, d := range []*lab.Director{s.A, s.B} {
		is, err := d.Status()
		if installed := s.lb1.must("tandem version"); err != nil || !strings.Contains(installed, is.Version) {
			s.Errorf("%s runs version %s (%v), and the one that is installed is %s", d.Name, is.Version, err, installed)
		}
	}
	s.watched("lb2 restarts", func() {
		s.lb2.restart()
		s.B = s.lb2.director()
		s.awaitConnected()
		s.awaitMaster(s.A, s.B)
	})
}

// endPair removes and purges the package of the directors. The client notices nothing until the last one goes.
func (s *scene) endPair() {
	s.watched("dpkg -r on lb1, the master", func() {
		s.lb1.remove()
		s.Eventually(30*time.Second, "lb2 is master", func() error {
			if state := s.B.State(); state != "master" || !s.B.Has(lab.VIP) {
				return fmt.Errorf("it is %q", state)
			}
			return nil
		})
	})
	s.watched("dpkg -P on lb1", s.lb1.purge)
	s.lb2.purge()
	s.row("dpkg -P on lb2, which is master", "–")
}

// endServer removes and purges the package of the real server.
func (s *scene) endServer() {
	s.web.remove()
	s.row("dpkg -r on web1", "–")
	s.web.purge()
	s.row("dpkg -P on web1", "–")
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
	if out := m.must("systemctl --failed --no-legend --plain"); out != "" {
		m.scene.Errorf("after dpkg -r, units of %s have failed: %s", m.Name, out)
	}
}

// purge purges the package. Then the files are as they were, too.
func (m *machine) purge() {
	m.must("dpkg -P tandem")
	now := m.all()
	m.compare("after dpkg -P", now)
	m.scene.compared = append(m.scene.compared, m.Name+": "+now.size())
	if out, err := m.run("dpkg-query --status tandem"); err == nil {
		m.scene.Errorf("after dpkg -P, dpkg still knows on %s:\n%s", m.Name, out)
	}
}

// compare compares with what was there before the installation.
func (m *machine) compare(when string, now traces) {
	differences, excused := compare(m.scene.before[m], now, exceptions)
	for _, text := range excused {
		if text = m.Name + ": " + text; !slices.Contains(m.scene.excused, text) {
			m.scene.excused = append(m.scene.excused, text)
		}
	}
	for _, text := range differences {
		m.scene.Errorf("%s, %s: %s", m.Name, when, text)
	}
}

// changes lists what is different from before the installation.
func (m *machine) changes() string {
	differences, _ := compare(m.scene.before[m], m.network(), nil)
	return strings.Join(differences, "\n")
}
