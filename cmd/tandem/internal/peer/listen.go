// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
)

// listen hears the other director until ctx ends. It calls bound after each attempt to get a socket.
func (l *Link) listen(ctx context.Context, bound func()) error {
	for {
		err := l.accept(ctx, bound)
		if ctx.Err() != nil {
			return nil
		}
		l.change(func(c *Channel) {
			c.From = down(faulty(message.FaultPort, "failed to listen on %s: %v", l.Config.Listen, err))
		})
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(l.Timing.Reconnect):
		}
	}
}

// accept takes connections until ctx ends or the socket fails.
func (l *Link) accept(ctx context.Context, bound func()) error {
	lc := net.ListenConfig{Control: userTimeout(l.Timing.Silence)}
	socket, err := lc.Listen(ctx, "tcp", l.Config.Listen)
	if bound(); err != nil {
		return err
	}
	defer socket.Close()
	defer context.AfterFunc(ctx, func() { _ = socket.Close() })()
	l.change(func(c *Channel) { c.From = Half{Problem: notYet} })
	return l.take(ctx, socket)
}

// take takes connections from a socket until ctx ends or the socket fails.
func (l *Link) take(ctx context.Context, socket net.Listener) error {
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := hearing{Link: l, peer: newGate(5, 10), strangers: newGate(1, 5)}
	for {
		raw, err := socket.Accept()
		if err != nil {
			if !passes(ctx, err, l.Timing.Alive) {
				return err
			}
			continue
		}
		g := h.gate(raw)
		if !g.enter(time.Now()) {
			_ = raw.Close()
			l.change(func(c *Channel) { c.Refused, c.Refusal = c.Refused+1, remote(raw)+": too many connections" })
			continue
		}
		all.Go(func() { h.serve(ctx, raw, g) })
	}
}

// passes reports whether a socket can take connections after an error. If there are no descriptors or no memory, it waits for a
// pause: the connection on which the other director is heard goes on meanwhile.
func passes(ctx context.Context, err error, pause time.Duration) bool {
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return true
	}
	for _, passing := range []error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM} {
		if !errors.Is(err, passing) {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			return true
		}
	}
	return false
}

// errReplaced says why an answer is not waited for any more.
var errReplaced = errors.New("it made a new connection")

// A hearing has the connection on which the other director is heard.
type hearing struct {
	*Link
	peer, strangers *gate // of the configured address, and of all others

	mu      sync.Mutex
	current net.Conn
}

func (h *hearing) gate(raw net.Conn) *gate {
	if from, err := netip.ParseAddrPort(raw.RemoteAddr().String()); err == nil && from.Addr().Unmap().WithZone("") == h.Config.Address.Addr().Unmap().WithZone("") {
		return h.peer
	}
	return h.strangers
}

func remote(raw net.Conn) string {
	if from, err := netip.ParseAddrPort(raw.RemoteAddr().String()); err == nil {
		return from.Addr().Unmap().String()
	}
	return raw.RemoteAddr().String()
}

// serve makes one connection secure, and hears the other director on it.
func (h *hearing) serve(ctx context.Context, raw net.Conn, g *gate) {
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	conn, hello, err := h.handshake(ctx, raw, accepting)
	g.leave()
	if err != nil {
		if ctx.Err() == nil {
			h.change(func(c *Channel) {
				if c.Refused, c.Refusal = c.Refused+1, message.Text(remote(raw)+": "+err.Error()); !c.From.Up && g == h.peer {
					c.From = down(err)
				}
			})
		}
		return
	}
	h.begin(raw, hello)
	h.end(ctx, raw, h.hear(ctx, conn))
}

// begin makes a connection the one on which the other director is heard.
func (h *hearing) begin(raw net.Conn, hello *message.Hello) {
	h.mu.Lock()
	defer h.mu.Unlock() // after the state has changed: it is that of the latest connection
	if h.current != nil {
		_ = h.current.Close() // half-open, or an earlier process of the peer
		h.asks.interrupt(errReplaced)
	}
	h.current = raw
	h.change(func(c *Channel) { c.From, c.Peer = Half{Up: true}, *hello })
	select {
	case h.nudged <- struct{}{}:
	default:
	}
}

// end notes that a connection has ended, unless another one has replaced it.
func (h *hearing) end(ctx context.Context, raw net.Conn, why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.current != raw {
		return
	}
	h.current = nil
	if ctx.Err() == nil {
		h.forgetClock()
		h.asks.interrupt(why)
		h.change(func(c *Channel) { c.From = down(why) })
	}
}

// hear passes on messages until the connection ends, or the other side is silent or breaks the rules.
func (h *hearing) hear(ctx context.Context, conn *tls.Conn) error {
	for {
		_ = conn.SetReadDeadline(time.Now().Add(h.Timing.Silence))
		n, err := message.ReadLength(conn, message.MaxSize)
		if err != nil {
			return lost(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(h.Timing.Patience)) // for all of it
		m, err := message.ReadBody(conn, n)
		if err != nil {
			return lost(err)
		}
		h.receive(ctx, m)
	}
}

// lost says why the other director is not heard any more.
func lost(err error) error {
	var v *message.Violation
	if errors.As(err, &v) {
		return fmt.Errorf("it sent %s", v.Problem)
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return errors.New("it fell silent")
	}
	return explain(err)
}

// A gate bounds how many handshakes begin, and how many there are at a time.
type gate struct {
	rate, burst float64 // a second, and at once

	mu     sync.Mutex
	tokens float64
	at     time.Time
	inside int
}

// maxHandshakes is the maximum number of handshakes of a gate at a time.
const maxHandshakes = 2

func newGate(rate, burst float64) *gate { return &gate{rate: rate, burst: burst, tokens: burst} }

// enter reports whether another handshake may begin now.
func (g *gate) enter(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.at.IsZero() {
		g.tokens = min(g.burst, g.tokens+g.rate*max(0, now.Sub(g.at).Seconds()))
	}
	g.at = now
	if g.tokens < 1 || g.inside == maxHandshakes {
		return false
	}
	g.tokens--
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
}
