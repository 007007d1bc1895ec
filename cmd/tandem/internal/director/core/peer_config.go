// SPDX-License-Identifier: Apache-2.0

package core

import (
	"cmp"
	"fmt"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
)

// A PeerConfig is a configuration that the other director has sent, to have it planned. It changes nothing, and is logged and recorded:
// what comes into force by it can run programs here.
type PeerConfig struct {
	By      string // "alice on lb2"
	File    string // its name there
	SHA256  string // empty: it was not read
	Refused string // why; empty: it was planned
}

// peerConfigPause is the pause between two records of the same outcome. Who has the key of the channel must not be able to drive
// everything else out of the history.
const peerConfigPause = time.Minute

// sentConfigs are the configurations of one outcome.
type sentConfigs struct {
	told time.Time // when one was recorded last
	more int       // those since then, that were not recorded
}

func (ev PeerConfig) on(s *State) {
	p := &s.peer
	if !p.on {
		return
	}
	sent, what := &p.sent[0], "was sent the configuration "
	if ev.Refused != "" {
		sent, what = &p.sent[1], "refused the configuration "
	}
	if !sent.told.IsZero() && s.now.Sub(sent.told) < peerConfigPause {
		sent.more++
		return
	}
	ev.By, ev.File, ev.Refused = message.Text(ev.By), cmp.Or(message.Text(ev.File), "without a name"), message.Text(ev.Refused)
	what += ev.File + " of " + s.peerName()
	if sent.more > 0 {
		what += fmt.Sprintf(" (and %d others since the last record)", sent.more)
	}
	*sent = sentConfigs{told: s.now}
	pairs := []any{"name", s.peerName(), "config", ev.File, "user", ev.By, "sha256", ev.SHA256}
	if ev.Refused != "" {
		s.log(Warn, "refused a configuration that the other director has sent", append(pairs, "reason", ev.Refused)...)
	} else {
		s.log(Warn, "planned a configuration that the other director has sent: whoever sends one can run programs here", pairs...)
	}
	s.record(api.Event{
		Kind: api.EventReload, On: api.OnDirector, Name: s.cfg.Name, What: what, Cause: ev.Refused, By: ev.By, New: ev.SHA256,
	})
}
