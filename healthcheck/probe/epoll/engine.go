// SPDX-License-Identifier: Apache-2.0

// Package epoll runs plain probes on one thread, with non-blocking sockets.
package epoll

import (
	"container/heap"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// An Engine connects, writes and reads without blocking, on the goroutine that calls it. It runs TCP checks that only
// connect, and HTTP checks of version 1 without TLS and PROXY protocol that examine neither the header's fields nor the body. A
// goroutine and a net.Conn for each of these probes would cost twice the CPU time. Any goroutine may call Wake and the functions
// that cancel a probe. Everything else belongs to the one goroutine.
type Engine struct {
	epoll  int
	events [256]unix.EpollEvent
	probes map[int32]*epollProbe // by file descriptor
	queue  deadlines
	ended  []Ended
	buf    []byte

	mu        sync.Mutex
	waker     int // an eventfd; -1 after Close
	woken     bool
	cancelled []*epollProbe
}

// An Ended is a probe that has ended.
type Ended struct {
	Owner   any // as given to Launch
	Result  healthcheck.Result
	Started time.Time
	At      time.Time
}

// New makes an engine.
func New() (*Engine, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("failed to make an epoll instance: %w", err)
	}
	waker, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("failed to make an eventfd: %w", err), unix.Close(epoll))
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(waker)}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, waker, &event); err != nil {
		return nil, errors.Join(fmt.Errorf("failed to watch an eventfd: %w", err), unix.Close(waker), unix.Close(epoll))
	}
	return &Engine{epoll: epoll, waker: waker, probes: make(map[int32]*epollProbe), buf: make([]byte, 4096)}, nil
}

// carries reports whether an engine can run a check.
func carries(c *healthcheck.Config) bool {
	plainHTTP := c.Type == healthcheck.HTTP && c.Version != healthcheck.HTTP2 && c.Proxy == 0 &&
		len(c.Fields) == 0 && c.Content == healthcheck.Content{}
	return !c.Via.IsValid() && (c.OnlyConnects() || plainHTTP)
}

// Launch begins a probe if the engine can run it. The probe ends by its deadline, or when any goroutine calls cancel. Wait
// then returns it with owner. t must not change meanwhile.
func (g *Engine) Launch(owner any, t *healthcheck.Target, now time.Time) (cancel func(), ok bool) {
	if !carries(&t.Config) {
		return nil, false
	}
	p := &epollProbe{
		owner: owner, target: t, fd: -1, started: now, begun: time.Now(), deadline: now.Add(t.Config.Timeout), phase: connecting, index: ended,
	}
	heap.Push(&g.queue, p)
	if err := g.connect(p); err != nil {
		g.end(p, p.explain(err))
	}
	return func() { g.cancel(p) }, true
}

// connect begins to connect a probe's socket.
func (g *Engine) connect(p *epollProbe) error {
	if err := p.connect(); err != nil {
		return err
	}
	// The socket is added only now: epoll would report a socket that is not connecting yet.
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLET, Fd: int32(p.fd)}
	if err := unix.EpollCtl(g.epoll, unix.EPOLL_CTL_ADD, p.fd, &event); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	g.probes[int32(p.fd)] = p
	return nil
}

// Forever is a Wait without limit.
const Forever = time.Duration(math.MaxInt64)

// Wait returns the probes that have ended: after d at the latest, or as soon as a probe ends or Wake is called. If slack
// is longer than d, Wait may take slack. late is how much later Wait woke up than it had to.
func (g *Engine) Wait(d, slack time.Duration) (all []Ended, late time.Duration) {
	now := time.Now()
	until := now.Add(max(d, slack))
	if len(g.queue) > 0 && g.queue[0].deadline.Before(until) {
		until = g.queue[0].deadline
	}
	if (len(g.ended) > 0 || d <= 0) && now.Before(until) {
		until = now
	}
	events := g.look(until.Sub(now))
	late = max(0, time.Since(until))
	// After a standstill more probes may be ready than one look returns. None of them has missed its deadline.
	for rounds := len(g.probes) / len(g.events); ; rounds-- {
		for _, event := range events {
			if p := g.probes[event.Fd]; p != nil {
				g.advance(p, event.Events&unix.EPOLLHUP != 0)
			}
		}
		if len(events) < len(g.events) || rounds == 0 {
			break
		}
		events = g.look(0)
	}
	g.endCancelled()
	for now = time.Now(); len(g.queue) > 0 && !g.queue[0].deadline.After(now); {
		g.expire(g.queue[0])
	}
	all, g.ended = g.ended, nil
	return all, late
}

// lateStart is the maximum lateness with which a probe still ends at its deadline.
const lateStart = 10 * time.Millisecond

// expire ends a probe whose deadline has passed. An answer that has arrived since the last look counts. A probe that could
// continue only now had less than its time, because this process had no processor: it says nothing about the server. A server
// that has not answered yet has the whole timeout from the first packet, however late it was sent.
func (g *Engine) expire(p *epollProbe) {
	poll := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN | unix.POLLOUT}}
	if n, err := unix.Poll(poll, 0); err == nil && n > 0 && (p.phase == connecting || poll[0].Revents&^unix.POLLOUT != 0) {
		g.advance(p, poll[0].Revents&unix.POLLHUP != 0)
	}
	switch {
	case p.index == ended:
	case p.moved.After(p.deadline):
		g.end(p, healthcheck.Result{Outcome: healthcheck.NotRun, Reason: socket.TooLate})
	case p.phase == connecting && p.begun.Sub(p.started) > lateStart && time.Since(p.begun) < p.target.Config.Timeout:
		p.deadline = p.begun.Add(p.target.Config.Timeout)
		heap.Fix(&g.queue, p.index)
	default:
		g.end(p, p.explain(os.ErrDeadlineExceeded))
	}
}

// look returns the events of sockets, after d at the latest. It blocks its thread in the kernel: the Go runtime's own
// poller would need a dozen system calls for each look, and a switch between threads.
func (g *Engine) look(d time.Duration) []unix.EpollEvent {
	// In whole milliseconds, rounded up.
	timeout := -1 // without limit
	if d < Forever/2 {
		d = min(max(d, 0), 24*time.Hour) // the kernel counts in 32 bits
		timeout = int((d + time.Millisecond - 1) / time.Millisecond)
	}
	n, err := unix.EpollWait(g.epoll, g.events[:], timeout)
	if err != nil {
		return nil // EINTR: the caller looks again
	}
	return g.events[:n]
}

// endCancelled ends the cancelled probes, and resets the waker.
func (g *Engine) endCancelled() {
	g.mu.Lock()
	cancelled := g.cancelled
	g.cancelled = nil
	if g.woken {
		g.woken = false
		var count [8]byte
		_, _ = unix.Read(g.waker, count[:])
	}
	g.mu.Unlock()
	for _, p := range cancelled {
		if p.index != ended {
			g.end(p, healthcheck.Result{Outcome: healthcheck.Abandoned})
		}
	}
}

// Wake ends a Wait, or the next one. It may also be called after Close.
func (g *Engine) Wake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.woken && g.waker >= 0 {
		g.woken = true
		one := [8]byte{1}
		_, _ = unix.Write(g.waker, one[:]) // its counter cannot be full
	}
}

func (g *Engine) cancel(p *epollProbe) {
	g.mu.Lock()
	g.cancelled = append(g.cancelled, p)
	g.mu.Unlock()
	g.Wake()
}

// Close ends the probes that are under way, and releases the engine's file descriptors.
func (g *Engine) Close() {
	for len(g.queue) > 0 {
		g.end(g.queue[0], healthcheck.Result{Outcome: healthcheck.Abandoned})
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = unix.Close(g.epoll)
	_ = unix.Close(g.waker)
	g.waker = -1
}

// end removes a probe, with its result.
func (g *Engine) end(p *epollProbe, r healthcheck.Result) {
	heap.Remove(&g.queue, p.index)
	if p.fd >= 0 {
		delete(g.probes, int32(p.fd))
		linger := unix.Linger{Onoff: 1} // see socket.Abrupt
		_ = unix.SetsockoptLinger(p.fd, unix.SOL_SOCKET, unix.SO_LINGER, &linger)
		_ = unix.Close(p.fd)
	}
	g.ended = append(g.ended, Ended{Owner: p.owner, Result: r, Started: p.started, At: time.Now()})
}

// advance continues a probe as far as possible without waiting. A panic becomes a failure.
func (g *Engine) advance(p *epollProbe, over bool) {
	defer func() {
		if v := recover(); v != nil {
			g.end(p, healthcheck.Panicked(v, debug.Stack()))
		}
	}()
	was, unsent := p.phase, len(p.unsent)
	if res := p.proceed(g.buf, over); res.Outcome != 0 {
		g.end(p, res)
	} else if p.phase != was || len(p.unsent) != unsent {
		p.moved = time.Now()
	}
}
