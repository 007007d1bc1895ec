// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestRestartUnderLoad: the master is restarted, and reloaded with one changed weight, under 200 requests a second, each
// on a connection of its own. None fails, not even one in flight, connections that were there before go on, and the
// writes to the kernel's table are those of the one weight.
func TestRestartUnderLoad(t *testing.T) {
	p := newLinedPair(t, bySourceAndPort)
	talk := converse(t, openLines(t, p.Client, 20), 250*time.Millisecond)
	talk.goesOn(t, p.Lab, "at first", 4)
	tap := p.A.TapNetlink()
	load := hammer(t, p.Client)

	p.A.Process().Signal(syscall.SIGTERM)
	if code := p.A.Process().Wait(15 * time.Second); code != 0 {
		t.Errorf("tandem run ended with code %d, want 0", code)
	}
	p.A.Launch()
	p.AwaitMaster(p.A)
	talk.phase()
	talk.goesOn(t, p.Lab, "after the restart", 2)
	if got := tableWrites(tap); len(got) > 0 {
		t.Errorf("a restart wrote %v, want nothing", got)
	}

	p.A.Configure(lined(p.A.Name, lab.PriorityA, bySourceAndPort, 3, 1))
	reload(t, p)
	p.Eventually(5*time.Second, "the weight is set", func() error {
		if !strings.Contains(p.A.Table(), "  -> 192.0.2.11:2000 Route 3\n") {
			return errors.New(p.A.Table())
		}
		return nil
	})
	talk.phase()
	talk.goesOn(t, p.Lab, "after the reload", 2)
	if got, want := tableWrites(tap), []string{"IPVS command 6"}; !slices.Equal(got, want) {
		t.Errorf("a reload with one changed weight wrote %v, want %v", got, want)
	}
	sent, took := load.end()
	p.Logf("%d requests in %s, %.0f a second, all answered unless said otherwise; 20 connections went on",
		sent, took.Round(time.Millisecond), float64(sent)/took.Seconds())
	for _, err := range load.failed {
		t.Errorf("a request failed: %v", err)
	}
}

// tableWrites are the writes to the kernel's IPVS so far.
func tableWrites(tap *lab.Tap) []string {
	return slices.DeleteFunc(tap.Writes(), func(w string) bool { return !strings.HasPrefix(w, "IPVS") })
}

// A hammering sends requests at a steady rate.
type hammering struct {
	stop  chan struct{}
	open  chan struct{} // holds a token for each request under way
	group sync.WaitGroup
	begun time.Time

	mu     sync.Mutex
	sent   int
	failed []error
}

// mostOpen is the number of requests under way from which on no more are begun: the machine is behind.
const mostOpen = 50

// hammer sends 200 requests a second, as far as the machine lets it, until the test ends.
func hammer(t *testing.T, h *lab.Host) *hammering {
	m := &hammering{stop: make(chan struct{}), open: make(chan struct{}, mostOpen), begun: time.Now()}
	m.group.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-m.stop:
				return
			case <-tick.C:
			}
			select {
			case <-m.stop:
				return
			case m.open <- struct{}{}:
			}
			m.group.Go(func() {
				err := request(h)
				<-m.open
				m.mu.Lock()
				defer m.mu.Unlock()
				if m.sent++; err != nil {
					m.failed = append(m.failed, err)
				}
			})
		}
	})
	t.Cleanup(func() { m.end() })
	return m
}

// request asks once on a connection of its own.
func request(h *lab.Host) error {
	l, err := dialLine(h)
	if err != nil {
		return err
	}
	return errors.Join(l.ask("a request"), l.conn.Close())
}

// end waits for the open requests.
func (m *hammering) end() (sent int, took time.Duration) {
	select {
	case <-m.stop:
	default:
		close(m.stop)
	}
	m.group.Wait()
	return m.sent, time.Since(m.begun)
}

// reset ends a connection by RST, which the kernel forgets soon; it remembers a close for two minutes.
func reset(l *line) error {
	return errors.Join(l.conn.(*net.TCPConn).SetLinger(0), l.conn.Close())
}
