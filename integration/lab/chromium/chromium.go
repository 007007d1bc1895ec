// SPDX-License-Identifier: Apache-2.0

// Package chromium shows pages to a headless Chromium, Debian's, and asks what it made of them.
//
// It speaks the browser's DevTools protocol over two pipes: messages in JSON, each with a zero byte behind it.
package chromium

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A Browser is a Chromium that runs until the test ends.
type Browser struct {
	t   testing.TB
	in  *os.File
	log strings.Builder // after done
	cmd *exec.Cmd

	mu      sync.Mutex
	last    int // number of a command
	waiting map[int]chan message
	tabs    map[string]*Tab // by session
	ended   error           // why no more answers come; nil: they do
}

// A message is a command, its answer or an event.
type message struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// patience is how long the browser may take for anything. Its start on a busy machine takes longest.
const patience = time.Minute

// Start starts a browser. Where Chromium is not installed, it installs Debian's.
func Start(t testing.TB) *Browser {
	t.Helper()
	const program = "chromium"
	if err := lab.Install(t.Context(), program, program, "this test needs Chromium: install it (Debian: apt-get install chromium)"); err != nil {
		t.Fatal(err)
	}
	b := &Browser{t: t, waiting: make(map[int]chan message), tabs: make(map[string]*Tab)}
	theirIn, in := b.pipe()
	out, theirOut := b.pipe()
	home := t.TempDir()
	// As root it runs only without its sandbox. The pages are our own.
	b.cmd = exec.Command(program, "--headless", "--no-sandbox", "--remote-debugging-pipe", "--user-data-dir="+home, "--no-first-run",
		"--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--disable-extensions", "--no-proxy-server", "--hide-scrollbars", "--force-color-profile=srgb", "about:blank")
	b.cmd.Env = append(os.Environ(), "HOME="+home)
	b.cmd.Stderr = &b.log
	b.cmd.ExtraFiles = []*os.File{theirIn, theirOut} // descriptors 3 and 4
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	b.cmd.WaitDelay = 5 * time.Second
	if err := b.cmd.Start(); err != nil {
		t.Fatalf("failed to start Chromium: %v", err)
	}
	_, _ = theirIn.Close(), theirOut.Close()
	b.in = in
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.read(out)
	}()
	t.Cleanup(func() {
		b.mu.Lock()
		early := b.ended
		b.mu.Unlock()
		_ = in.Close() // it ends with its pipe
		ended := time.AfterFunc(5*time.Second, func() { _ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL) })
		_ = b.cmd.Wait() // its exit code says nothing
		ended.Stop()
		_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL) // processes that it left
		_ = out.Close()
		<-done
		if early != nil { // else what it says is about what a headless one cannot have, such as a message bus
			t.Errorf("%v; it says:\n%s", early, b.log.String())
		}
	})
	return b
}

func (b *Browser) pipe() (r, w *os.File) {
	r, w, err := os.Pipe()
	if err != nil {
		b.t.Fatal(err)
	}
	return r, w
}

// read takes what the browser sends.
func (b *Browser) read(out *os.File) {
	in := bufio.NewReader(out)
	for {
		text, err := in.ReadBytes(0)
		var m message
		if err == nil {
			err = json.Unmarshal(text[:len(text)-1], &m)
		}
		b.mu.Lock()
		if err != nil {
			b.ended = fmt.Errorf("failed to read what Chromium sends: %w", err)
			for id, answer := range b.waiting {
				close(answer)
				delete(b.waiting, id)
			}
			b.mu.Unlock()
			return
		}
		answer, tab := b.waiting[m.ID], b.tabs[m.Session]
		delete(b.waiting, m.ID)
		b.mu.Unlock()
		switch {
		case answer != nil:
			answer <- m // has room for it
		case tab != nil:
			tab.take(m)
		}
	}
}

// call gives a command, to a tab or to the browser itself, and waits for the answer. A failure ends the test.
func (b *Browser) call(session, method string, params, result any) {
	b.t.Helper()
	if err := b.try(session, method, params, result); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
}

func (b *Browser) try(session, method string, params, result any) error {
	text, err := json.Marshal(params)
	if err != nil {
		return err
	}
	answer := make(chan message, 1)
	b.mu.Lock()
	b.last++
	id, ended := b.last, b.ended
	b.waiting[id] = answer
	b.mu.Unlock()
	if ended != nil {
		return ended
	}
	if text, err = json.Marshal(message{ID: id, Session: session, Method: method, Params: text}); err != nil {
		return err
	}
	if _, err := b.in.Write(append(text, 0)); err != nil {
		return err
	}
	select {
	case m, ok := <-answer:
		switch {
		case !ok:
			return b.ended
		case m.Error != nil:
			return fmt.Errorf("refused by Chromium: %s", m.Error.Message)
		case result == nil:
			return nil
		}
		return json.Unmarshal(m.Result, result)
	case <-time.After(patience):
		return fmt.Errorf("no answer in %s", patience)
	}
}
