// SPDX-License-Identifier: Apache-2.0

package top

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/screen"
)

// Options connect the display with the world.
type Options struct {
	// Terminal is opened for this alone, for reading and writing: it must support deadlines.
	Terminal *os.File
	Resized  <-chan os.Signal // SIGWINCH
	Interval time.Duration    // between two questions
	Colour   bool
	Ask      func(context.Context) (api.Status, error)
	Do       func(context.Context, Order) error
}

// ErrNoTerminal says that the display needs a terminal.
var ErrNoTerminal = errors.New("this is not a terminal")

// The sequences of the terminal: its second screen without a cursor, and back.
const (
	enter = "\x1b[?1049h\x1b[?25l\x1b[2J"
	leave = "\x1b[0m\x1b[?25h\x1b[?1049l"
)

// Run shows the director until the user quits or ctx ends. However it ends, the terminal is as before.
func Run(ctx context.Context, o Options) (err error) {
	raw, err := o.Terminal.SyscallConn()
	if err != nil {
		return err
	}
	var fd int
	if err := raw.Control(func(d uintptr) { fd = int(d) }); err != nil { // not Fd, which makes the file blocking
		return err
	}
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return ErrNoTerminal
	}
	restore := sync.OnceFunc(func() {
		_ = o.Terminal.SetWriteDeadline(time.Now().Add(time.Second)) // a terminal that hangs must not keep the program
		_, _ = o.Terminal.WriteString(leave)
		_ = unix.IoctlSetTermios(fd, unix.TCSETS, before)
	})
	defer restore() // also after a panic of the loop
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, unseen(*before)); err != nil {
		return fmt.Errorf("failed to set up the terminal: %w", err)
	}
	if _, err := o.Terminal.WriteString(enter); err != nil {
		return fmt.Errorf("failed to write to the terminal: %w", err)
	}
	return o.loop(ctx, fd, restore)
}

// unseen returns settings with which each key arrives at once and is not shown, see cfmakeraw(3).
func unseen(t unix.Termios) *unix.Termios {
	t.Iflag &^= unix.BRKINT | unix.ICRNL | unix.INPCK | unix.ISTRIP | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.IEXTEN | unix.ISIG
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return &t
}

// loop updates the model and shows it.
func (o Options) loop(ctx context.Context, fd int, restore func()) error {
	ctx, cancel := context.WithCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	messages := make(chan any, 16)
	spawn := func(run func() error) { g.Go(guarded(restore, run)) }
	spawn(func() error { return o.readKeys(ctx, messages) })
	spawn(func() error { return o.poll(ctx, messages) })
	m, _ := Update(Model{}, size(fd))
	var shown frame
	for quit := false; !quit; {
		now := Render(m, time.Now())
		if _, err := o.Terminal.Write(shown.next(now, o.Colour)); err != nil {
			cancel()
			break
		}
		var command Command
		select {
		case <-ctx.Done():
			quit = true
		case <-o.Resized:
			m, command = Update(m, size(fd))
			shown = frame{}
		case message := <-messages:
			m, command = Update(m, message)
		}
		if order := command.Order; order != nil {
			spawn(func() error {
				return send(ctx, messages, Done{*order, o.Do(ctx, *order)})
			})
		}
		quit = quit || command.Quit
	}
	cancel()
	_ = o.Terminal.SetReadDeadline(time.Now())
	return g.Wait()
}

// guarded restores the terminal before a panic ends the process.
func guarded(restore func(), run func() error) func() error {
	return func() error {
		defer func() {
			if p := recover(); p != nil {
				restore()
				panic(p)
			}
		}()
		return run()
	}
}

// readKeys sends the keys until ctx ends.
func (o Options) readKeys(ctx context.Context, messages chan<- any) error {
	text := make([]byte, 256)
	for {
		n, err := o.Terminal.Read(text)
		for _, k := range keysIn(text[:n]) {
			if send(ctx, messages, k) != nil || ctx.Err() != nil {
				return nil
			}
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("the terminal has gone: %w", err)
		}
	}
}

// poll asks the director, again and again. After an order has ended it does not hurry: the next answer comes soon.
func (o Options) poll(ctx context.Context, messages chan<- any) error {
	tick := time.NewTicker(o.Interval)
	defer tick.Stop()
	for {
		var message any
		s, err := o.Ask(ctx)
		if message = (Status{s, time.Now()}); err != nil {
			message = Failure{err}
		}
		if err := send(ctx, messages, message); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// send sends a message, unless ctx ends.
func send(ctx context.Context, messages chan<- any, message any) error {
	select {
	case messages <- message:
	case <-ctx.Done():
	}
	return nil
}

// size returns the size of the terminal. A terminal that does not tell has 80 × 24.
func size(fd int) Size {
	is, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	if err != nil || is.Col == 0 || is.Row == 0 {
		return Size{80, 24}
	}
	return Size{int(is.Col), int(is.Row)}
}

// A frame is what the terminal shows.
type frame struct{ lines []string }

// next returns what changes the terminal from this frame to the next one, and becomes that one. Only lines that differ are
// written, in one piece and as one update (mode 2026), so that nothing flickers.
func (f *frame) next(lines []screen.Line, colour bool) []byte {
	out := []byte("\x1b[?2026h")
	begun := len(out)
	now := make([]string, len(lines))
	for i, l := range lines {
		now[i] = paint(l, colour)
		if i >= len(f.lines) || f.lines[i] != now[i] {
			out = fmt.Appendf(out, "\x1b[%d;1H%s\x1b[K", i+1, now[i])
		}
	}
	if f.lines == nil {
		out = append(out, "\x1b[J"...)
	}
	f.lines = now
	if len(out) == begun {
		return nil
	}
	return append(out, "\x1b[?2026l"...)
}

// paint renders a line. Without colour, what is bold or reversed stays: the cursor would not be seen otherwise.
func paint(l screen.Line, colour bool) string {
	if !colour {
		plain := make(screen.Line, len(l))
		for i, s := range l {
			if plain[i] = s; s.Style != screen.Bold && s.Style != screen.Reverse {
				plain[i].Style = screen.Plain
			}
		}
		l = plain
	}
	return l.Render(true)
}
