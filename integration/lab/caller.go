// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Caller is the socket of one client, which asks a service for the name of the server that answers.
type Caller struct {
	Server string // that answered last
	Err    error  // of the last question; nil: it was answered

	fd    int
	asked bool
	done  bool
}

// Call asks a service ("192.0.2.100:80") once from each of the addresses, which are the host's own, all at the same time. The
// protocol is "tcp" or "udp". Those that have no answer within the limit have failed.
func (h *Host) Call(protocol, service string, limit time.Duration, from ...netip.Addr) []*Caller {
	h.lab.t.Helper()
	remote, err := netip.ParseAddrPort(service)
	if err != nil {
		h.lab.t.Fatalf("call %s: %v", service, err)
	}
	all := make([]*Caller, len(from))
	if err := h.Do(func() error {
		for i, local := range from {
			all[i] = newCaller(protocol, netip.AddrPortFrom(local, uint16(h.callPort())), remote)
		}
		return nil
	}); err != nil {
		h.lab.t.Fatalf("call %s from %s: %v", service, h.Name, err)
	}
	AskAgain(all, limit)
	return all
}

// callPort returns a source port that no caller of the host has had. The kernel would choose one at random; a director remembers
// a UDP conversation for five minutes, and takes the datagrams of a new client from the same port for the old conversation.
func (h *Host) callPort() int {
	const first, end = 10000, 1 << 15 // below the ports that the kernel gives
	return first + int(h.calls.Add(1)-1)%(end-first)
}

// newCaller opens a socket and begins to connect it. The calling thread is in the client's namespace.
func newCaller(protocol string, local, remote netip.AddrPort) *Caller {
	kind := unix.SOCK_STREAM
	if protocol == "udp" {
		kind = unix.SOCK_DGRAM
	}
	c := &Caller{fd: -1}
	if c.fd, c.Err = unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); c.Err != nil {
		return c
	}
	if c.Err = unix.Bind(c.fd, &unix.SockaddrInet4{Addr: local.Addr().As4(), Port: int(local.Port())}); c.Err == nil {
		c.Err = unix.Connect(c.fd, &unix.SockaddrInet4{Addr: remote.Addr().As4(), Port: int(remote.Port())})
	}
	if errors.Is(c.Err, unix.EINPROGRESS) {
		c.Err = nil
	}
	return c
}

// AskAgain asks over the sockets that callers have, all at the same time. A caller that has failed stays as it is.
func AskAgain(callers []*Caller, limit time.Duration) {
	deadline := time.Now().Add(limit)
	for _, c := range callers {
		c.Server, c.asked, c.done = "", false, c.Err != nil
	}
	for {
		var polled []unix.PollFd
		var waiting []*Caller
		for _, c := range callers {
			if c.done {
				continue
			}
			events := int16(unix.POLLIN)
			if !c.asked {
				events = unix.POLLOUT
			}
			polled, waiting = append(polled, unix.PollFd{Fd: int32(c.fd), Events: events}), append(waiting, c)
		}
		left := time.Until(deadline)
		if len(waiting) == 0 || left <= 0 {
			break
		}
		if _, err := unix.Poll(polled, int(left.Milliseconds())+1); err != nil {
			continue // EINTR
		}
		for i, c := range waiting {
			if polled[i].Revents != 0 {
				c.goOn()
			}
		}
	}
	for _, c := range callers {
		if !c.done {
			c.Err = unix.ETIMEDOUT
		}
	}
}

// goOn asks, or reads the answer.
func (c *Caller) goOn() {
	if !c.asked {
		_, err := unix.Write(c.fd, []byte("?"))
		if c.asked = err == nil; err != nil && !errors.Is(err, unix.EAGAIN) {
			c.Err, c.done = err, true
		}
		return
	}
	var buf [32]byte
	n, err := unix.Read(c.fd, buf[:])
	if errors.Is(err, unix.EAGAIN) {
		return
	}
	if c.Err, c.done = err, true; err == nil {
		c.Server = string(buf[:n])
	}
	if err == nil && n == 0 {
		c.Err = unix.ECONNRESET
	}
}

// Close ends the conversation. It may be called again.
func (c *Caller) Close() {
	if c.fd >= 0 {
		_ = unix.Close(c.fd)
		c.fd = -1
	}
}

// AnswerCalls answers each question of a caller with the host's name until stop is called or the test ends, at TCP and UDP addresses
// ("192.0.2.100:80").
func (h *Host) AnswerCalls(tcp, udp []string) (stop func()) {
	h.lab.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var open []interface{ Close() error }
	err := h.Do(func() error {
		var errs []error
		for _, address := range tcp {
			l, err := net.Listen("tcp4", address)
			if errs = append(errs, err); err == nil {
				open = append(open, l)
				running.Go(func() { answerConnections(ctx, l, h.Name, &running) })
			}
		}
		for _, address := range udp {
			l, err := net.ListenPacket("udp4", address)
			if errs = append(errs, err); err == nil {
				open = append(open, l)
				running.Go(func() { answerDatagrams(l, h.Name) })
			}
		}
		return errors.Join(errs...)
	})
	stop = sync.OnceFunc(func() {
		cancel()
		for _, l := range open {
			_ = l.Close()
		}
		running.Wait()
	})
	h.lab.t.Cleanup(stop)
	if err != nil {
		h.lab.t.Fatalf("answer calls on %s: %v", h.Name, err)
	}
	return stop
}

func answerDatagrams(l net.PacketConn, name string) {
	var buf [32]byte
	for {
		_, from, err := l.ReadFrom(buf[:])
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_, _ = l.WriteTo([]byte(name), from)
		}
	}
}

func answerConnections(ctx context.Context, l net.Listener, name string, running *sync.WaitGroup) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		running.Go(func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			var buf [32]byte
			for {
				if _, err := conn.Read(buf[:]); err != nil {
					return
				}
				if _, err := conn.Write([]byte(name)); err != nil {
					return
				}
			}
		})
	}
}
