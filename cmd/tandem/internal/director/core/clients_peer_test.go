// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/traffic"
)

// newWatchedPair is a pair whose directors check two servers. The first director's clients come to both, and the second one does not
// answer them: it is named. Peer is what the check of the other director says of it.
func newWatchedPair(t *testing.T, peer healthcheck.Health) *pair {
	t.Helper()
	p := newPair(t)
	for i := range p.states {
		cfg := directorNamed(fmt.Sprint("lb", i+1))
		svc := www(true, lvs.Remove)
		svc.Outlier = configs.OutlierWarn
		for j := range svc.Servers {
			svc.Servers[j].Weight = 1
		}
		cfg.Services = []configs.Service{svc}
		p.step(i, Reload{Request: Request(90 + i), Config: cfg})
	}
	p.step(0, both(up, up)...)
	p.step(1, both(up, peer)...)
	p.deliver()
	p.wait(time.Minute)
	s := p.states[0]
	begun := int(p.now.Sub(noon).Seconds())
	within := int(s.services[0].servers[0].failsWithin().Seconds())
	for at := begun; at <= begun+within+1; at++ {
		p.now = seconds(at)
		p.step(0, visited(s, at, traffic.Waiting, second))
	}
	if unansweredServers(s) == "" {
		t.Fatal("the server is not named")
	}
	p.wait(5 * time.Second)
	return p
}

// TestUnansweredAndThePeer: what the other director's check says of a server that does not answer clients is known, and recorded.
// What it said is not used after the channel is lost.
func TestUnansweredAndThePeer(t *testing.T) {
	for _, tt := range []struct {
		peer healthcheck.Health
		want string
	}{
		{up, "the check of lb2 passes too"},
		{down, "lb2's check fails: as it is"},
		{healthcheck.Unknown, ""},
	} {
		p := newWatchedPair(t, tt.peer)
		s := p.states[0]
		if got := s.Snapshot(p.now).Peer.Sees(second).Words(true); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.peer, got, tt.want)
		}
		if all := strings.Join(p.history[0], "\n"); tt.want != "" && !strings.Contains(all, "answered 100 %; "+tt.want) ||
			!strings.Contains(all, second+" does not answer clients: ") {
			t.Errorf("%s: the history has\n%s", tt.peer, all)
		}
		p.disconnect()
		if is := s.Snapshot(p.now).Peer.Sees(second); is != nil {
			t.Errorf("%s: without channel it says %+v", tt.peer, is)
		}
	}
}

// TestBackupKnowsUnanswered: the backup knows which servers do not answer the master's clients, and for how long it is so.
func TestBackupKnowsUnanswered(t *testing.T) {
	p := newWatchedPair(t, up)
	told := func() *message.Unanswered { return p.states[1].Snapshot(p.now).Peer.Seen[second].Unanswered }
	named := p.states[0].Snapshot(p.now).Services[0].Servers[1].Unanswered
	if is := told(); is == nil || is.Connections != named.Unanswered || is.OthersPercent != 100 || !is.Since.Equal(named.Since) {
		t.Errorf("told %+v, want that of %+v", is, named)
	}
	if is := p.states[1].Snapshot(p.now).Peer.Seen[first].Unanswered; is != nil {
		t.Errorf("of a server that answers: %+v", is)
	}
	if got := p.states[1].Snapshot(p.now).Peer.Sees(second).Words(true); got != "the clients of lb1 get no answer either" {
		t.Error(got)
	}
	p.now = p.now.Add(time.Second)
	p.step(0, visited(p.states[0], int(p.now.Sub(noon).Seconds()), traffic.Waiting))
	p.wait(5 * time.Second)
	if is := told(); is != nil {
		t.Errorf("it answers again, and the backup says %+v", is)
	}
}
