// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A pipe is the reading end of a pipe that can be left unread for a time.
type pipe struct {
	file *os.File

	mu     sync.Mutex
	read   chan struct{} // closed while the pipe is read
	unread chan struct{} // closed while the pipe is left unread
}

func newPipe(file *os.File) *pipe {
	p := &pipe{file: file, read: make(chan struct{}), unread: make(chan struct{})}
	close(p.read)
	return p
}

// leftUnread returns a channel that is closed as soon as the pipe is left unread.
func (p *pipe) leftUnread() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unread
}

// Read waits while the pipe is left unread.
func (p *pipe) Read(b []byte) (int, error) {
	for {
		p.mu.Lock()
		read := p.read
		p.mu.Unlock()
		<-read
		n, err := p.file.Read(b)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
	}
}

// LeaveUnread stops reading what the process and its children write, and fills their pipe, so that each further write to
// it waits. ReadAgain ends that; so does the end of the test.
func (p *Process) LeaveUnread() {
	t := p.host.lab.t
	t.Helper()
	p.pipe.mu.Lock()
	p.pipe.read = make(chan struct{})
	close(p.pipe.unread)
	err := p.pipe.file.SetReadDeadline(time.Now())
	p.pipe.mu.Unlock()
	if err == nil {
		err = fill(fmt.Sprintf("/proc/%d/fd/2", p.Pid()))
	}
	if err != nil {
		t.Fatalf("fill the pipe of %s on %s: %v", p.name, p.host.Name, err)
	}
	p.host.lab.Logf("%s: nobody reads what %s writes", p.host.Name, p.name)
	t.Cleanup(p.ReadAgain)
}

// ReadAgain reads what the process writes again.
func (p *Process) ReadAgain() {
	p.pipe.mu.Lock()
	defer p.pipe.mu.Unlock()
	select {
	case <-p.pipe.read:
	default:
		_ = p.pipe.file.SetReadDeadline(time.Time{})
		p.pipe.unread = make(chan struct{})
		close(p.pipe.read)
	}
}

// fill writes to a pipe until it is full. It opens the pipe anew, because O_NONBLOCK would hold for all processes that share
// a descriptor.
func fill(path string) error {
	w, err := unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(w)
	// The smallest pipe holds one page. The call fails if the pipe holds more already.
	_, _ = unix.FcntlInt(uintptr(w), unix.F_SETPIPE_SZ, os.Getpagesize())
	line := []byte(strings.Repeat(".", 1023) + "\n")
	for len(line) > 0 {
		switch _, err := unix.Write(w, line); {
		case errors.Is(err, unix.EAGAIN):
			line = line[:len(line)/2] // fill also what is left of the last page
		case err != nil:
			return err
		}
	}
	return nil
}
