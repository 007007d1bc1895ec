// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// draining are the keys of a service whose removed servers stay for their connections.
const draining = "scheduler = \"rr\"\ndrain_timeout = \"1m\""

// TestDrain: a server has 50 open connections. tandem drain breaks none of them, and no new connection arrives, also after a
// reload and a restart. --wait returns when the last connection has ended.
func TestDrain(t *testing.T) {
	t.Parallel()
	p := newLinedPair(t, draining)
	talkers := map[string][]*line{}
	for _, l := range openLines(t, p.Client, 100) {
		talkers[l.server] = append(talkers[l.server], l)
	}
	if len(talkers["web1"]) != 50 || len(talkers["web2"]) != 50 {
		t.Fatalf("100 connections: %d to web1, %d to web2", len(talkers["web1"]), len(talkers["web2"]))
	}
	drain := p.A.Start(lab.Tandem.Path(), "drain", "--socket", p.A.Socket, "lines/192.0.2.11", "--wait", "--timeout", "1m")
	drain.AwaitOutput(10*time.Second, "lines/192.0.2.11:2000: 50 connections")
	wantNoneTo(t, p, "web1", "after the drain")
	reload(t, p)
	wantNoneTo(t, p, "web1", "after a reload")
	for _, l := range talkers["web1"] {
		if err := l.ask("still there?"); err != nil {
			t.Fatalf("a connection was broken: %v", err)
		}
	}

	if s := tandem(t, p.A, "status"); !strings.Contains(s, "drained by command") {
		t.Errorf("status does not say that it is drained:\n%s", s)
	}
	for i, l := range talkers["web1"] {
		if i == 49 {
			drain.AwaitOutput(10*time.Second, "lines/192.0.2.11:2000: 1 connection\n")
		}
		if !drain.Running() {
			t.Fatalf("tandem drain has ended with %d connections left", 50-i)
		}
		_ = l.conn.Close()
	}
	last := time.Now()
	if code := drain.Wait(10 * time.Second); code != 0 || !strings.Contains(drain.Output(), "no connection is left") {
		t.Errorf("tandem drain ended with %d:\n%s", code, drain.Output())
	}
	p.Logf("tandem drain --wait returned %s after the last connection ended", time.Since(last).Round(time.Millisecond))

	for name, restart := range restarts {
		restart(t, p)
		if got := p.A.Table(); !strings.Contains(got, "  -> 192.0.2.11:2000 Route 0\n") {
			t.Errorf("after it %s, the server is not drained:\n%s", name, got)
		}
		wantNoneTo(t, p, "web1", "after it "+name)
	}
	if out := tandem(t, p.A, "undrain", "lines/192.0.2.11"); !strings.Contains(out, "weight now 1") {
		t.Errorf("undrain: %s", out)
	}
	wantLeaving(t, p, talkers["web2"])
}

// wantNoneTo opens connections. None of them may come to a server.
func wantNoneTo(t *testing.T, p *lab.Pair, server, when string) {
	t.Helper()
	for _, l := range openLines(t, p.Client, 10) {
		if l.server == server {
			t.Errorf("%s a new connection came to %s", when, server)
		}
		if err := reset(l); err != nil {
			t.Fatal(err)
		}
	}
}

// wantLeaving checks that a server that is removed from the configuration drains: it stays in the table until its last
// connection has ended.
func wantLeaving(t *testing.T, p *lab.Pair, open []*line) {
	t.Helper()
	p.A.Configure(lined(p.A.Name, lab.PriorityA, draining, 1))
	reload(t, p)
	in := func() bool { return strings.Contains(p.A.Table(), "  -> 192.0.2.12:2000 Route 0\n") }
	p.Eventually(10*time.Second, "the removed server is at weight 0", func() error {
		if !in() {
			return fmt.Errorf("%s", p.A.Table())
		}
		return nil
	})
	wantNoneTo(t, p, "web2", "after its removal")
	for _, l := range open {
		if err := l.ask("still there?"); err != nil {
			t.Fatalf("a connection was broken by the removal: %v", err)
		}
	}
	if s := tandem(t, p.A, "status"); !strings.Contains(s, "leaves with its last connection") {
		t.Errorf("status does not say that it leaves:\n%s", s)
	}
	for _, l := range open {
		if err := reset(l); err != nil {
			t.Fatal(err)
		}
	}
	p.Eventually(30*time.Second, "the removed server is gone", func() error {
		if in() {
			return fmt.Errorf("%s", p.A.Table())
		}
		return nil
	})
}

// restarts are ways in which the master's daemon ends and begins again.
var restarts = map[string]func(*testing.T, *lab.Pair){
	"was restarted": func(t *testing.T, p *lab.Pair) {
		stop(t, p)
		p.A.Launch()
		p.AwaitMaster(p.A)
	},
	"was killed": func(_ *testing.T, p *lab.Pair) {
		p.A.KillDirector()
		p.A.Process().Wait(15 * time.Second)
		p.A.Launch()
		p.AwaitMaster(p.A)
	},
}

// stop ends the master's daemon.
func stop(t *testing.T, p *lab.Pair) {
	t.Helper()
	p.A.Process().Signal(syscall.SIGTERM)
	if code := p.A.Process().Wait(15 * time.Second); code != 0 {
		t.Errorf("tandem run ended with code %d, want 0", code)
	}
}

// TestServiceDrained: a service that is removed from the configuration stays for its connections, as a server would. A
// restart does not make it stay longer. It stays even if it was removed while the daemon was down.
func TestServiceDrained(t *testing.T) {
	t.Parallel()
	p := newLinedPair(t, draining)
	with := lined(p.A.Name, lab.PriorityA, draining, 1, 1)
	without, _, _ := strings.Cut(with, "[[service]]\nname = \"lines\"")

	open := openLines(t, p.Client, 4)
	p.A.Configure(without)
	reload(t, p)
	until := wantDeparting(t, p, open, "after a reload")
	restarts["was killed"](t, p)
	if again := wantDeparting(t, p, open, "after it was killed"); again != until {
		t.Errorf("a restart made of %q %q", until, again)
	}
	wantDeparted(t, p, open)

	p.A.Configure(with)
	reload(t, p)
	p.Eventually(10*time.Second, "the service is back", func() error {
		if table := p.A.Table(); !strings.Contains(table, "  -> 192.0.2.12:2000 Route 1\n") {
			return fmt.Errorf("%s", table)
		}
		return nil
	})
	open = openLines(t, p.Client, 4)
	stop(t, p)
	p.A.Configure(without)
	p.A.Launch()
	p.AwaitMaster(p.A)
	wantDeparting(t, p, open, "taken out while the daemon was down")
	wantDeparted(t, p, open)
}

// wantDeparting checks that the service is there at weight 0, that its connections continue, and that the status says until
// when.
func wantDeparting(t *testing.T, p *lab.Pair, open []*line, when string) (until string) {
	t.Helper()
	const rows = "TCP 192.0.2.100:2000 rr\n  -> 192.0.2.11:2000 Route 0\n  -> 192.0.2.12:2000 Route 0\n"
	p.Eventually(10*time.Second, when+": the service has weight 0", func() error {
		if table := p.A.Table(); !strings.Contains(table, rows) {
			return fmt.Errorf("%s", table)
		}
		return nil
	})
	for _, l := range open {
		if err := l.ask("still there?"); err != nil {
			t.Fatalf("%s: a connection was broken: %v", when, err)
		}
	}
	status, err := p.A.Status()
	i := slices.IndexFunc(status.Warnings, func(w string) bool {
		return strings.HasPrefix(w, "lines (tcp 192.0.2.100:2000) is not in the configuration and stays")
	})
	if err != nil || i < 0 {
		t.Fatalf("%s: status, %v, does not say that the service stays: %q", when, err, status.Warnings)
	}
	return status.Warnings[i]
}

// wantDeparted ends the connections, and waits for the end of the service.
func wantDeparted(t *testing.T, p *lab.Pair, open []*line) {
	t.Helper()
	for _, l := range open {
		if err := reset(l); err != nil {
			t.Fatal(err)
		}
	}
	p.Eventually(30*time.Second, "the removed service is gone", func() error {
		if table := p.A.Table(); strings.Contains(table, ":2000 rr") {
			return fmt.Errorf("%s", table)
		}
		return nil
	})
}
