// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/porttest"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// testTiming has times for tests on a busy machine: no test waits for more than Silence.
var testTiming = Timing{Alive: 50 * time.Millisecond, Silence: time.Second, Patience: 20 * time.Second, Reconnect: 400 * time.Millisecond}

var testKey = vrrp.NewSecret([]byte(strings.Repeat("k", 32)))

// A side is one link of a test, and what it has heard.
type side struct {
	*Link
	t    *testing.T
	stop context.CancelFunc

	mu       sync.Mutex
	messages map[message.Kind]message.Message
	skew     message.Skew
	channel  Channel
	news     chan struct{}
}

// addresses returns two addresses where nobody listens.
func addresses(t *testing.T) (a, b netip.AddrPort) {
	t.Helper()
	return porttest.Reserve(t), porttest.Reserve(t)
}

// newSide returns a link that listens at own, and connects to other.
func newSide(t *testing.T, name string, own, other netip.AddrPort) *side {
	s := &side{t: t, messages: make(map[message.Kind]message.Message), news: make(chan struct{}, 1)}
	s.Link = &Link{
		Config: configs.Peer{Address: other, Listen: own.String(), Key: testKey}, Name: name, Version: "v1", Out: NewOutbox(), Timing: testTiming,
		Heard: func(m message.Message, skew message.Skew) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.messages[m.Kind], s.skew = m, skew
			s.wake()
		},
		Changed: func(c Channel) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.channel = c
			s.wake()
		},
	}
	return s
}

func (s *side) wake() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// start runs the link until stop is called or the test ends.
func (s *side) start() *side {
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Run(ctx); err != nil {
			s.t.Error(err)
		}
	}()
	s.stop = func() { cancel(); <-ended }
	s.t.Cleanup(s.stop)
	return s
}

// listening waits until others can connect.
func (s *side) listening() *side {
	s.t.Helper()
	s.await("listening", func(s *side) bool { return s.channel.From.Problem == notYet })
	return s
}

// await waits until something is true of the side.
func (s *side) await(what string, is func(*side) bool) {
	s.t.Helper()
	limit := time.After(30 * time.Second)
	for {
		s.mu.Lock()
		done, channel := is(s), fmt.Sprintf("%+v", s.channel)
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-s.news:
		case <-limit:
			s.t.Fatalf("%s: not %s; %s", s.Name, what, channel)
		}
	}
}

// now returns the present state of the channel, and how many kinds of messages were heard.
func (s *side) now() (c Channel, heard int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.channel, len(s.messages)
}

func (s *side) awaitUp() {
	s.t.Helper()
	s.await("connected", func(s *side) bool { return s.channel.To.Up && s.channel.From.Up })
}

func (s *side) awaitOrder(name string) {
	s.t.Helper()
	s.await("told "+name, func(s *side) bool {
		v := s.messages[message.KindView].View
		return v != nil && len(v.Orders) == 1 && v.Orders[0].Server == name
	})
}

func viewOf(server string) message.Message {
	return message.Message{Kind: message.KindView, View: &message.View{Orders: []message.Order{{Server: server}}}}
}

// TestTwoDirectors: each hears the latest of the other, also what was put in before they met, and after an interruption.
func TestTwoDirectors(t *testing.T) {
	x, y := addresses(t)
	a, b := newSide(t, "lb1", x, y), newSide(t, "lb2", y, x)
	for i := range 5 {
		a.Out.Put(viewOf(fmt.Sprint("early", i)))
	}
	a.start()
	b.start()
	a.awaitUp()
	b.awaitUp()
	b.awaitOrder("early4")
	b.Out.Put(viewOf("b"))
	a.awaitOrder("b")
	a.await("sure of the clock", func(s *side) bool { return s.skew.Known && s.skew.Ahead.Abs() <= s.skew.Error })
	a.await("told who the other is", func(s *side) bool { return s.channel.Peer.Name == "lb2" && s.channel.Peer.Version == "v1" })
	b.stop()
	a.await("cut off", func(s *side) bool { return !s.channel.To.Up && !s.channel.From.Up })
	a.await("told why", func(s *side) bool {
		return s.channel.To.Fault == message.FaultNobody && strings.Contains(s.channel.To.Problem, "nobody listens there") && s.channel.From.Problem == "it closed the connection"
	})
	a.Out.Put(viewOf("meanwhile"))
	again := newSide(t, "lb2", y, x).start()
	again.awaitOrder("meanwhile")
	a.awaitUp()
}

// TestWrongKey: directors with different keys tell each other nothing, and both say why.
func TestWrongKey(t *testing.T) {
	x, y := addresses(t)
	a, b := newSide(t, "lb1", x, y), newSide(t, "lb2", y, x)
	b.Config.Key = vrrp.NewSecret([]byte(strings.Repeat("q", 32)))
	a.Out.Put(viewOf("secret"))
	a.start()
	b.start()
	for _, s := range []*side{a, b} {
		s.await("told of the key", func(s *side) bool {
			return strings.Contains(s.channel.To.Problem, "another key") && strings.Contains(s.channel.From.Problem, "key")
		})
		channel, heard := s.now()
		if to := channel.To.Fault; to != message.FaultKey && to != message.FaultRefused {
			t.Errorf("%s: fault %q", s.Name, to)
		}
		if heard > 0 || channel.Refused == 0 {
			t.Errorf("%s: %d messages heard, %+v", s.Name, heard, channel)
		}
	}
}

// TestNotTheOther: a director that is connected to itself, or that has the name of the other one, says so.
func TestNotTheOther(t *testing.T) {
	x, _ := addresses(t)
	self := newSide(t, "lb1", x, x).start()
	self.await("told", func(s *side) bool {
		return strings.Contains(s.channel.To.Problem, "connected to itself") && s.channel.To.Fault == message.FaultItself
	})
	x, y := addresses(t)
	a := newSide(t, "lb1", x, y).start()
	newSide(t, "lb1", y, x).start()
	a.await("told", func(s *side) bool {
		return s.channel.To.Fault == message.FaultName && strings.Contains(s.channel.To.Problem, `both directors have the name "lb1"`)
	})
}

// TestBusyPort: if another program has the port, the director says so, and listens when the port is free.
func TestBusyPort(t *testing.T) {
	x, y := addresses(t)
	other, err := net.Listen("tcp", x.String())
	if err != nil {
		t.Fatal(err)
	}
	a := newSide(t, "lb1", x, y).start()
	a.await("told", func(s *side) bool {
		return strings.Contains(s.channel.From.Problem, "address already in use") && s.channel.From.Fault == message.FaultPort
	})
	_ = other.Close()
	newSide(t, "lb2", y, x).start()
	a.awaitUp()
}

// TestListensBeforeItConnects: the other director, which connects back as soon as it is connected to, finds somebody who listens.
func TestListensBeforeItConnects(t *testing.T) {
	for range 20 {
		x := porttest.Reserve(t)
		self := newSide(t, "lb1", x, x)
		self.Timing.Reconnect = time.Hour
		self.start()
		self.await("told", func(s *side) bool { return s.channel.To.Fault != "" })
		if channel, _ := self.now(); channel.To.Fault != message.FaultItself {
			t.Fatal(channel.To.Problem)
		}
		self.stop()
	}
}

// TestConnectsWhileItCannotListen: a director whose own address is a name that nobody looks up connects all the same.
func TestConnectsWhileItCannotListen(t *testing.T) {
	x, y := addresses(t)
	a := newSide(t, "lb1", x, y)
	a.Timing.Patience, a.told = 20*time.Millisecond, make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.dial(ctx, nil) }()
	<-a.told // it has tried
	cancel()
	if err := <-ended; err != nil || a.Link.channel.To.Fault == "" {
		t.Errorf("%v, %+v", err, a.Link.channel.To)
	}
}

// TestDialsBack: who hears the other director connect does the same at once, however long the next attempt is away.
func TestDialsBack(t *testing.T) {
	x, y := addresses(t)
	a := newSide(t, "lb1", x, y)
	a.Timing.Reconnect = time.Hour
	a.start()
	a.await("waiting for an hour", func(s *side) bool { return s.channel.To.Fault == message.FaultNobody })
	newSide(t, "lb2", y, x).start()
	a.awaitUp()
}
