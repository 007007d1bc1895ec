// SPDX-License-Identifier: Apache-2.0

package election

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A fakeConn sends without waiting.
type fakeConn struct{ bytes.Buffer }

func (c *fakeConn) TrySend(b []byte) error { _, err := c.Write(b); return err }

// Signs of life come often enough whatever a loop does, and soon they come after its advertisements.
func TestSignsOfLifeInPassing(t *testing.T) {
	for _, tt := range []struct{ interval, advert, phase time.Duration }{
		{time.Second, time.Second, 0},
		{time.Second, time.Second, 180 * time.Millisecond},
		{time.Second, time.Second, 950 * time.Millisecond},
		{600 * time.Millisecond, 800 * time.Millisecond, 0},
		{100 * time.Millisecond, 10 * time.Millisecond, 0},
		{time.Second, time.Hour, 0}, // an interface without a carrier
	} {
		conn := &fakeConn{}
		p := newPulse(conn)
		now := time.Duration(0)
		p.now = func() time.Duration { return now }
		p.interval.Store(int64(tt.interval))
		if p.beating() {
			t.Error("it says that a loop sends signs of life before there is one")
		}
		var last, longest time.Duration
		turns, apart := 0, 0
		advert, due := tt.phase, time.Duration(0)
		for now < 100*tt.interval {
			before := conn.Len()
			due = now + p.inPassing()
			if conn.Len() > before {
				longest, last = max(longest, now-last), now
			}
			if !p.beating() {
				t.Errorf("%+v: at %s it says that no loop sends signs of life", tt, now)
			}
			for advert <= now {
				advert += tt.advert
			}
			if now = min(advert, due); now > 50*tt.interval {
				turns++
				if now != advert {
					apart++
				}
			}
		}
		if limit := tt.interval + tt.interval/20; longest > limit {
			t.Errorf("%+v: no sign of life for %s, want %s at most", tt, longest, limit)
		}
		if n, most := conn.Len(), 112; n > most {
			t.Errorf("%+v: %d signs of life in 100 intervals", tt, n)
		}
		if tt.advert == tt.interval && apart > 0 {
			t.Errorf("%+v: %d of %d turns have no advertisement", tt, apart, turns)
		}
		p.loopEnded()
		if p.beating() {
			t.Error("it says that a loop sends signs of life after its end")
		}
	}
}

// A sign of life does not get into a report, and does not wait for one that nobody reads.
func TestSignOfLifeBesideAReport(t *testing.T) {
	conn := &fakeConn{}
	p := newPulse(conn)
	p.mu.Lock() // as while a report is sent
	p.inPassing()
	p.mu.Unlock()
	if conn.Len() > 0 {
		t.Errorf("%q was sent into a report", conn.String())
	}
}

// The end of the work frees the reader and the writer, and the director does not notice it.
func TestDirectorSocketCloses(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	timeout := unix.NsecToTimeval(int64(closeTimeout))
	if err := unix.SetsockoptTimeval(fds[0], unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout); err != nil {
		t.Fatal(err)
	}
	s := &directorSocket{fd: fds[0]}
	ended := make(chan error, 2)
	go func() {
		_, err := s.Read(make([]byte, 10))
		ended <- err
	}()
	go func() {
		_, err := s.Write(make([]byte, 10<<20)) // nobody reads so much
		ended <- err
	}()
	full := func() bool { return errors.Is(s.TrySend(signOfLife), unix.EAGAIN) }
	for end := time.Now().Add(10 * time.Second); !full(); {
		if time.Now().After(end) {
			t.Fatal("the socket does not fill up")
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		select {
		case err := <-ended:
			if err == nil {
				t.Error("no error")
			}
		case <-time.After(10 * time.Second):
			t.Fatal("a reader or a writer was not freed")
		}
	}
	b := make([]byte, 1<<20)
	for {
		n, err := unix.Read(fds[1], b)
		if err != nil || n == 0 {
			t.Fatalf("the director sees the end: %d, %v", n, err)
		}
		if fd := (unix.PollFd{Fd: int32(fds[1]), Events: unix.POLLIN}); len(b) > n {
			if ready, err := unix.Poll([]unix.PollFd{fd}, 0); err == nil && ready == 0 {
				return
			}
		}
	}
}
