// SPDX-License-Identifier: Apache-2.0

package election

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/handoff"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A new version of the program replaces an election without a gap: for some milliseconds both run.
//
//  1. The successor asks the election that serves, its predecessor. The predecessor answers with the routers of which it is master,
//     and goes on.
//  2. The successor gets its first order, and starts these routers as master: each advertises at once. Both advertise from the same
//     addresses, and neither hears the other: the kernel does not return what this machine sends.
//  3. The successor says that it has taken over. The predecessor agrees and ends without a word to the peers, and leaves the
//     addresses where they are.
//
// Until the predecessor agrees, the successor changes nothing that the predecessor maintains. If it dies, or its director does, the
// predecessor goes on. If the predecessor dies first, the successor ends, and the director decides as after any death.

const (
	tookOver = "taken over\n" // what the successor says
	agreed   = "agreed\n"     // the answers of the predecessor
	refused  = "refused\n"
)

var (
	errPredecessorDied = errors.New("the election of the former version died before this one had taken over")
	errRolesChanged    = errors.New("the roles have changed while this election took over: asking again")
)

// A succeeding is the predecessor's side of it.
type succeeding struct {
	requests <-chan request
	stop     context.CancelFunc // of the wait for a request
	conn     net.Conn           // to the successor
	handed   []message.Router   // what it was told
	word     <-chan string      // what it says; empty: it is gone
}

// awaitSuccessor begins or ends the wait for a successor.
func (p *Process) awaitSuccessor(ctx context.Context, lock *instanceLock, on bool) {
	if on == (p.next.stop != nil) || lock.predecessor != nil {
		return
	}
	if !on {
		p.next.stop()
		if p.next.conn != nil {
			_ = p.next.conn.Close()
		}
		p.next = succeeding{}
		p.setListening(false)
		return
	}
	waiting, stop := context.WithCancel(ctx)
	p.next = succeeding{stop: stop, requests: lock.listen(waiting, func() { p.setListening(true) })}
}

func (p *Process) setListening(on bool) {
	p.mu.Lock()
	p.listening = on
	p.mu.Unlock()
	nudge(p.tell)
}

// meet takes the request of a successor.
func (p *Process) meet(r request) {
	p.next.requests = nil
	if r.err != nil {
		p.log.Error("no other version can take over from here", "error", r.err)
	}
	if r.conn != nil {
		p.next.conn = r.conn
		p.answerSuccessor()
	}
}

// answerSuccessor tells a successor that waits what it takes over. While a hand-over is under way it must wait.
func (p *Process) answerSuccessor() {
	n := &p.next
	handing := func(r message.Router) bool { return p.states[message.IDOf(r.Config)].HandingOver }
	if n.conn == nil || n.word != nil || slices.ContainsFunc(p.order.Routers, handing) {
		return
	}
	n.handed = p.mastered()
	state := handoffState{Format: handoff.Format, Serving: true, Masters: n.handed, Sequences: p.sequenceRows()}
	conn, word := n.conn, make(chan string, 1)
	n.word = word
	go func() {
		_ = conn.SetWriteDeadline(time.Now().Add(handOffTimeout))
		said := ""
		if json.NewEncoder(conn).Encode(state) == nil {
			said, _ = bufio.NewReader(conn).ReadString('\n')
		}
		word <- said
	}()
}

// mastered returns the routers of which this election is master, or that have their addresses.
func (p *Process) mastered() []message.Router {
	return slices.DeleteFunc(slices.Clone(p.order.Routers), func(r message.Router) bool {
		s := p.states[message.IDOf(r.Config)]
		return s.State != vrrp.Master && !s.Holding
	})
}

// letGo decides what follows from the word of a successor. It returns true if the successor has everything. Otherwise another one
// may ask.
func (p *Process) letGo(ctx context.Context, lock *instanceLock, said string) bool {
	conn := p.next.conn
	told := func(r message.Router) bool {
		return slices.ContainsFunc(p.next.handed, func(h message.Router) bool { return message.IDOf(h.Config) == message.IDOf(r.Config) })
	}
	_ = conn.SetWriteDeadline(time.Now().Add(handOffTimeout))
	switch now := p.mastered(); {
	case said != tookOver:
		p.log.Warn("the election of another version is gone before it took over: this one goes on")
	case slices.ContainsFunc(now, func(r message.Router) bool { return !told(r) || p.states[message.IDOf(r.Config)].HandingOver }):
		_, _ = io.WriteString(conn, refused)
	default:
		p.log.Info("the election of another version has taken over", "routers", len(now))
		p.abandon()
		_, _ = io.WriteString(conn, agreed)
		_ = conn.Close()
		return true
	}
	p.awaitSuccessor(ctx, lock, false)
	p.awaitSuccessor(ctx, lock, true)
	return false
}

// A predecessor is the election that goes on until its successor has taken over, seen by the successor.
type predecessor struct {
	conn net.Conn
	word <-chan string // its answer; empty: it is gone
	told bool          // that this election has taken over
	drop []vrrp.Config // routers of the predecessor that this election does not have: their addresses go when the predecessor has ended
}

// meetPredecessor begins to take over from a predecessor that goes on serving.
func (p *Process) meetPredecessor(lock *instanceLock, handed handoffState) {
	if lock.predecessor == nil {
		return
	}
	word := make(chan string, 1)
	p.predecessor = &predecessor{conn: lock.predecessor, word: word}
	go func() {
		said, _ := bufio.NewReader(p.predecessor.conn).ReadString('\n')
		word <- said
	}()
	p.restoreSequences(handed.Sequences, true)
	p.setSucceeding(true)
}

func (p *Process) setSucceeding(on bool) {
	p.mu.Lock()
	p.succeeds = on
	p.mu.Unlock()
	nudge(p.tell)
}

// tellPredecessor tells the predecessor that this election has taken over, as soon as it has.
func (p *Process) tellPredecessor() {
	f := p.predecessor
	if f == nil || f.told || !p.obeyed || len(p.resumed) > 0 {
		return
	}
	f.told = true
	_ = f.conn.SetWriteDeadline(time.Now().Add(handOffTimeout))
	_, _ = io.WriteString(f.conn, tookOver) // if this fails, the predecessor is gone, and its word says so
	// From now on the director may end a predecessor that does not end by itself.
	p.setSucceeding(false)
}

// predecessorWord returns the word of the predecessor, nil if there is none.
func (p *Process) predecessorWord() <-chan string {
	if p.predecessor == nil {
		return nil
	}
	return p.predecessor.word
}

// standAlone takes the word of the predecessor. The error is why this election must end.
func (p *Process) standAlone(said string) error {
	f := p.predecessor
	switch {
	case said == refused:
		return errRolesChanged
	case said != agreed && !f.told:
		return errPredecessorDied
	}
	p.log.Info("took over from the election of the former version")
	_ = f.conn.Close()
	p.predecessor = nil
	for _, c := range f.drop {
		p.removeAddresses(c)
	}
	return nil
}

// stepAside ends an election whose predecessor goes on: nothing changes.
func (p *Process) stepAside() {
	p.abandon()
	_ = p.predecessor.conn.Close()
}
