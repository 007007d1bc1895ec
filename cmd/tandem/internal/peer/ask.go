// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
)

// maxAsks is how many questions of the other director are answered at the same time.
const maxAsks = 4

var (
	// ErrNotSent says that the other director has not got a question, and never will.
	ErrNotSent = errors.New("the question was not sent")
	// ErrOlder says that the other director is of a version that does not know the question.
	ErrOlder = errors.New("it cannot answer")
	// ErrUnanswered says that the other director may have got a question, and may have done what it asks for.
	ErrUnanswered = errors.New("it did not answer")
)

// A Refused is the answer of the other director that it does not do what it was asked for. It has done nothing.
type Refused struct{ Problems []string }

func (r *Refused) Error() string { return fmt.Sprint(r.Problems) }

// Unwrap returns an error for each sentence.
func (r *Refused) Unwrap() (all []error) {
	for _, p := range r.Problems {
		all = append(all, errors.New(p))
	}
	return all
}

// A Question is what the other director asks for.
type Question struct {
	To   message.Ability
	By   string // the user who asks
	From string // the name of the other director
	Body []byte
}

// asks are the questions in both directions. A question or an answer that could not be sent is never sent later: what it asks for
// may be wrong by then.
type asks struct {
	mu      sync.Mutex
	open    bool              // there is a connection to the other director
	queue   []message.Message // parts that are to be sent
	queued  chan struct{}     // has room for one
	waiting map[string]*waitingAsk
	heard   map[string]*halfHeard // questions of the other director whose last part has not come
	busy    int                   // questions of the other director that are being answered
	running sync.WaitGroup
}

// restTime is how long the next part of a question may take. After that, it makes room for other questions: who asked may have been
// interrupted.
const restTime = 30 * time.Second

// A halfHeard is the beginning of a question.
type halfHeard struct {
	message.Part
	at time.Time // when its latest part came
}

// A waitingAsk waits for its answer.
type waitingAsk struct {
	sent   bool // the last part of the question may have left
	next   int  // part of the answer
	body   []byte
	result chan error
}

func (a *asks) init() {
	a.queued, a.waiting, a.heard = make(chan struct{}, 1), make(map[string]*waitingAsk), make(map[string]*halfHeard)
}

// Ask asks the other director, and waits for the answer until ctx ends or a connection is lost. Errors are ErrNotSent, ErrOlder,
// ErrUnanswered or a Refused; what they wrap says why.
func (l *Link) Ask(ctx context.Context, to message.Ability, by string, body []byte) ([]byte, error) {
	l.mu.Lock()
	is := l.channel
	l.mu.Unlock()
	switch {
	case !is.To.Up:
		return nil, fmt.Errorf("%w: %s", ErrNotSent, is.To.Problem)
	case !is.From.Up:
		return nil, fmt.Errorf("%w: its answer would not come: %s", ErrNotSent, is.From.Problem)
	case !slices.Contains(is.Peer.Can, to):
		return nil, fmt.Errorf("%w: it runs tandem %s, which does not know the question %q", ErrOlder, is.Peer.Version, to)
	}
	id, w := rand.Text(), &waitingAsk{result: make(chan error, 1)}
	if err := l.asks.put(id, w, message.KindAsk, message.Part{To: to, By: by}, body); err != nil {
		return nil, err
	}
	select {
	case err := <-w.result:
		return w.body, err
	case <-ctx.Done():
		return nil, l.asks.drop(id, w, context.Cause(ctx))
	}
}

// put queues the parts of a question (w is not nil) or of an answer.
func (a *asks) put(id string, w *waitingAsk, kind message.Kind, first message.Part, body []byte) error {
	if len(body) > message.MaxBody {
		return fmt.Errorf("%w: it has %d bytes, and at most %d can be sent", ErrNotSent, len(body), message.MaxBody)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.open {
		return fmt.Errorf("%w: the channel is lost", ErrNotSent)
	}
	if w != nil {
		a.waiting[id] = w
	}
	for n := 0; ; n++ {
		p := first
		p.ID, p.Part, p.Body = id, n, body[:min(len(body), message.MaxPart)]
		body = body[len(p.Body):]
		p.More = len(body) > 0
		a.queue = append(a.queue, message.Message{Kind: kind, Part: &p})
		if !p.More {
			break
		}
	}
	a.wake()
	return nil
}

func (a *asks) wake() {
	select {
	case a.queued <- struct{}{}:
	default:
	}
}

// drop ends the wait of a question. What has not been sent of it is not sent any more.
func (a *asks) drop(id string, w *waitingAsk, why error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.waiting, id)
	a.queue = slices.DeleteFunc(a.queue, func(m message.Message) bool { return m.Kind == message.KindAsk && m.Part.ID == id })
	select {
	case err := <-w.result: // it came at the same moment
		return err
	default:
	}
	return w.unanswered(why)
}

func (w *waitingAsk) unanswered(why error) error {
	if w.sent {
		return fmt.Errorf("%w: %w", ErrUnanswered, why)
	}
	return fmt.Errorf("%w: %w", ErrNotSent, why)
}

// next returns the next part to send. It counts as sent from then on.
func (a *asks) next() (message.Message, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queue) == 0 {
		return message.Message{}, false
	}
	m := a.queue[0]
	a.queue = slices.Delete(a.queue, 0, 1)
	if w := a.waiting[m.Part.ID]; w != nil && m.Kind == message.KindAsk && !m.Part.More {
		w.sent = true
	}
	if len(a.queue) > 0 {
		a.wake()
	}
	return m, true
}

// begin says that there is a new connection to the other director.
func (a *asks) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open = true
}

// end says that the connection to the other director has ended.
func (a *asks) end(why error) {
	a.mu.Lock()
	a.open, a.queue = false, nil
	a.mu.Unlock()
	a.interrupt(why)
}

// interrupt ends all questions: an answer may have been lost. Questions of the other director whose last part has not come are
// forgotten.
func (a *asks) interrupt(why error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, w := range a.waiting {
		delete(a.waiting, id)
		w.result <- w.unanswered(why)
	}
	a.queue = slices.DeleteFunc(a.queue, func(m message.Message) bool { return m.Kind == message.KindAsk })
	clear(a.heard)
}

// hear takes a part of an answer of the other director. An answer to what nobody asks any more is ignored.
func (a *asks) hear(p *message.Part) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.waiting[p.ID]
	if w == nil {
		return
	}
	var result error
	switch {
	case p.Part != w.next, len(w.body)+len(p.Body) > message.MaxBody:
		result = fmt.Errorf("%w: its answer is too long, or parts of it are missing", ErrUnanswered)
	case len(p.Problems) > 0:
		result = &Refused{p.Problems}
	case p.More:
		w.body, w.next = append(w.body, p.Body...), w.next+1
		return
	default:
		w.body = append(w.body, p.Body...)
	}
	delete(a.waiting, p.ID)
	w.result <- result
}

// collect takes a part of a question of the other director. It returns the question when it is complete. If there are too many
// questions, problem says so.
func (a *asks) collect(p *message.Part) (whole *message.Part, problem string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(a.heard, func(_ string, h *halfHeard) bool { return now.Sub(h.at) >= restTime })
	q := a.heard[p.ID]
	switch {
	case q == nil && p.Part > 0:
		return nil, "" // it was refused already, or its beginning was lost
	case q == nil && len(a.heard)+a.busy >= maxAsks:
		return nil, fmt.Sprintf("it answers %d questions at a time: try again in a moment", maxAsks)
	case q == nil:
		q = &halfHeard{message.Part{ID: p.ID, To: p.To, By: p.By, Body: bytes.Clone(p.Body)}, now}
		a.heard[p.ID] = q
	case p.Part != q.Part.Part+1, len(q.Body)+len(p.Body) > message.MaxBody:
		delete(a.heard, p.ID)
		return nil, "the question is too long, or parts of it are missing"
	default:
		q.Part.Part, q.Body, q.at = p.Part, append(q.Body, p.Body...), now
	}
	if p.More {
		return nil, ""
	}
	delete(a.heard, p.ID)
	a.busy++
	return &q.Part, ""
}

// answer answers a question of the other director beside the connection. The answer is lost with the connection: the other side
// knows that then.
func (l *Link) answer(ctx context.Context, p *message.Part) {
	q, problem := l.asks.collect(p)
	if problem != "" {
		_ = l.asks.put(p.ID, nil, message.KindAnswer, message.Part{Problems: []string{problem}}, nil)
	}
	if q == nil {
		return
	}
	l.mu.Lock()
	from := l.channel.Peer.Name
	l.mu.Unlock()
	l.asks.running.Go(func() {
		body, err := l.carryOut(ctx, Question{To: q.To, By: q.By, From: from, Body: q.Body})
		l.asks.mu.Lock()
		l.asks.busy--
		l.asks.mu.Unlock()
		first := message.Part{}
		if err == nil && len(body) > message.MaxBody {
			err = fmt.Errorf("the answer has %d bytes, and at most %d can be sent", len(body), message.MaxBody)
		}
		if err != nil {
			first.Problems, body = message.Problems(sentences(err)), nil
		}
		_ = l.asks.put(q.ID, nil, message.KindAnswer, first, body)
	})
}

// carryOut has a question answered.
func (l *Link) carryOut(ctx context.Context, q Question) ([]byte, error) {
	if l.Answer == nil || !slices.Contains(message.Abilities(), q.To) {
		return nil, fmt.Errorf("tandem %s does not know the question %q", l.Version, q.To)
	}
	return l.Answer(ctx, q)
}

// sentences are those of an error: one for each joined error.
func sentences(err error) (all []string) {
	many, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []string{err.Error()}
	}
	for _, e := range many.Unwrap() {
		all = append(all, sentences(e)...)
	}
	return all
}
