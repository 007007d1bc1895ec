// SPDX-License-Identifier: Apache-2.0

// Package election is the VRRP side of a director, in its own process: it elects the master, manages the addresses and
// announces them.
//
// The director starts the process and sends it orders over a socket (package message). The process survives the death of its
// director: it offers its addresses to the peer, and removes those that the peer has taken over. It stays master of the
// others for a while (directorless.go). The election of a restarted director then takes over as its successor (handoff.go).
//
// The process touches the disk in three places: its lock, the socket for its successor, and the record of its addresses. Each is
// used by a goroutine of its own, because a disk may hang.
package election

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/board"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/link"
	"github.com/tandem-lvs/tandem/vrrp/speaker"
)

// Options are what a Process needs from its surroundings.
type Options struct {
	// Log must not block: standard error may be a pipe that nobody reads.
	Log hclog.Logger
	// LockDir is the directory of the locks: see package lock.
	LockDir string
	// StateDir is the directory where an election stores the record of its addresses.
	StateDir string
	// Board is where the loops note when they have advertised; nil: nowhere.
	Board *board.Board
	// Realtime asks for real-time scheduling of the loops.
	Realtime bool
}

// A Process is the election. It runs a loop, an address reconciler and an announcer for each interface, and carries out the
// director's orders. It belongs to one network namespace, that of the thread it runs on.
type Process struct {
	began   time.Time
	conn    io.ReadWriteCloser
	log     hclog.Logger
	options Options
	watcher *link.Watcher
	pulse   *pulse
	loops   atomic.Pointer[map[string]*speaker.Loop] // of units, by interface

	orders chan message.Order // the latest that was not carried out
	wake   chan struct{}      // a loop or a link has news
	tell   chan struct{}      // there is something to report
	lives  chan struct{}      // the serving goroutine gives a sign of life

	// The serving goroutine's own.
	life        *time.Ticker                        // when a sign of life is due
	order       message.Order                       // as last carried out
	obeyed      bool                                // an order was carried out
	known       map[message.RouterID]message.Router // those of the order, and those that still have addresses to remove
	states      map[message.RouterID]vrrp.Status    // the loops' latest reports
	lastSent    map[message.RouterID]lastSent
	groups      *vrrp.Groups                           // of the order
	resumed     map[message.RouterID]message.Monotonic // routers that start as master and have not reported yet; see message.Resume
	handed      handoffState                           // by the predecessor, until the first order
	record      *addressRecord
	former      []vrrp.Config // what former elections may have on the interfaces
	formerKnown bool          // former was read
	lostRecord  bool          // a record was damaged, and no order was carried out since

	next        succeeding   // while this election waits for a successor
	predecessor *predecessor // goes on until this election has taken over; nil: there is none

	// Routers for whose addresses neighbours may still have this machine's hardware address: no master was heard since they
	// were given up.
	givenUp       map[message.RouterID]vrrp.Config
	succeeded     map[message.RouterID]succession // routers whose addresses this machine keeps until their new master has them
	referred      map[message.RouterID]referral   // the latest of each router
	newlyGivenUp  []vrrp.Config                   // of them, those whose addresses are not yet known as such
	givenUpRecord *addressRecord

	doubts    chan doubt                     // to ask
	lastDoubt map[message.RouterID]time.Time // when the latest was sent
	debounces map[debounceKey]*debounce

	sequences sequences

	// Held for a few instructions only: the loops' threads take it, and they must not wait.
	newsMu sync.Mutex
	news   map[message.RouterID]vrrp.Status // what the loops reported since the last settle, the latest of each router

	mu           sync.Mutex                         // only the serving goroutine changes what it guards, except links
	asked        map[message.RouterID]message.Asked // the latest answers
	units        map[string]*unit                   // by interface
	addressUnits map[addressKey]*addressUnit
	links        map[string]vrrp.Link // by interface, tracked ones too: the watcher's latest report
	sequence     uint64               // of order
	problem      string               // why no virtual router runs
	listening    bool                 // a successor can ask
	succeeds     bool                 // the predecessor goes on, and would do so without this election
}

// NewProcess returns the election that takes its orders from conn. It closes conn when it ends.
func NewProcess(conn io.ReadWriteCloser, o Options) *Process {
	p := &Process{
		began:        time.Now(),
		conn:         conn,
		log:          o.Log,
		options:      o,
		orders:       make(chan message.Order, 1),
		wake:         make(chan struct{}, 1),
		tell:         make(chan struct{}, 1),
		lives:        make(chan struct{}, 1),
		life:         time.NewTicker(message.MinBeatInterval),
		known:        make(map[message.RouterID]message.Router),
		states:       make(map[message.RouterID]vrrp.Status),
		lastSent:     make(map[message.RouterID]lastSent),
		groups:       vrrp.NewGroups(nil),
		resumed:      make(map[message.RouterID]message.Monotonic),
		givenUp:      make(map[message.RouterID]vrrp.Config),
		succeeded:    make(map[message.RouterID]succession),
		referred:     make(map[message.RouterID]referral),
		news:         make(map[message.RouterID]vrrp.Status),
		units:        make(map[string]*unit),
		asked:        make(map[message.RouterID]message.Asked),
		doubts:       make(chan doubt, askAtOnce),
		lastDoubt:    make(map[message.RouterID]time.Time),
		debounces:    make(map[debounceKey]*debounce),
		addressUnits: make(map[addressKey]*addressUnit),
		links:        make(map[string]vrrp.Link),
		pulse:        newPulse(conn, o.Log),
	}
	p.loops.Store(&map[string]*speaker.Loop{})
	p.pulse.late, p.pulse.report = p.latestLoop, func() { nudge(p.tell) }
	p.watcher = link.NewWatcher(o.Log, p.seeLink)
	return p
}

// Run serves the director until the director orders the election to leave or is gone, or until ctx ends. Before Run returns,
// every router has handed over and removed its addresses, or a successor has them. The error says why the election could not
// run.
func (p *Process) Run(ctx context.Context) error {
	// Leaving takes time, and the routers continue meanwhile: the work ends after ctx.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer p.life.Stop()
	g, work := errgroup.WithContext(work)
	gone := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(gone)
		p.read(work)
	})
	g.Go(func() error { p.report(work); return nil })
	g.Go(func() error { p.trim(work); return nil })
	g.Go(func() error {
		defer stop()
		return p.lockAndServe(ctx, work, g, gone)
	})
	<-work.Done()
	_ = p.conn.Close() // frees the reader and the reporter
	err := g.Wait()
	reader.Wait()
	return err
}

// The reasons why an election does not start.
const (
	problemLock        = "the disk with the lock of the election hangs"
	problemPredecessor = "waiting for the election of the former director to end or to hand off"
)

// lockTimeout is the time after which an attempt to open the lock that still hangs is reported.
const lockTimeout = time.Second

// lockAndServe waits until no other election of this director runs. After that it serves.
func (p *Process) lockAndServe(ctx, work context.Context, g *errgroup.Group, gone <-chan struct{}) error {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-gone:
			cancel()
		case <-waiting.Done():
		}
	}()
	p.setProblem(problemLock)
	slow := time.AfterFunc(lockTimeout, func() { nudge(p.tell) })
	var lock *instanceLock
	var handed handoffState
	var err error
	p.aliveDuring(func() {
		lock, handed, err = acquire(waiting, p.options.LockDir, sync.OnceFunc(func() {
			p.log.Info(problemPredecessor)
			p.setProblem(problemPredecessor)
			nudge(p.tell)
		}))
	})
	slow.Stop()
	p.handed = handed
	defer func() { // only if no order took them
		if p.handed.Serving {
			return // the predecessor has them
		}
		for _, m := range p.handed.Masters {
			p.removeAddresses(m.Config)
		}
	}()
	if waiting.Err() != nil && errors.Is(err, waiting.Err()) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.release()
	p.setProblem("")
	p.record = openRecord[vrrp.Config](p.options.StateDir, "election.json", ownAddresses, p.log)
	defer p.record.close()
	p.givenUpRecord = openRecord[vrrp.Config](p.options.StateDir, "given-up.json", ownAddresses, p.log)
	defer p.givenUpRecord.close()
	p.sequences.open(p.options.StateDir, p.log)
	defer p.closeSequences()
	p.awaitFormer(waiting)
	p.meetPredecessor(lock, handed)
	g.Go(func() error { return p.watcher.Run(work) })
	g.Go(func() error { return p.askDoubts(work) })
	return p.serve(ctx, work, g, gone, lock)
}

func (p *Process) setProblem(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.problem = text
}

// read reads orders from the socket until it ends or carries something other than orders.
func (p *Process) read(ctx context.Context) {
	in := json.NewDecoder(p.conn)
	var first *message.Order
	for {
		var o message.Order
		if err := in.Decode(&o); err != nil {
			return
		}
		if o.Report {
			nudge(p.tell)
			continue
		}
		if first == nil {
			first = &o
		}
		for i := range o.Routers {
			o.Routers[i].TakeSecrets()
		}
		o.Resume = first.Resume // an order that replaces the first one must not lose it
		replace(ctx, p.orders, o)
	}
}

// serve carries out orders until it must leave, and then leaves. The error is why it must end before it has taken over from its
// predecessor.
func (p *Process) serve(ctx, work context.Context, g *errgroup.Group, gone <-chan struct{}, lock *instanceLock) error {
	former := p.record.former
	if p.formerKnown {
		former = nil
	}
	for {
		select {
		case <-work.Done():
			return nil
		case r := <-p.next.requests:
			p.meet(r)
			continue
		case said := <-p.next.word:
			if p.letGo(work, lock, said) {
				return nil
			}
			continue
		case said := <-p.predecessorWord():
			if err := p.standAlone(said); err != nil {
				p.stepAside()
				return err
			}
			lock.predecessor = nil
			g.Go(func() error { lock.await(work); return nil })
			continue
		case late, ok := <-p.sequences.late:
			p.restoreSequences(late, ok)
			continue
		case <-p.sequences.tick.C:
			p.sequences.record.set(p.sequenceRows())
			continue
		case <-p.wake:
			p.pulse.during(p.settle)
			p.answerSuccessor()
			continue
		case <-p.life.C:
			p.seeSignsOfLife()
			continue
		case late := <-former:
			former = nil
			p.pulse.during(func() { p.setFormer(late) })
			continue
		case o := <-p.orders:
			if !o.Leave {
				p.pulse.during(func() { p.obey(work, g, o) })
				p.awaitSuccessor(work, lock, o.HandOff)
				continue
			}
			p.log.Debug("leaving", "reason", "the director says so")
		case <-gone:
			p.awaitSuccessor(work, lock, false)
			if p.predecessor != nil {
				break
			}
			p.log.Warn("the director process is gone: offering the addresses to the peer")
			if p.directorless(ctx, work, lock) {
				return nil
			}
		case <-ctx.Done():
			p.log.Debug("leaving", "reason", "signal")
		}
		if p.predecessor != nil {
			p.stepAside()
			return nil
		}
		p.awaitSuccessor(work, lock, false)
		p.leave(work)
		p.recordAddresses(nil) // all of them are removed
		p.givenUpRecord.set(p.untold())
		return nil
	}
}

// leave tells all loops to shut down, and updates the addresses while they hand over.
func (p *Process) leave(ctx context.Context) {
	for _, u := range p.units {
		u.loop.Shutdown()
	}
	for _, u := range p.units {
		for ended := false; !ended; {
			select {
			case <-ctx.Done():
				return
			case <-u.ended:
				ended = true
			case <-p.wake:
			case <-p.life.C:
				p.seeSignsOfLife()
			}
			p.pulse.during(p.settle)
		}
	}
}

// replace sends v on a channel of capacity 1. If the channel holds a value that nobody has taken yet, v replaces it. Only one
// goroutine may send.
func replace[T any](ctx context.Context, c chan T, v T) {
	for {
		select {
		case c <- v:
			return
		case <-ctx.Done():
			return
		default:
		}
		select {
		case <-c:
		default:
		}
	}
}

// nudge wakes the reader of a channel of capacity 1. Several nudges before the reader wakes count as one.
func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
