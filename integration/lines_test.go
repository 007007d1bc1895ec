// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// linesPort is the port where the real servers send their name and then repeat each line that they receive.
const linesPort = "2000"

// bySourceAndPort are keys of a service with which both directors choose the same server for a connection.
const bySourceAndPort = "scheduler = \"sh\"\nscheduler_flags = [\"sh-port\"]"

// patient are settings of a pair that does not fail over when an emulated machine stalls.
var patient = lab.PairSettings{Advert: 300 * time.Millisecond}

// lined returns a director's configuration with connection sync and a service for lines. Its servers have the weights given;
// more are further keys of the service.
func lined(name string, priority int, more string, weights ...int) string {
	var b strings.Builder
	b.WriteString(patient.Config(name, priority))
	fmt.Fprintf(&b, "\n[lvs]\nsync = { interface = \"eth0\", id = 51 }\nsysctl = { sloppy_tcp = 1 }\n\n")
	fmt.Fprintf(&b, "[[service]]\nname = \"lines\"\nvirtual = \"%s:%s\"\n%s\n", vip, linesPort, more)
	for i, w := range weights {
		fmt.Fprintf(&b, "  [[service.server]]\n  address = \"192.0.2.%d\"\n  weight = %d\n", 11+i, w)
	}
	return b.String()
}

// newLinedPair makes a pair with the service and starts it.
func newLinedPair(t *testing.T, more string) *lab.Pair {
	t.Helper()
	p := lab.NewPair(t, patient)
	for _, web := range p.Webs {
		serveLines(t, web)
	}
	p.A.Configure(lined(p.A.Name, lab.PriorityA, more, 1, 1))
	p.B.Configure(lined(p.B.Name, lab.PriorityB, more, 1, 1))
	p.Launch()
	return p
}

// serveLines serves until the test ends.
func serveLines(t *testing.T, h *lab.Host) {
	t.Helper()
	var listener net.Listener
	err := h.Do(func() (err error) {
		listener, err = net.Listen("tcp", "[::]:"+linesPort)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
				fmt.Fprintln(conn, h.Name)
				in := bufio.NewScanner(conn)
				for in.Scan() {
					if _, err := fmt.Fprintln(conn, in.Text()); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = listener.Close()
		open.Wait()
	})
}

// A line is a connection from the client to one of the servers.
type line struct {
	conn   net.Conn
	in     *bufio.Reader
	server string // its name
}

// lineLimit is the maximum time of an answer. TCP itself waits longer.
const lineLimit = 30 * time.Second

func dialLine(h *lab.Host) (*line, error) { return dialLineAt(h, vip+":"+linesPort) }

func dialLineAt(h *lab.Host, address string) (*line, error) {
	l := &line{}
	err := h.Do(func() (err error) {
		l.conn, err = net.DialTimeout("tcp", address, lab.RequestLimit)
		return err
	})
	if err != nil {
		return nil, err
	}
	l.in = bufio.NewReader(l.conn)
	if l.server, err = l.read(); err != nil {
		return nil, errors.Join(err, l.conn.Close())
	}
	return l, nil
}

func (l *line) read() (string, error) {
	if err := l.conn.SetReadDeadline(time.Now().Add(lineLimit)); err != nil {
		return "", err
	}
	text, err := l.in.ReadString('\n')
	return strings.TrimSuffix(text, "\n"), err
}

// ask sends a line and waits until it comes back.
func (l *line) ask(text string) error {
	if _, err := fmt.Fprintln(l.conn, text); err != nil {
		return err
	}
	got, err := l.read()
	if err == nil && got != text {
		err = fmt.Errorf("got %q back, want %q", got, text)
	}
	return err
}

// openLines opens connections until the test ends.
func openLines(t *testing.T, h *lab.Host, n int) []*line {
	t.Helper()
	all := make([]*line, n)
	for i := range all {
		var err error
		if all[i], err = dialLine(h); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		t.Cleanup(func() { _ = all[i].conn.Close() })
	}
	return all
}

// A talk exchanges lines over many connections at once.
type talk struct {
	stop  chan struct{}
	group sync.WaitGroup

	mu      sync.Mutex
	rounds  []int // by line, in this phase
	longest time.Duration
	failed  []error
}

// converse asks over each line at an interval.
func converse(t *testing.T, lines []*line, every time.Duration) *talk {
	k := &talk{stop: make(chan struct{}), rounds: make([]int, len(lines))}
	for i, l := range lines {
		k.group.Go(func() {
			tick := time.NewTicker(every)
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-k.stop:
					return
				case <-tick.C:
				}
				asked := time.Now()
				err := l.ask(fmt.Sprintf("line %d says %d", i, n))
				k.mu.Lock()
				k.rounds[i]++
				k.longest = max(k.longest, time.Since(asked))
				if err != nil {
					k.failed = append(k.failed, fmt.Errorf("line %d to %s: %w", i, l.server, err))
				}
				k.mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	t.Cleanup(func() { k.end() })
	return k
}

func (k *talk) end() {
	select {
	case <-k.stop:
	default:
		close(k.stop)
	}
	k.group.Wait()
}

// phase resets the counts.
func (k *talk) phase() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.rounds)
	k.longest = 0
}

// goesOn waits until every line has had some rounds in this phase, and returns the longest.
func (k *talk) goesOn(t *testing.T, l *lab.Lab, what string, rounds int) time.Duration {
	t.Helper()
	l.Eventually(lineLimit, what+": every connection goes on", func() error {
		k.mu.Lock()
		defer k.mu.Unlock()
		if len(k.failed) > 0 {
			return nil
		}
		for i, n := range k.rounds {
			if n < rounds {
				return fmt.Errorf("line %d has had %d rounds", i, n)
			}
		}
		return nil
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, err := range k.failed {
		t.Errorf("%s: %v", what, err)
	}
	return k.longest
}

// established counts the connections of the service that a director's kernel knows, its own and its peer's.
func established(d *lab.Director) (n int, err error) { return inState(d, "ESTABLISHED") }

func inState(d *lab.Director, state string) (n int, err error) {
	err = d.Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/ip_vs_conn")
		for row := range strings.Lines(string(text)) {
			if strings.Contains(row, " C0000264 07D0 ") && strings.Contains(row, state) {
				n++
			}
		}
		return err
	})
	return n, err
}

// tandem runs a command of tandem for a director. If it fails, the test ends.
func tandem(t *testing.T, d *lab.Director, command string, args ...string) string {
	t.Helper()
	out, err := d.TryRun(lab.Tandem.Path(), append([]string{command, "--socket", d.Socket}, args...)...)
	if err != nil {
		t.Fatalf("tandem %s on %s: %v\n%s", command, d.Name, err, out)
	}
	return strings.TrimSpace(out)
}
