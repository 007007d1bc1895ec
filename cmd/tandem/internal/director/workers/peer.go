// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/plan"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/configs"
)

// A PeerMail is what is new for the other director of the pair.
type PeerMail struct {
	Config *configs.Config // nil: unchanged
	View   *message.View   // likewise
}

// MergePeer takes what is latest.
func MergePeer(waiting, next PeerMail) PeerMail {
	if next.Config != nil {
		waiting.Config = next.Config
	}
	if next.View != nil {
		waiting.View = next.View
	}
	return waiting
}

// Peer keeps the channel to the other director of the pair. It compares the configurations itself, so that the loop need not.
type Peer struct {
	Version string
	Post    Post
	In      Mailbox[PeerMail]
	Timing  peer.Timing // the zero value: those of a director
	// Answer answers questions of the other director; nil: none is answered.
	Answer func(context.Context, peer.Question) ([]byte, error)

	link atomic.Pointer[peer.Link] // nil: there is no channel

	// The fields below belong to Run.
	config *configs.Config
	out    *peer.Outbox
	theirs *message.Facts
	facts  Mailbox[*message.Facts] // of the other director
	stop   func()
}

// Run keeps the channel that the latest configuration has, until ctx ends.
func (w *Peer) Run(ctx context.Context) error {
	w.stop = func() {}
	defer func() { w.stop() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case mail := <-w.In:
			if mail.Config != nil {
				w.configure(ctx, mail.Config)
			}
			if mail.View != nil && w.out != nil {
				w.out.Put(message.Message{Kind: message.KindView, View: mail.View})
			}
		case w.theirs = <-w.facts:
			w.compare()
		}
	}
}

// configure follows a configuration. A channel whose settings have not changed goes on.
func (w *Peer) configure(ctx context.Context, cfg *configs.Config) {
	was := w.config
	w.config = cfg
	if was == nil || was.Peer != cfg.Peer || was.Name != cfg.Name {
		w.stop()
		w.stop, w.out, w.theirs, w.facts = func() {}, nil, nil, NewMailbox[*message.Facts]()
		if cfg.Peer.On() {
			w.start(ctx)
		}
	}
	if w.out != nil {
		w.out.Put(message.Message{Kind: message.KindFacts, Facts: plan.Facts(cfg)})
		w.compare()
	}
}

// start starts a link.
func (w *Peer) start(ctx context.Context) {
	w.out = peer.NewOutbox()
	timing := w.Timing
	if timing == (peer.Timing{}) {
		timing = peer.DefaultTiming
	}
	facts := w.facts
	link := &peer.Link{
		Config: w.config.Peer, Name: w.config.Name, Version: w.Version, Out: w.out, Timing: timing, Answer: w.Answer,
		Heard: func(m message.Message, skew message.Skew) {
			if m.Facts != nil {
				facts.Put(m.Facts)
				m.Facts = nil
			}
			w.Post(core.PeerHeard{Message: m, Skew: skew})
		},
		Changed: func(c peer.Channel) {
			w.Post(core.PeerChannel{
				To: half(c.To), From: half(c.From),
				Name: c.Peer.Name, Version: c.Peer.Version, Can: c.Peer.Can, Refused: c.Refused, Refusal: c.Refusal,
			})
		},
	}
	w.link.Store(link)
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = link.Run(ctx) // its errors are states of the channel
	}()
	w.stop = func() {
		w.link.Store(nil)
		cancel()
		<-ended
	}
}

func half(h peer.Half) core.PeerHalf {
	return core.PeerHalf{Up: h.Up, Problem: h.Problem, Fault: h.Fault}
}

// Ask asks the other director. The errors are those of peer.Link.
func (w *Peer) Ask(ctx context.Context, to message.Ability, by string, body []byte) ([]byte, error) {
	link := w.link.Load()
	if link == nil {
		return nil, fmt.Errorf("%w: this director has no channel to another one: see tandem peer init --help", peer.ErrNotSent)
	}
	return link.Ask(ctx, to, by, body)
}

// compare tells what differs in the configurations.
func (w *Peer) compare() {
	if w.theirs == nil {
		return
	}
	name := w.config.Peer.Address.Addr().String()
	if w.theirs.Name != "" {
		name = w.theirs.Name
	}
	w.Post(core.PeerDrift{All: plan.Drift(plan.Facts(w.config), w.theirs, name), Preempts: plan.Preempts(w.theirs)})
}
