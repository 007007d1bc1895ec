// SPDX-License-Identifier: Apache-2.0

package election

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// When the work ends, the reader and the writer end, and the director does not notice it.
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
	full := func() bool { return errors.Is(unix.Send(fds[0], []byte("x"), unix.MSG_DONTWAIT), unix.EAGAIN) }
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
