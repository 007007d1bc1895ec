// SPDX-License-Identifier: Apache-2.0

package native

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestWithKeepalived: tandem and keepalived share a virtual router. Each is master in turn, each preempts the other, each
// takes over when the other stops, and neither logs a complaint.
func TestWithKeepalived(t *testing.T) {
	t.Parallel()
	const unicastLines = "unicast_src_ip 192.0.2.3\n    unicast_peer {\n        192.0.2.2\n    }"
	for _, tt := range []struct {
		name   string
		advert time.Duration
		vips   []string
		keys   string // of tandem
		peer   lab.KeepalivedRouter
	}{
		{name: "version 2", advert: time.Second, keys: "version = 2", peer: lab.KeepalivedRouter{Version: 2}},
		{
			name: "version 2 with password", advert: time.Second, keys: "version = 2\nauth_pass = \"s3cret\"",
			peer: lab.KeepalivedRouter{Version: 2, Lines: "authentication {\n auth_type PASS\n auth_pass s3cret\n}"},
		},
		{name: "version 3, IPv4", advert: 100 * time.Millisecond},
		{name: "version 3, IPv6", advert: 100 * time.Millisecond, vips: []string{"fe80::100/64", "2001:db8::100/64"}},
		{
			name: "unicast", advert: 100 * time.Millisecond, keys: "unicast_peers = [\"192.0.2.3\"]",
			peer: lab.KeepalivedRouter{Lines: unicastLines},
		},
		{name: "virtual MAC", advert: 100 * time.Millisecond, keys: "virtual_mac = true", peer: lab.KeepalivedRouter{Lines: "use_vmac"}},
		{
			name: "virtual MAC, IPv6", advert: 100 * time.Millisecond, vips: []string{"fe80::100/64", "2001:db8::100/64"},
			keys: "virtual_mac = true", peer: lab.KeepalivedRouter{Lines: "use_vmac"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.vips == nil {
				tt.vips = []string{vip + "/24"}
			}
			tt.peer.Advert, tt.peer.VIPs, tt.peer.Priority = tt.advert, tt.vips, lab.PriorityB
			s := &shared{Lab: lab.New(t), vip: strings.Split(tt.vips[len(tt.vips)-1], "/")[0], limit: 5*tt.advert + time.Second}
			config := func(priority int) string {
				return fmt.Sprintf(`
[[vrrp]]
name = "web"
interface = "eth0"
vrid = 51
priority = %d
advert_interval = %q
vips = ["%s"]
%s
`, priority, tt.advert, strings.Join(tt.vips, `", "`), tt.keys)
			}
			t.Cleanup(s.end)
			watch := s.WatchStalls()
			s.tandem = s.Director("director-a", "192.0.2.2/24", config(lab.PriorityA))
			s.peer = s.Host("director-b", "192.0.2.3/24")
			s.play(tt.peer, config)
			s.stall = watch.Stop()
			wantNoComplaint(t, "tandem", s.withoutStalls(s.tandem.Process().Output()), tandemComplains)
			for _, p := range s.processes {
				wantNoComplaint(t, "keepalived", p.Output(), keepalivedComplains)
			}
			s.wantNoWarning(t)
		})
	}
}

// A shared is a virtual router that tandem shares with keepalived.
type shared struct {
	*lab.Lab
	tandem    *lab.Director
	peer      *lab.Host
	processes []*lab.Process // of keepalived
	vip       string
	limit     time.Duration // of a change of master
	stall     time.Duration // the longest of the machine
}

// isLate is the line about an advertisement that went out late.
var isLate = regexp.MustCompile(`advertisement is late: .*late=(\S+)`)

// withoutStalls returns a log without the lines about advertisements that were late by no more than the machine stalled.
func (s *shared) withoutStalls(log string) string {
	var kept strings.Builder
	for line := range strings.Lines(log) {
		if m := isLate.FindStringSubmatch(line); m != nil {
			if late, err := time.ParseDuration(m[1]); err == nil && late <= s.stall+lab.StallError {
				s.Logf("the machine stalled for %s: %s", s.stall, strings.TrimSpace(line))
				continue
			}
		}
		kept.WriteString(line)
	}
	return kept.String()
}

// end kills all processes, because an orderly stop would only take time.
func (s *shared) end() {
	for _, h := range []*lab.Host{s.tandem.Host, s.peer} {
		for _, pid := range h.Pids() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// play makes the master change by preemption and by stop, in both directions.
func (s *shared) play(peer lab.KeepalivedRouter, config func(priority int) string) {
	start := func() *lab.Process {
		p := s.peer.Keepalived("", peer)
		s.processes = append(s.processes, p)
		return p
	}
	// Until duplicate address detection has finished, keepalived complains that it cannot send over IPv6.
	for _, h := range []*lab.Host{s.tandem.Host, s.peer} {
		s.Eventually(5*time.Second, "the addresses of "+h.Name+" can be used", func() error {
			if out := h.Run("ip", "-6", "address", "show", "tentative"); out != "" {
				return errors.New(out)
			}
			return nil
		})
	}
	first := start()
	s.await("keepalived starts alone", s.peer)
	s.tandem.Launch()
	s.await("tandem starts with the higher priority and preempts", s.tandem.Host)
	s.tandem.Configure(config(lab.PriorityB - 50))
	reload(s.Lab, s.tandem)
	s.await("tandem's priority falls, keepalived preempts", s.peer)
	first.Stop()
	s.await("keepalived stops, tandem takes over", s.tandem.Host)
	start()
	s.await("keepalived starts with the higher priority and preempts", s.peer)
	s.tandem.Configure(config(lab.PriorityA))
	reload(s.Lab, s.tandem)
	s.await("tandem's priority rises, it preempts", s.tandem.Host)
}

// await waits until only one host has the VIP, and tandem's state agrees.
func (s *shared) await(why string, master *lab.Host) {
	began := time.Now()
	state := "backup"
	if master == s.tandem.Host {
		state = "master"
	}
	s.Eventually(s.limit+5*time.Second, why, func() error {
		t, k := s.tandem.Has(s.vip), s.peer.Has(s.vip)
		if t == k || t != (master == s.tandem.Host) {
			return fmt.Errorf("VIP on tandem: %t, on keepalived: %t", t, k)
		}
		if got := s.tandem.State(); s.tandem.Process() != nil && got != state {
			return fmt.Errorf("tandem says that it is %q", got)
		}
		return nil
	})
	s.Logf("%s: %s is master after %s", why, master.Name, time.Since(began).Round(time.Millisecond))
}

// wantNoWarning checks that tandem's status has no warning.
func (s *shared) wantNoWarning(t *testing.T) {
	t.Helper()
	wantNoComplaint(t, "tandem's status", s.tandem.Run(lab.Tandem.Path(), "status", "--socket", s.tandem.Socket), statusWarns)
}

var (
	statusWarns         = regexp.MustCompile(`(?i)warning`)
	tandemComplains     = regexp.MustCompile(`\[(WARN|ERROR)\]`)
	keepalivedComplains = regexp.MustCompile(`(?i)warning|error|bogus|mismatch|invalid|incorrect|unexpected|discard|fail|unknown|not match|wrong|received an? `)
)

// wantNoComplaint checks a log.
func wantNoComplaint(t *testing.T, who, log string, complains *regexp.Regexp) {
	t.Helper()
	for line := range strings.Lines(log) {
		// The first is how keepalived counts down to its own preemption, the second what tandem says of any password.
		if strings.Contains(line, "received lower priority") || strings.Contains(line, "is sent unencrypted") {
			continue
		}
		if complains.MatchString(line) {
			t.Errorf("%s complains: %s", who, strings.TrimSpace(line))
		}
	}
}
