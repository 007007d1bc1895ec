// SPDX-License-Identifier: Apache-2.0

package top

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// A pty is a terminal whose user is the test.
type pty struct {
	t        *testing.T
	user     *os.File
	terminal *os.File
	mu       sync.Mutex
	screen   bytes.Buffer
}

func openPTY(t *testing.T) *pty {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := user.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var number int
	if controlErr := raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}); err != nil || controlErr != nil {
		t.Fatal(err, controlErr)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &pty{t: t, user: user, terminal: terminal}
	p.resize(80, 24)
	read := make(chan struct{})
	go func() {
		defer close(read)
		text := make([]byte, 4096)
		for {
			n, err := user.Read(text)
			p.mu.Lock()
			p.screen.Write(text[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = terminal.Close()
		_ = user.SetReadDeadline(time.Now())
		<-read
		_ = user.Close()
	})
	return p
}

func (p *pty) resize(width, height uint16) {
	p.control(func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height})
	})
}

func (p *pty) control(do func(fd int) error) {
	p.t.Helper()
	raw, err := p.terminal.SyscallConn()
	if err == nil {
		err = errors.Join(raw.Control(func(fd uintptr) { err = do(int(fd)) }), err)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *pty) settings() (s unix.Termios) {
	p.t.Helper()
	p.control(func(fd int) error {
		is, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			s = *is
		}
		return err
	})
	return s
}

// await waits until the terminal was sent a text, and forgets what came before.
func (p *pty) await(text string) {
	p.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		i := strings.Index(p.screen.String(), text)
		if i >= 0 {
			p.screen.Next(i + len(text))
		}
		shown := p.screen.String()
		p.mu.Unlock()
		if i >= 0 {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("the terminal was not sent %q, but %q", text, shown)
		}
	}
}

func (p *pty) press(keys string) {
	p.t.Helper()
	if _, err := p.user.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// TestTheTerminalIsRestored: however the display ends, the settings are as before, the cursor is there, and the first screen is.
func TestTheTerminalIsRestored(t *testing.T) {
	for name, end := range map[string]func(p *pty, cancel func()){
		"q":             func(p *pty, _ func()) { p.press("q") },
		"Ctrl-C":        func(p *pty, _ func()) { p.press("\x03") },
		"a signal":      func(_ *pty, cancel func()) { cancel() },
		"while it asks": func(p *pty, _ func()) { p.press("\td"); p.await("y/n"); p.press("\x03") },
	} {
		t.Run(name, func(t *testing.T) {
			p := openPTY(t)
			before := p.settings()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				ended <- Run(ctx, Options{
					Terminal: p.terminal, Interval: 10 * time.Millisecond, Colour: true,
					Ask: func(context.Context) (api.Status, error) { return pair(0).Status, nil },
				})
			}()
			p.await("master of 1 of 3 routers")
			if now := p.settings(); now.Lflag&unix.ECHO != 0 || now == before {
				t.Error("keys are shown while it runs")
			}
			end(p, cancel)
			if err := <-ended; err != nil {
				t.Errorf("it ended with %v", err)
			}
			if now := p.settings(); now != before {
				t.Errorf("the settings are %+v, were %+v", now, before)
			}
			p.await(leave)
		})
	}
}

// TestAPanicRestoresTheTerminal: before the panic ends the process.
func TestAPanicRestoresTheTerminal(t *testing.T) {
	restored := false
	defer func() {
		if p := recover(); p != "as it is" || !restored {
			t.Errorf("panic %v, restored %t", p, restored)
		}
	}()
	_ = guarded(func() { restored = true }, func() error { panic("as it is") })()
}

// TestAnOrderGoesToTheDirector, and the terminal's new size is used.
func TestAnOrderGoesToTheDirector(t *testing.T) {
	p := openPTY(t)
	resized := make(chan os.Signal, 1)
	ordered := make(chan Order, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- Run(t.Context(), Options{
			Terminal: p.terminal, Interval: time.Hour, Resized: resized,
			Ask: func(context.Context) (api.Status, error) { return pair(0).Status, nil },
			Do: func(_ context.Context, o Order) error {
				ordered <- o
				return errors.New("not today")
			},
		})
	}()
	p.await("lb1")
	p.press("\td")
	p.await("Drain www/192.0.2.11:80?")
	p.press("y")
	if o := <-ordered; o != (Order{Drain, "www/192.0.2.11:80"}) {
		t.Errorf("ordered %+v", o)
	}
	p.await("not today")
	p.resize(40, 10)
	resized <- syscall.SIGWINCH
	p.await("\x1b[10;1H")
	p.press("q")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestWithoutATerminal(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if err := Run(t.Context(), Options{Terminal: r}); !errors.Is(err, ErrNoTerminal) {
		t.Errorf("got %v", err)
	}
}
