// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/integration/lab"
)

const (
	// requestsPort is where the real servers answer requests, each on a connection of its own.
	requestsPort = "3000"
	// requestRate is that of the requests, in one second.
	requestRate = 230
	// mostOpen is the largest number of requests under way. At that number the machine is behind, and further requests are
	// sent later.
	mostOpen = 50
	// requestLimit is how long a request may take.
	requestLimit = 20 * time.Second
)

// A poller waits for sockets. Go's own poller costs several times as much on an emulated machine.
type poller struct {
	fd     int
	events [64]unix.EpollEvent
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	return &poller{fd: fd}, err
}

// watch makes wait return fd when one of the events has come.
func (p *poller) watch(how, fd int, events uint32) error {
	return unix.EpollCtl(p.fd, how, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// close ends the watch before it closes the socket. A child process that starts at this moment also has the socket for a
// while. Its events would count for the next socket with the same number.
func (p *poller) close(fd int) {
	_ = p.watch(unix.EPOLL_CTL_DEL, fd, 0) // an error only says that the socket was not watched yet
	_ = unix.Close(fd)
}

func (p *poller) wait(limit time.Duration) ([]unix.EpollEvent, error) {
	n, err := unix.EpollWait(p.fd, p.events[:], int(limit.Milliseconds()))
	if errors.Is(err, unix.EINTR) {
		return nil, nil
	}
	return p.events[:max(n, 0)], err
}

// serveRequests answers requests until the test ends: a few bytes each way, then the connection closes.
func serveRequests(t *testing.T, h *lab.Host) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	listening := make(chan struct{})
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := h.Do(func() error { return answer(ctx, listening) }); err != nil {
			t.Errorf("serve requests on %s: %v", h.Name, err)
		}
	})
	t.Cleanup(func() {
		cancel()
		serving.Wait()
	})
	select {
	case <-listening:
	case <-time.After(requestLimit):
		t.Fatalf("%s does not serve requests", h.Name)
	}
}

// answer answers all that comes until ctx ends.
func answer(ctx context.Context, listening chan<- struct{}) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	p, err := newPoller()
	if err != nil {
		return err
	}
	defer unix.Close(p.fd)
	local, _ := sockaddr(netip.MustParseAddrPort("0.0.0.0:" + requestsPort))
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 10), // a connection comes with its request
		unix.Bind(fd, local), unix.Listen(fd, 1024), p.watch(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN))
	if err != nil {
		return err
	}
	close(listening)
	var buf [16]byte
	for ctx.Err() == nil {
		events, err := p.wait(100 * time.Millisecond)
		if err != nil {
			return err
		}
		for _, e := range events {
			conn := int(e.Fd)
			if conn == fd {
				if conn, _, err = unix.Accept4(fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK); err != nil {
					continue // it has gone again
				}
			}
			n, err := unix.Read(conn, buf[:])
			if errors.Is(err, unix.EAGAIN) && conn != int(e.Fd) {
				if err := p.watch(unix.EPOLL_CTL_ADD, conn, unix.EPOLLIN); err == nil {
					continue
				}
			}
			_, _ = unix.Write(conn, buf[:max(n, 0)]) // the client sees errors
			p.close(conn)
		}
	}
	return nil
}

// A hammering sends requests at a steady rate.
type hammering struct {
	ctx   context.Context
	stop  context.CancelFunc
	group sync.WaitGroup
	poll  *poller
	open  map[int]time.Time // since when requests are under way, by socket

	begun    time.Time
	asked    int
	answered atomic.Int64
	failed   []error // to be read after the end
}

// hammer sends requests to the VIP from a thread on the host until the test ends. After a stall of the machine it sends the
// requests that it missed.
func hammer(t *testing.T, h *lab.Host) *hammering {
	t.Helper()
	poll, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	m := &hammering{poll: poll, open: make(map[int]time.Time), begun: time.Now()}
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.group.Go(func() {
		if err := h.Do(m.run); err != nil {
			m.failed = append(m.failed, err)
		}
	})
	t.Cleanup(func() {
		m.end()
		_ = unix.Close(poll.fd)
	})
	return m
}

// run asks until the end, and waits for the answers to what is under way.
func (m *hammering) run() error {
	remote, _ := sockaddr(netip.MustParseAddrPort(vip + ":" + requestsPort))
	for m.ctx.Err() == nil || len(m.open) > 0 {
		if m.ctx.Err() == nil {
			due := int(time.Since(m.begun).Seconds()*requestRate) - m.asked
			for range min(due, mostOpen-len(m.open)) {
				if err := m.begin(remote); err != nil {
					return err
				}
			}
		}
		events, err := m.poll.wait(4 * time.Millisecond)
		if err != nil {
			return err
		}
		for _, e := range events {
			m.goOn(int(e.Fd), e.Events)
		}
		for fd, since := range m.open {
			if time.Since(since) > requestLimit {
				m.finish(fd, unix.ETIMEDOUT)
			}
		}
	}
	return nil
}

// begin connects for one more request.
func (m *hammering) begin(remote unix.Sockaddr) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	m.asked++
	m.open[fd] = time.Now()
	if err := unix.Connect(fd, remote); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		m.finish(fd, err)
		return nil
	}
	return m.poll.watch(unix.EPOLL_CTL_ADD, fd, unix.EPOLLOUT)
}

// goOn writes the request when the connection is made, and reads the answer when it has arrived.
func (m *hammering) goOn(fd int, events uint32) {
	const text = "a request\n"
	if events&unix.EPOLLOUT != 0 && events&(unix.EPOLLERR|unix.EPOLLHUP) == 0 {
		_, err := unix.Write(fd, []byte(text))
		if err = errors.Join(err, m.poll.watch(unix.EPOLL_CTL_MOD, fd, unix.EPOLLIN)); err != nil {
			m.finish(fd, err)
		}
		return
	}
	var buf [16]byte
	n, err := unix.Read(fd, buf[:])
	if got := string(buf[:max(n, 0)]); err == nil && got != text {
		err = fmt.Errorf("answered by %q, want %q", got, text)
	}
	m.finish(fd, err)
}

// finish counts a request.
func (m *hammering) finish(fd int, err error) {
	if err == nil {
		m.answered.Add(1)
	} else {
		m.failed = append(m.failed, fmt.Errorf("a request of %s ago: %w", time.Since(m.open[fd]).Round(time.Millisecond), err))
	}
	delete(m.open, fd)
	m.poll.close(fd)
}

// rate returns how many requests were answered a second so far.
func (m *hammering) rate() float64 { return float64(m.answered.Load()) / time.Since(m.begun).Seconds() }

// end waits for the requests under way.
func (m *hammering) end() {
	m.stop()
	m.group.Wait()
}
