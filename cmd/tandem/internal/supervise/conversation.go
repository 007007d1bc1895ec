// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
)

// sendTimeout is the maximum time for which an election may leave an order unread.
const sendTimeout = 5 * time.Second

// Read records a sign of life whenever something arrives, even a part of a message.
func (w *watch) Read(p []byte) (int, error) {
	n, err := w.child.Read(p)
	if n > 0 {
		w.setAlive()
		w.looks.Reset(suspectTimeout)
	}
	return n, err
}

// read is the body of the reader: it posts reports until the socket ends.
func (w *watch) read() {
	defer close(w.eof)
	in := bufio.NewReader(w)
	for {
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

// takeReport stores a report.
func (s *Supervisor) takeReport(r message.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sure = s.clock()
	if r.Sequence > 0 {
		s.resume = nil
	}
	last := s.last
	s.post(r)
	if r.Sequence == 0 && s.formerLives() { // the former one is what the addresses depend on
		s.last = last
	}
	s.seeTakeover(r)
	if r.Sequence == s.order.Sequence {
		s.carried = s.order
		s.ledger.prune(s.ordered, r)
	}
}

// sendOrder wakes the writer to send the latest order. An order without routers orders the election to leave.
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

// write is the body of the writer: it sends each new order, and requests for a report.
func (w *watch) write() {
	var asked <-chan struct{} // the order must be sent first
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
			return // any other error means that the election died; its exit status says why
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
