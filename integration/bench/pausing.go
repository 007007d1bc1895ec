// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A pausing is an HTTP server that can stand still. It answers one question on each connection.
type pausing struct {
	gate sync.RWMutex // a pause holds it

	mu    sync.Mutex
	asked chan struct{} // closed at the next question
}

const (
	pausingAnswer   = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"
	pausingQuestion = "GET / HTTP/1.1\r\nHost: " + probedHost + "\r\nConnection: close\r\n\r\n"
)

// startPausing starts a server on a host until the attempt's end.
func startPausing(t *lab.Attempt, h *lab.Host, address string) *pausing {
	s := &pausing{}
	var l net.Listener
	err := h.Do(func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		t.Fatalf("a server on %s: %v", h.Name, err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { s.answer(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		running.Wait()
	})
	return s
}

// answer answers the question on a connection.
func (s *pausing) answer(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	var in [1024]byte
	for n := 0; !bytes.Contains(in[:n], []byte("\r\n\r\n")); {
		more, err := conn.Read(in[n:])
		if err != nil {
			return // the client only connects
		}
		n += more
	}
	s.mu.Lock()
	if s.asked != nil {
		close(s.asked)
		s.asked = nil
	}
	s.mu.Unlock()
	s.gate.RLock()
	defer s.gate.RUnlock()
	_, _ = conn.Write([]byte(pausingAnswer))
}

// pauseOnce pauses some time after the next question, and then sends how long the pause was.
func (s *pausing) pauseOnce(after, length time.Duration) <-chan time.Duration {
	asked, paused := make(chan struct{}), make(chan time.Duration, 1)
	s.mu.Lock()
	s.asked = asked
	s.mu.Unlock()
	go func() {
		select {
		case <-asked:
		case <-time.After(time.Minute): // nobody asks: the client says why
			paused <- 0
			return
		}
		time.Sleep(after)
		s.gate.Lock()
		began := time.Now()
		time.Sleep(length - 2*time.Millisecond)
		for time.Since(began) < length { // a sleep alone is not exact
		}
		took := time.Since(began)
		s.gate.Unlock()
		paused <- took
	}()
	return paused
}

// askOnce asks a server on a new connection, and waits for the answer.
func askOnce(h *lab.Host, address string) error {
	var conn net.Conn
	err := h.Do(func() (err error) {
		conn, err = net.DialTimeout("tcp", address, 5*time.Second)
		return err
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write([]byte(pausingQuestion)); err != nil {
		return err
	}
	in := make([]byte, len(pausingAnswer))
	n, err := conn.Read(in)
	if err == nil && string(in[:n]) != pausingAnswer {
		err = fmt.Errorf("the answer is %q", in[:n])
	}
	return err
}

// bareQuestions asks at the cadence with nothing but the system calls that a question needs, and returns their processor time. It is
// what this machine's kernel takes for the connections, whoever asks.
func bareQuestions(h *lab.Host, address string, span time.Duration) (asked int, used time.Duration, err error) {
	to := netip.MustParseAddrPort(address)
	server := &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}
	err = h.Do(func() error {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
			return err
		}
		before, err := threadCPU()
		if err != nil {
			return err
		}
		in := make([]byte, 1024)
		due, end := now.Nano(), now.Nano()+int64(span)
		for ; due < end; due += int64(cadence) {
			next := unix.NsecToTimespec(due)
			for errors.Is(unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &next, nil), unix.EINTR) {
			}
			if err := bareQuestion(server, in); err != nil {
				return err
			}
			asked++
		}
		after, err := threadCPU()
		used = after - before
		return err
	})
	return asked, used, err
}

// bareQuestion connects, asks, reads the answer, and ends the connection as tandem probe does.
func bareQuestion(server unix.Sockaddr, in []byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return err
	}
	if err := unix.Connect(fd, server); err != nil {
		return err
	}
	if _, err := unix.Write(fd, []byte(pausingQuestion)); err != nil {
		return err
	}
	if n, err := unix.Read(fd, in); err != nil || n == 0 {
		return fmt.Errorf("no answer: %w", err)
	}
	return nil
}

// threadCPU returns the processor time of this thread.
func threadCPU() (time.Duration, error) {
	var used unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_THREAD, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()), err
}
