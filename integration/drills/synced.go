// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// every is the time between two questions on a connection. The kernel copies a connection again after a number of its packets.
const every = time.Second

// A talk is connections of the client that exchange data.
type talk struct {
	all  []net.Conn
	stop chan struct{}
	done sync.WaitGroup

	mu     sync.Mutex
	broken []error
	rounds []int
}

// hold opens connections, which exchange data until the row ends.
func (s *site) hold(n int) *talk {
	k := &talk{stop: make(chan struct{}), rounds: make([]int, n)}
	s.t.Cleanup(func() {
		close(k.stop)
		for _, conn := range k.all {
			_ = conn.Close()
		}
		k.done.Wait()
	})
	for i := range n {
		var conn net.Conn
		if err := s.client.Do(func() (err error) { conn, err = net.DialTimeout("tcp", service, 10*time.Second); return err }); err != nil {
			s.t.Fatalf("connection %d: %v", i, err)
		}
		k.all = append(k.all, conn)
	}
	for i, conn := range k.all {
		k.done.Go(func() { k.converse(i, conn, every*time.Duration(i)/time.Duration(n)) })
	}
	s.Eventually(20*time.Second, "all connections exchange data", func() error { return k.talked(2) })
	return k
}

// talked returns an error while a connection that lives has had fewer rounds.
func (k *talk) talked(rounds int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, n := range k.rounds {
		if n >= 0 && n < rounds {
			return fmt.Errorf("connection %d has had %d rounds", i, n)
		}
	}
	return nil
}

// again counts the rounds anew.
func (k *talk) again() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, n := range k.rounds {
		k.rounds[i] = min(n, 0)
	}
}

// converse asks on a connection until it breaks.
func (k *talk) converse(i int, conn net.Conn, wait time.Duration) {
	in := bufio.NewScanner(conn)
	for {
		select {
		case <-k.stop:
			return
		case <-time.After(wait):
		}
		wait = every
		_, err := fmt.Fprintln(conn, "hello")
		if err == nil && !in.Scan() {
			if err = in.Err(); err == nil {
				err = errors.New("closed")
			}
		}
		k.mu.Lock()
		if k.rounds[i]++; err != nil {
			k.rounds[i], k.broken = -1, append(k.broken, err)
		}
		k.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// live is how many connections live, and resets how many were reset.
func (k *talk) live() (live, resets int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, err := range k.broken {
		if errors.Is(err, syscall.ECONNRESET) {
			resets++
		}
	}
	return len(k.rounds) - len(k.broken), resets
}

// synced are keys of the virtual router: a director that comes back takes over when it has the connections.
const synced = "preempt = \"synced\""

// A loss is what makes the master lose the VIP, and what ends it.
type loss struct {
	name       string
	keeps      bool // its kernel keeps the connections meanwhile: none may end, whatever preempt is
	begin, end func(*site)
}

var losses = []loss{
	{"power", false, (*site).powerOff, func(s *site) { s.a.Plug(); s.launch(s.a) }},
	{"cable", true, func(s *site) { s.a.Cut() }, func(s *site) { s.a.Plug() }},
	{"silent switch", true, func(s *site) { s.a.Isolate() }, func(s *site) { s.a.Rejoin() }},
}

func syncedPart() part {
	p := part{
		name: "synced",
		title: fmt.Sprintf("The master loses its power, its cable, or all frames on it, for %s, and comes back. %d connections exchange data "+
			"each %s. With preempt = \"synced\" it becomes master when it has the connections. With preempt = true it becomes master at "+
			"once: it still has those that its kernel has kept.", away, connections, every),
		heading: []string{"loss and preempt", "live connections", "resets", "known to director-a when it took over", "master again after"},
	}
	for _, l := range losses {
		for _, key := range []string{synced, "preempt = true"} {
			p.rows = append(p.rows, row{l.name + ", " + key, func(t *lab.Attempt) []string { return l.comesBack(t, key) }})
		}
	}
	return p
}

// away is so long that the checks of director-a fail without its cable.
const away = 6 * time.Second

// comesBack has director-a lose the VIP and come back, with a value of preempt.
func (l loss) comesBack(t *lab.Attempt, key string) []string {
	s := newSite(t, lab.Tandem, key)
	k := s.hold(connections)
	s.awaitCopies()
	l.begin(s)
	s.Eventually(30*time.Second, "director-b is master", func() error { return has(s.b) })
	time.Sleep(away)
	k.again()
	s.Eventually(60*time.Second, "the connections go on", func() error { return k.talked(3) })
	if live, _ := k.live(); live != connections {
		t.Errorf("%d of %d connections live without director-a", live, connections)
	}
	l.end(s)
	began := time.Now()
	s.Eventually(2*time.Minute, "director-a is master again, alone", func() error {
		if s.b.Has(lab.VIP) {
			return errors.New("director-b is master")
		}
		return has(s.a)
	})
	took, known := time.Since(began), s.a.Connections()
	k.again()
	s.Eventually(60*time.Second, "the connections go on, or break", func() error { return k.talked(3) })
	live, resets := k.live()
	if (l.keeps || key == synced) && live != connections {
		t.Errorf("%d of %d connections live", live, connections)
	}
	s.Logf("%s", strings.TrimSpace(s.a.Run(s.a.Program(), "history", "--socket", s.a.Socket)))
	return []string{fmt.Sprintf("%d of %d", live, connections), fmt.Sprint(resets), fmt.Sprint(known), fmt.Sprintf("%.1f s", took.Seconds())}
}

// awaitCopies waits until the other director has the connections.
func (s *site) awaitCopies() {
	s.Eventually(20*time.Second, "director-b knows the connections", func() error {
		if n := s.b.Connections(); n < connections {
			return fmt.Errorf("it knows %d", n)
		}
		return nil
	})
}

func has(d *lab.Director) error {
	if !d.Has(lab.VIP) {
		return errors.New("it is not")
	}
	return nil
}

// powerOff ends director-a as a power cut does: nothing sends a last packet, and the kernel forgets everything.
func (s *site) powerOff() {
	s.a.Cut()
	s.Eventually(10*time.Second, "nothing runs on director-a", func() error {
		for _, pid := range s.a.Pids() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if left := s.a.Pids(); len(left) > 0 {
			return fmt.Errorf("processes %v", left)
		}
		return nil
	})
	s.a.Run("ip", "address", "flush", "dev", "eth0", "to", lab.VIP)
	s.a.Run("ipvsadm", "-C")
	for _, role := range []string{"master", "backup"} {
		_, _ = s.a.TryRun("ipvsadm", "--stop-daemon", role)
	}
}
