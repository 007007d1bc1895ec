// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"container/heap"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// An engine is a waiter that connects, writes and reads without blocking, on the goroutine that calls it: TCP checks that
// only connect, and HTTP checks of version 1 without TLS of which no body is read. By a goroutine and a net.Conn each of
// these would cost twice the CPU time. All but wake, and the functions to cancel, belongs to that goroutine.
type engine struct {
	epoll   int
	events  [256]unix.EpollEvent
	flights map[int32]*flight
	queue   deadlines
	ended   []ended
	buf     []byte

	mu        sync.Mutex
	waker     int // an eventfd; -1 after close
	woken     bool
	cancelled []*flight
}

var _ waiter = (*engine)(nil)

// A flight is a probe that an engine carries.
type flight struct {
	entry    *entry
	fd       int
	started  time.Time
	deadline time.Time
	index    int // in deadlines, or idle once it has ended
	phase    phase
	unsent   []byte
	head     head
}

// A phase is what a flight waits for.
type phase uint8

const (
	connecting phase = iota + 1
	sending
	receiving
)

func newEngine() (*engine, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll instance: %w", err)
	}
	waker, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make an eventfd: %w", err), unix.Close(epoll))
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(waker)}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, waker, &event); err != nil {
		return nil, errors.Join(fmt.Errorf("watch an eventfd: %w", err), unix.Close(waker), unix.Close(epoll))
	}
	return &engine{epoll: epoll, waker: waker, flights: make(map[int32]*flight), buf: make([]byte, 4096)}, nil
}

// carries tells the checks that an engine can do.
func (c Config) carried() bool {
	return !c.Via.IsValid() && (c.OnlyConnects() || c.Type == HTTP && c.Version != HTTP2 && c.Content == Content{})
}

// launch implements waiter.
func (g *engine) launch(e *entry, now time.Time) (cancel func(), ok bool) {
	if !e.target.Config.carried() {
		return nil, false
	}
	f := &flight{entry: e, fd: -1, started: now, deadline: now.Add(e.target.Config.Timeout), phase: connecting, index: idle}
	heap.Push(&g.queue, f)
	if err := g.connect(f); err != nil {
		g.end(f, f.explain(err))
	}
	return func() { g.cancel(f) }, true
}

// connect begins a connection.
func (g *engine) connect(f *flight) (err error) {
	to, c := f.entry.target.endpoint(), f.entry.target.Config
	f.fd, err = unix.Socket(familyOf(to.Addr().Unmap()), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		f.fd = -1
		return os.NewSyscallError("socket", err)
	}
	if err := prepare(f.fd, c); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if c.Source.IsValid() {
		if err := unix.Bind(f.fd, sockaddr(c.Source, 0)); err != nil {
			return os.NewSyscallError("bind", err)
		}
	}
	if err := unix.Connect(f.fd, sockaddr(to.Addr(), to.Port())); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return os.NewSyscallError("connect", err)
	}
	// Not before: a socket that is not connecting yet would be an event.
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLET, Fd: int32(f.fd)}
	if err := unix.EpollCtl(g.epoll, unix.EPOLL_CTL_ADD, f.fd, &event); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	g.flights[int32(f.fd)] = f
	return nil
}

// wait implements waiter.
func (g *engine) wait(d, slack time.Duration) []ended {
	now := time.Now()
	until := now.Add(max(d, slack))
	if len(g.queue) > 0 && g.queue[0].deadline.Before(until) {
		until = g.queue[0].deadline
	}
	if len(g.ended) > 0 || d <= 0 {
		until = now
	}
	for _, event := range g.look(until.Sub(now)) {
		if f := g.flights[event.Fd]; f != nil {
			g.advance(f, event.Events&unix.EPOLLHUP != 0)
		}
	}
	g.heed()
	for now = time.Now(); len(g.queue) > 0 && !g.queue[0].deadline.After(now); {
		f := g.queue[0]
		g.end(f, f.explain(os.ErrDeadlineExceeded))
	}
	all := g.ended
	g.ended = nil
	return all
}

// look returns what has happened to connections, after d at the latest. It blocks its thread in the kernel: the Go
// runtime's own poller would take a dozen system calls for each look, and a hand-over between threads.
func (g *engine) look(d time.Duration) []unix.EpollEvent {
	// In whole milliseconds, not too early.
	timeout := max(0, d+time.Millisecond-1) / time.Millisecond
	n, err := unix.EpollWait(g.epoll, g.events[:], int(timeout))
	if err != nil {
		return nil // EINTR: the caller looks again
	}
	return g.events[:n]
}

// heed ends the flights that were cancelled, and resets the waker.
func (g *engine) heed() {
	g.mu.Lock()
	cancelled := g.cancelled
	g.cancelled = nil
	if g.woken {
		g.woken = false
		var count [8]byte
		_, _ = unix.Read(g.waker, count[:])
	}
	g.mu.Unlock()
	for _, f := range cancelled {
		if f.index != idle {
			g.end(f, result{outcome: abandoned})
		}
	}
}

// wake implements waiter.
func (g *engine) wake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.woken && g.waker >= 0 {
		g.woken = true
		one := [8]byte{1}
		_, _ = unix.Write(g.waker, one[:]) // it is not full
	}
}

func (g *engine) cancel(f *flight) {
	g.mu.Lock()
	g.cancelled = append(g.cancelled, f)
	g.mu.Unlock()
	g.wake()
}

// close implements waiter.
func (g *engine) close() {
	for len(g.queue) > 0 {
		g.end(g.queue[0], result{outcome: abandoned})
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = unix.Close(g.epoll)
	_ = unix.Close(g.waker)
	g.waker = -1
}

// end takes a flight out, with its result.
func (g *engine) end(f *flight, r result) {
	heap.Remove(&g.queue, f.index)
	if f.fd >= 0 {
		delete(g.flights, int32(f.fd))
		linger := unix.Linger{Onoff: 1} // see abrupt
		_ = unix.SetsockoptLinger(f.fd, unix.SOL_SOCKET, unix.SO_LINGER, &linger)
		_ = unix.Close(f.fd)
	}
	g.ended = append(g.ended, ended{entry: f.entry, result: r, started: f.started, at: time.Now()})
}

// advance takes a flight as far as it goes without waiting, and turns a panic into a failure.
func (g *engine) advance(f *flight, over bool) {
	defer func() {
		if p := recover(); p != nil {
			res := fail("the check panicked")
			res.panic = &panicked{value: p, stack: debug.Stack()}
			g.end(f, res)
		}
	}()
	if res := f.step(g.buf, over); res.outcome != 0 {
		g.end(f, res)
	}
}

// step gives a result, or none while there is something to wait for. The connection is over if neither side will send.
func (f *flight) step(buf []byte, over bool) result {
	if f.phase == connecting {
		if res := f.connected(over); res.outcome != 0 || f.phase == connecting {
			return res
		}
	}
	if f.phase == sending {
		if !f.send() {
			return result{}
		}
		f.phase = receiving
	}
	return f.receive(buf)
}
