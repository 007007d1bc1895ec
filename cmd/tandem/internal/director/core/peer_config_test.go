// SPDX-License-Identifier: Apache-2.0

package core

import (
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/configs"
)

// TestSentConfigs: a configuration that the other director sends is recorded once a minute, by outcome, with the number of the others, and
// without anything that a terminal could obey.
func TestSentConfigs(t *testing.T) {
	p := newPair(t)
	recorded := func() (all []string) {
		for _, line := range p.history[0] {
			if strings.Contains(line, " configuration /x") {
				all = append(all, line)
			}
		}
		return all
	}
	send := func(times int, refused string) {
		for range times {
			p.step(0, PeerConfig{By: "alice\x1b[2J on lb2", File: "/x\n.toml", SHA256: "abc", Refused: refused})
		}
	}
	send(1000, "it is\x1b[2J wrong")
	send(3, "")
	p.now = p.now.Add(peerConfigPause - time.Second)
	send(1, "it is wrong")
	if all := recorded(); len(all) != 2 {
		t.Fatalf("%d records: %q", len(all), all[:min(len(all), 4)])
	}
	p.now = p.now.Add(time.Second)
	send(2, "it is wrong")
	all := recorded()
	if len(all) != 3 || !strings.Contains(all[2], "(and 1000 others since the last record)") {
		t.Fatalf("%q", all)
	}
	if strings.ContainsAny(strings.Join(all, ""), "\x1b\n") {
		t.Errorf("%q", all)
	}
	alone := directorNamed("lb1")
	alone.Peer = configs.Peer{}
	p.step(0, Reload{Request: 80, Config: alone})
	send(1, "without a channel")
	if again := recorded(); len(again) != 3 {
		t.Errorf("%q", again)
	}
}
