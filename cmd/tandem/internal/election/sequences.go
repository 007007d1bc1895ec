// SPDX-License-Identifier: Apache-2.0

package election

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/speaker"
)

// sequencePause is the time between two writes of the sequence numbers, where replays are recognised by them alone. What a peer
// sent in this time before a crash could be replayed once, until the peer itself is heard again. More writes would cost a disk
// more than that is worth. After an orderly end the file is exact.
const sequencePause = 10 * time.Second

// A sequenceRow is the sequence numbers of one virtual router of an interface.
type sequenceRow struct {
	Interface string `json:"interface"`
	speaker.RouterSequences
}

// sequences are the sequence numbers of signed advertisements that a restart must not forget. Only the serving goroutine uses
// them.
type sequences struct {
	record   *record[sequenceRow]
	late     <-chan []sequenceRow // of record, while it has not been read; otherwise nil
	restored []sequenceRow        // what the file had at the start
	tick     *time.Ticker         // when to write; stopped where it is not needed
}

func (s *sequences) open(dir string, log hclog.Logger) {
	s.record = openRecord[sequenceRow](dir, "vrrp-sequences.json", "VRRP sequence numbers", log)
	s.late = s.record.former
	s.tick = time.NewTicker(sequencePause)
	s.tick.Stop()
}

// schedule starts or stops the regular writes.
func (s *sequences) schedule(routers []vrrp.Config) {
	s.tick.Stop()
	if slices.ContainsFunc(routers, func(c vrrp.Config) bool { return c.HMAC.AntiReplay == vrrp.AntiReplayMonotonic }) {
		s.tick.Reset(sequencePause)
	}
}

// on returns what the file had about an interface.
func (s *sequences) on(iface string) (all []speaker.RouterSequences) {
	for _, row := range s.restored {
		if row.Interface == iface {
			all = append(all, row.RouterSequences)
		}
	}
	return all
}

// awaitSequences waits a little for the sequence numbers of former elections.
func (p *Process) awaitSequences(ctx context.Context) {
	select {
	case former, ok := <-p.sequences.late:
		p.restoreSequences(former, ok)
	case <-time.After(recordReadTimeout):
	case <-ctx.Done():
	}
}

// restoreSequences passes the sequence numbers of former elections to the loops.
func (p *Process) restoreSequences(former []sequenceRow, known bool) {
	p.sequences.late = nil
	if !known {
		return
	}
	p.sequences.restored = former
	for iface, u := range p.units {
		u.loop.Restore(p.sequences.on(iface))
	}
}

// sequenceRows returns the present sequence numbers. What no loop knows stays as it was.
func (p *Process) sequenceRows() (all []sequenceRow) {
	for iface, u := range p.units {
		for _, s := range u.loop.Sequences() {
			all = append(all, sequenceRow{iface, s})
		}
	}
	for _, old := range p.sequences.restored {
		if !slices.ContainsFunc(all, func(r sequenceRow) bool {
			return r.Interface == old.Interface && r.VRID == old.VRID && r.Family == old.Family
		}) {
			all = append(all, old)
		}
	}
	slices.SortFunc(all, func(a, b sequenceRow) int {
		return cmp.Or(cmp.Compare(a.Interface, b.Interface), cmp.Compare(a.VRID, b.VRID), cmp.Compare(a.Family, b.Family))
	})
	return all
}

// closeSequences writes the sequence numbers for the next election. Those of a loop that has ended are exact.
func (p *Process) closeSequences() {
	awaitEnd(p.units, recordReadTimeout)
	p.sequences.tick.Stop()
	p.sequences.record.set(p.sequenceRows())
	p.sequences.record.close()
}

// awaitEnd waits until all loops have ended, but only so long: a loop can hang.
func awaitEnd(units map[string]*unit, limit time.Duration) {
	over := time.After(limit)
	for _, u := range units {
		select {
		case <-u.ended:
		case <-over:
			return
		}
	}
}
