// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/configs"
)

// Timing has the times of a link. Tests have shorter ones.
type Timing struct {
	Alive     time.Duration // pause between two signs of life
	Silence   time.Duration // after which a connection counts as lost
	Patience  time.Duration // for one message, or a handshake
	Reconnect time.Duration // the longest pause before the next attempt
}

// DefaultTiming are the times of a director.
var DefaultTiming = Timing{Alive: time.Second, Silence: 5 * time.Second, Patience: 5 * time.Second, Reconnect: 5 * time.Second}

// notYet is why the other director is not heard at first.
const notYet = "it has not connected to this director yet"

// A Half is the state of one of the two connections.
type Half struct {
	Up      bool
	Problem string // why not
	Fault   message.Fault
}

// A Channel is the state of both connections.
type Channel struct {
	To, From Half          // to the other director, and from it
	Peer     message.Hello // of the latest connection; the zero value: none yet
	Refused  uint64        // connections that were refused, because the other side is not the peer
	Refusal  string        // the latest of them: address and reason
}

// A Link is one end of the channel, with one configuration.
type Link struct {
	Config  configs.Peer
	Name    string // of this director
	Version string
	Out     *Outbox
	Timing  Timing
	// Heard is called with each message of the other director, and Changed with each change of the channel. Neither is called by
	// two goroutines at the same time, nor may it wait for long.
	Heard   func(m message.Message, skew message.Skew)
	Changed func(Channel)
	// Answer answers a question of the other director; nil: none is answered. Several goroutines call it at the same time.
	Answer func(context.Context, Question) ([]byte, error)

	instance string
	asks     asks
	nudged   chan struct{} // has room for one: the other director has just connected, so it listens too

	mu      sync.Mutex // for the fields below
	clock   message.ClockWatch
	channel Channel
	told    chan struct{} // has room for one: there is something to call Changed for
	heard   sync.Mutex    // one call of Heard at a time
}

// Run keeps the channel until ctx ends.
func (l *Link) Run(ctx context.Context) error {
	l.instance = rand.Text()
	l.told, l.nudged = make(chan struct{}, 1), make(chan struct{}, 1)
	l.asks.init()
	defer l.asks.running.Wait()
	l.channel = Channel{To: Half{Problem: "not connected yet"}, From: Half{Problem: "this director does not listen yet"}}
	l.change(func(*Channel) {})
	g, ctx := errgroup.WithContext(ctx)
	bound := make(chan struct{}) // closed after the first attempt to listen
	g.Go(func() error { return l.dial(ctx, bound) })
	g.Go(func() error { return l.listen(ctx, sync.OnceFunc(func() { close(bound) })) })
	g.Go(func() error { return l.tell(ctx) })
	return g.Wait()
}

// tell calls Changed, at most some times a second: who is refused often cannot make it busy.
func (l *Link) tell(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.told:
			l.mu.Lock()
			is := l.channel
			l.mu.Unlock()
			l.Changed(is)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(l.Timing.Alive / 10):
		}
	}
}

// change changes the state of the channel.
func (l *Link) change(how func(*Channel)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	how(&l.channel)
	select {
	case l.told <- struct{}{}:
	default:
	}
}

// receive passes a message on.
func (l *Link) receive(ctx context.Context, m message.Message) {
	now := time.Now()
	l.mu.Lock()
	if m.Clock != nil {
		l.clock.Hear(*m.Clock, now)
	}
	skew := l.clock.Skew()
	l.mu.Unlock()
	switch m.Kind {
	case message.KindAsk:
		l.answer(ctx, m.Part)
		return
	case message.KindAnswer:
		l.asks.hear(m.Part)
		return
	}
	l.heard.Lock()
	defer l.heard.Unlock()
	l.Heard(m, skew)
}

// forgetClock ends the measurement of the clocks.
func (l *Link) forgetClock() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock.Forget()
}

// stamp adds the readings of our clock.
func (l *Link) stamp(m message.Message) message.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.clock.Tell(time.Now())
	m.Clock = &c
	return m
}

// hello is how this director introduces itself.
func (l *Link) hello(proof []byte) message.Message {
	h := message.Hello{Protocol: message.Protocol, Name: l.Name, Version: l.Version, Instance: l.instance, Proof: proof}
	if l.Answer != nil {
		h.Can = message.Abilities()
	}
	return message.Message{Kind: message.KindHello, Hello: &h}
}

// meet judges how the other side introduces itself.
func (l *Link) meet(h *message.Hello) error {
	switch {
	case h == nil:
		return errors.New("it does not introduce itself as a director")
	case h.Instance == l.instance:
		return faulty(message.FaultItself, "this director is connected to itself: write the other director's address into [peer]")
	case h.Name == l.Name:
		return faulty(message.FaultName, "both directors have the name %q: give them different names", h.Name)
	}
	return nil
}
