// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"cmp"
	"context"
	"errors"
	"os"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
)

const (
	// hungTimeout is the maximum silence of an election. By then its peer has taken over, so a hung election must not
	// continue to answer for the addresses.
	hungTimeout = 3 * time.Second
	// suspectTimeout is the silence after which an election is suspected to hang. Before it is judged, everything that it
	// sent is read.
	suspectTimeout = 2 * time.Second
	// maxLate is how late a check of the signs of life may be. A later one proves nothing: the director itself was stopped.
	maxLate = 500 * time.Millisecond
	// maxBeats is the maximum silence, in beat intervals, after which a sign of life still confirms the last report. After a
	// longer silence another router may be master, and the election may not have said so yet: two advertisement intervals
	// without a sign of life are three without an advertisement.
	maxBeats = 2
)

// judge decides about the life of the election until it has ended.
func (w *watch) judge(ctx context.Context) error {
	stop, stuck, eof := ctx.Done(), w.stuck, w.eof
	select {
	case <-w.changed: // the first order includes the change
	default:
	}
	w.sendOrder()
	look := look{Supervisor: w.Supervisor, timer: w.looks}
	defer look.timer.Stop()
	for {
		select {
		case <-stop:
			stop = nil
			w.leaving.Store(true)
			w.sendOrder()
		case <-w.changed:
			w.sendOrder()
		case <-w.looks.C:
			if silence, hung := look.again(); hung {
				w.kill("the election process gives no sign of life: killing it", "silent", silence)
			}
		case <-stuck:
			stuck = nil
			w.kill("the election process does not read its orders: killing it")
		case <-w.overdue:
			w.kill("the election process does not leave: killing it")
		case <-eof:
			// The kernel closes the socket tens of milliseconds before a process with packet sockets has ended.
			eof = nil
			if !w.leaving.Load() {
				return w.afterEOF()
			}
		case err := <-w.dead:
			if err == nil && !w.leaving.Load() {
				err = errEndedUnasked
			}
			return err
		case <-w.undead:
			return errNotEnded
		}
	}
}

// kill kills the election once, and logs why.
func (w *watch) kill(why string, args ...any) {
	if w.killed {
		return
	}
	w.killed, w.undead = true, time.After(deathTimeout)
	err := w.child.Kill()
	w.log.Error(why, args...)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		w.log.Error("failed to kill the election process", "error", err)
	}
}

// afterEOF returns the result of an election whose socket is closed. If the process still lives, afterEOF kills it.
func (w *watch) afterEOF() error {
	select {
	case err := <-w.dead:
		return cmp.Or(err, errEndedUnasked)
	case <-time.After(exitStatusTimeout):
	}
	if err := w.child.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		w.log.Error("failed to kill the election process", "error", err)
	}
	return errors.New("its socket was closed")
}

// A look checks the signs of life repeatedly. Each sign of life postpones it, so that a healthy election costs no looks.
type look struct {
	*Supervisor
	timer     *time.Timer
	suspected bool
	due       message.Monotonic // the moment of the look that decides about a suspected election
}

// again checks the signs of life. It returns for how long there was none, and whether the election hangs.
//
// An election hangs only if the director checked in time twice, and read nothing between. If a check is late, the director
// was stopped, and perhaps its election too: the election then has hungTimeout from now.
func (l *look) again() (silence time.Duration, hung bool) {
	now := l.clock()
	silence = time.Duration(now) - time.Duration(l.alive.Load())
	late := silence > suspectTimeout+maxLate
	if l.suspected {
		late = now > l.due.Add(maxLate)
	}
	switch {
	case silence < suspectTimeout:
		l.suspected = false
		l.timer.Reset(suspectTimeout - silence)
	case late:
		l.suspected = false
		l.setAlive()
		l.timer.Reset(suspectTimeout)
	case !l.suspected:
		l.suspected, l.due = true, now.Add(hungTimeout-silence)
		l.timer.Reset(hungTimeout - silence)
	default:
		return silence, true
	}
	return silence, false
}

// setAlive counts this moment as a sign of life.
func (s *Supervisor) setAlive() { s.alive.Store(int64(s.clock())) }

// confirm records a sign of life: the last report is still true, unless the silence before was too long.
func (s *Supervisor) confirm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.clock(); time.Duration(now-s.sure) < maxBeats*s.order.BeatInterval() {
		s.sure = now
	} else {
		nudge(s.asked)
	}
}
