// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
)

const (
	// hungTimeout is the maximum silence of an election. Its peer has taken over by then, so a hung election must not go on
	// answering for the addresses.
	hungTimeout = 3 * time.Second
	// suspectTimeout is the silence after which an election is suspected to hang. What it sent is then read before it is judged.
	suspectTimeout = 2 * time.Second
	// maxLate is how late a look at the signs of life may be. A later one proves nothing: the director itself was stopped.
	maxLate = 500 * time.Millisecond
	// maxBeats is the maximum silence, in beat intervals, after which a sign of life still confirms the last report. After a
	// longer silence another router may be master, and the election may not have said so yet: two advertisement intervals
	// without a sign of life are three without an advertisement.
	maxBeats = 2
	// sendTimeout is the maximum time for which an election may leave an order unread.
	sendTimeout = 5 * time.Second
	// leaveGrace is the time that an election has for leaving, beside the time of its hand-over.
	leaveGrace = 3 * time.Second
	// deathTimeout is the maximum wait for the end of a killed process. A thread that waits for a frozen disk outlives SIGKILL.
	deathTimeout = 500 * time.Millisecond
	// exitStatusTimeout is the maximum wait for the exit status of an election whose socket is closed.
	exitStatusTimeout = 2 * time.Millisecond
)

var (
	errEndedUnasked = errors.New("it ended without being told to leave")
	errNotEnded     = errors.New("it was killed and has not ended: one of its threads waits in the kernel")
)

// A Child is a running election process, seen from the director.
type Child interface {
	io.ReadWriteCloser
	SetWriteDeadline(t time.Time) error
	// Wait blocks until the process has ended, and returns how. Closing the socket does not end the process.
	Wait() error
	// Kill ends the process at once.
	Kill() error
}

// A watch is the supervision of one election.
type watch struct {
	*Supervisor
	child   Child
	leaving atomic.Bool

	looks   *time.Timer   // when to look at the signs of life
	send    chan struct{} // the writer is to send the order
	carried chan struct{} // closed when the election has carried out its first order
	stuck   chan struct{} // closed when the election does not read its orders
	eof     chan struct{} // closed when the socket is
	ended   chan struct{} // closed when the watch is over
	dead    chan error    // how the process ended

	// The judge's own.
	killed   bool
	undead   <-chan time.Time // when to give up waiting for the end of a killed process
	overdue  <-chan time.Time // when an election that was told to leave has had its time
	handOver time.Duration    // the longest hand-over of what was ordered
}

// runChild runs one election to its end. It returns nil when the election left as it was told.
func (s *Supervisor) runChild(ctx context.Context) error {
	tooLate := s.tooLate()
	child, err := s.startProcess(ctx, &tooLate)
	if err != nil {
		return fmt.Errorf("failed to start the election process: %w", err)
	}
	s.setRunning(true)
	defer s.setRunning(false)
	s.setStarted()
	s.setAlive()
	w := &watch{
		Supervisor: s, child: child, dead: make(chan error, 1), send: make(chan struct{}, 1), carried: make(chan struct{}),
		stuck: make(chan struct{}), eof: make(chan struct{}), ended: make(chan struct{}), looks: time.NewTimer(suspectTimeout),
	}
	s.beside.Go(func() { w.dead <- child.Wait() })
	var conversation sync.WaitGroup
	conversation.Go(w.read)
	conversation.Go(w.write)
	defer func() {
		close(w.ended)
		_ = child.Close() // frees the reader and the writer
		conversation.Wait()
	}()
	return w.judge(ctx, tooLate)
}

// startProcess starts an election. Where that hangs, the addresses of the former election are nevertheless removed in time.
func (s *Supervisor) startProcess(ctx context.Context, tooLate *<-chan time.Time) (Child, error) {
	type result struct {
		child Child
		err   error
	}
	started := make(chan result, 1)
	go func() {
		child, err := s.spawn()
		started <- result{child, err}
	}()
	for {
		select {
		case r := <-started:
			return r.child, r.err
		case <-*tooLate:
			*tooLate = nil
			s.giveUpResuming()
		case <-ctx.Done():
			select {
			case r := <-started:
				return r.child, r.err
			case <-time.After(joinTimeout):
				return nil, ctx.Err() // an election that starts later finds its socket closed when this process ends
			}
		}
	}
}

// judge decides about the life of the election until it has ended. tooLate fires when nothing is left to resume.
func (w *watch) judge(ctx context.Context, tooLate <-chan time.Time) error {
	stop, carried, stuck, eof := ctx.Done(), w.carried, w.stuck, w.eof
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
		case <-carried:
			carried, tooLate = nil, nil // the election looks after the addresses itself now
		case <-tooLate:
			tooLate = nil
			w.giveUpResuming()
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

// sendOrder has the writer send the latest order. An order without routers tells the election to leave.
func (w *watch) sendOrder() {
	if w.idle() {
		w.leaving.Store(true)
	}
	w.mu.Lock()
	w.handOver = max(w.handOver, w.order.HandOverTime())
	w.mu.Unlock()
	if w.leaving.Load() && w.overdue == nil {
		w.overdue = time.After(w.handOver + leaveGrace)
	}
	nudge(w.send)
}

// kill kills the election once, and says why.
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

// afterEOF returns how an election ended whose socket is closed. It ends one that lives on.
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

// A look is a repeated look at the signs of life. Each sign of life postpones it, so that a healthy election costs no looks.
type look struct {
	*Supervisor
	timer     *time.Timer
	suspected bool
	due       message.Monotonic // the moment of the look that decides about a suspected election
}

// again looks, and reports for how long the election has given no sign of life, and whether it hangs.
//
// An election hangs only if the director looked in time twice, and read nothing between. If a look is late, the director was
// stopped, and its election perhaps too: the election then has hungTimeout from now.
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

// setAlive takes the present for a sign of life.
func (s *Supervisor) setAlive() { s.alive.Store(int64(s.clock())) }

// Read stamps a sign of life whenever something arrives, part of a message too.
func (w *watch) Read(p []byte) (int, error) {
	n, err := w.child.Read(p)
	if n > 0 {
		w.setAlive()
		w.looks.Reset(suspectTimeout)
	}
	return n, err
}

// read is the reader: it posts reports until the socket ends.
func (w *watch) read() {
	defer close(w.eof)
	in := bufio.NewReader(w)
	for carried := false; ; {
		line, err := readLine(in)
		if err != nil {
			return
		}
		if len(line) == len(message.SignOfLife) {
			w.confirm()
			nudge(w.beats)
			continue
		}
		var r message.Report
		if json.Unmarshal(line, &r) != nil {
			return
		}
		w.takeReport(r)
		if r.Sequence > 0 && !carried {
			carried = true
			close(w.carried)
		}
	}
}

// readLine reads a line of any length. The line is valid until the next call.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	long := append([]byte(nil), line...)
	rest, err := in.ReadBytes('\n')
	return append(long, rest...), err
}

// confirm notes a sign of life: the last report is still true, unless the silence before was too long to know.
func (s *Supervisor) confirm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.clock(); time.Duration(now-s.sure) < maxBeats*s.order.BeatInterval() {
		s.sure = now
	} else {
		nudge(s.asked)
	}
}

// takeReport notes a report.
func (s *Supervisor) takeReport(r message.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sure = s.clock()
	if r.Sequence > 0 {
		s.resume = nil
	}
	s.post(r)
	if r.Sequence == s.order.Sequence {
		s.ledger.prune(s.ordered, r)
	}
}

// write is the writer: it sends the latest order whenever there is a new one, and questions for a report.
func (w *watch) write() {
	var asked <-chan struct{} // first of all comes the order
	for {
		var o message.Order
		select {
		case <-w.ended:
			return
		case <-w.send:
			o = w.next(asked == nil)
			o.Leave = w.leaving.Load()
			asked = w.asked
		case <-asked:
			o.Report = true
		}
		line, err := json.Marshal(o)
		if err != nil {
			w.log.Error("failed to encode an order to the election process", "error", err)
			continue
		}
		err = w.sendLine(append(line, '\n'))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			close(w.stuck)
		}
		if err != nil {
			return // any other error means that the election died; its exit status says how
		}
	}
}

// sendLine sends a line within sendTimeout. A timeout that comes late proves nothing: the director itself was stopped.
func (w *watch) sendLine(line []byte) error {
	for {
		began := w.clock()
		_ = w.child.SetWriteDeadline(time.Now().Add(sendTimeout))
		n, err := w.child.Write(line)
		line = line[n:]
		late := time.Duration(w.clock()-began) > sendTimeout+maxLate
		if !errors.Is(err, os.ErrDeadlineExceeded) || !late {
			return err
		}
	}
}
