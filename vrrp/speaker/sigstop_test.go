// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/internal/nstest"
	"github.com/tandem-lvs/tandem/vrrp/link"
)

// electionEnv makes a process of this test binary an election at priority 150.
const electionEnv = "VRRP_TEST_ELECTION"

// atOnce is the number of tests that run at the same time. They wait for most of their time, each in namespaces of its own.
const atOnce = "6"

func TestMain(m *testing.M) {
	if os.Getenv(electionEnv) != "" {
		runElection()
	}
	// The command line is read later, and takes precedence.
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// runElection runs until the parent kills this process. It writes each status to standard output and its log to standard
// error. Every thread here is in the network namespace of the thread that started the process.
func runElection() {
	out := json.NewEncoder(os.Stdout)
	l := New("eth0", Options{
		Log:    hclog.New(&hclog.LoggerOptions{Output: os.Stderr}),
		Notify: func(s vrrp.Status) { _ = out.Encode(s) },
	})
	l.Configure([]vrrp.Config{fastConfig(51, 150)})
	w := link.NewWatcher(hclog.NewNullLogger(), l.SetLink)
	w.Watch([]string{"eth0"})
	go func() { _ = w.Run(context.Background()) }()
	fmt.Fprintln(os.Stderr, l.Run(context.Background()))
	os.Exit(1)
}

// TestSIGSTOP stops the process of a master for longer than its peer waits, and continues it.
func TestSIGSTOP(t *testing.T) {
	t.Parallel()
	nstest.Undisturbed(t, func(t testing.TB) {
		s := newBridge(t)
		host := s.plug("192.0.2.1") // a machine whose own loop has nothing to do
		statuses, stderr, process := startElection(t, host)
		next := func(what string, ok func(vrrp.Status) bool) vrrp.Status {
			t.Helper()
			for timeout := time.After(15 * time.Second); ; {
				select {
				case s := <-statuses:
					if ok(s) {
						return s
					}
				case <-timeout:
					t.Fatalf("not within 15 s: %s", what)
				}
			}
		}
		isMaster := func(s vrrp.Status) bool { return s.State == vrrp.Master }
		next("master", isMaster)
		b := s.plug("192.0.2.2", fastConfig(51, 100))
		b.await(51, "backup of a", func(s vrrp.Status) bool { return s.Master == addrA })
		if strings.Contains(stderr(), "advertisement is late") {
			nstest.Again(t, "it was late before, and says so once a minute")
		}
		if err := process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		b.awaitState(51, vrrp.Master)
		sent := b.counters(51).AdvertsSent
		nstest.Eventually(t, "b is master for a while", func() bool { return b.counters(51).AdvertsSent > sent+5 })
		received := b.counters(51).AdvertsReceived
		if err := process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		got := next("a stands back", func(s vrrp.Status) bool { return s.State != vrrp.Master })
		if got.State != vrrp.Backup || got.Holding || got.Reason != "192.0.2.2 took over while this router stood still" {
			t.Errorf("a: %+v", got)
		}
		took := next("a preempts", isMaster)
		if waited := took.Since.Sub(got.Since); waited < 250*time.Millisecond {
			t.Errorf("a preempted after %s", waited)
		}
		b.awaitState(51, vrrp.Backup)
		if c := b.counters(51); c.BecameMaster != 1 || c.AdvertsReceived < received+1 {
			t.Errorf("b: %+v", c)
		}
		nstest.Eventually(t, "it says why it was late", func() bool {
			return strings.Contains(stderr(), `advertisement is late: router="router 51" vrid=51`) &&
				strings.Contains(stderr(), `cause="was stopped, or the whole machine was, for `)
		})
	})
}

// startElection starts an election process on the host p.
func startElection(t testing.TB, p *peer) (statuses <-chan vrrp.Status, stderr func() string, process *os.Process) {
	t.Helper()
	var mu sync.Mutex
	var log bytes.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), electionEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = writerFunc(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(b)
	})
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	started, all := make(chan error), make(chan vrrp.Status, 1000)
	ended := make(chan struct{})
	go p.ns.Do(func() {
		defer close(ended)
		started <- cmd.Start()
		<-ctx.Done() // the process dies with the thread that started it
		_ = cmd.Wait()
	})
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for in := json.NewDecoder(out); ; {
			var s vrrp.Status
			if in.Decode(&s) != nil {
				return
			}
			all <- s
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-read
		<-ended
	})
	return all, func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.TrimSpace(log.String())
	}, cmd.Process
}

type writerFunc func([]byte) (int, error)

// Write implements io.Writer.
func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
