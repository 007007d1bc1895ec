// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// probed checks a target once, in its timeout.
func probed(t *testing.T, target healthcheck.Target) healthcheck.Result {
	t.Helper()
	if err := target.Validate(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), target.Config.Timeout)
	defer cancel()
	p := New()
	defer p.Close()
	return p.Probe(ctx, &target)
}

// What a file says is what an agent says, and a weight. What it does not say, or says wrongly, changes nothing.
func TestFiles(t *testing.T) {
	advice := func(percent int, drain bool) healthcheck.Advice {
		return healthcheck.Advice{Given: true, Percent: percent, Drain: drain}
	}
	for _, c := range []struct {
		text    string
		outcome healthcheck.Outcome
		reason  string
		advice  healthcheck.Advice
	}{
		{"", healthcheck.Passed, "the file says nothing", healthcheck.Advice{}},
		{"# nothing\n\n", healthcheck.Passed, "the file says nothing", healthcheck.Advice{}},
		{"20\n", healthcheck.Passed, "the file says weight 20", healthcheck.Weigh(20)},
		{"# by hand\n0", healthcheck.Passed, "the file says weight 0", healthcheck.Weigh(0)},
		{"65535 # most", healthcheck.Passed, "the file says weight 65535", healthcheck.Weigh(65535)},
		{"50%", healthcheck.Passed, "the file says 50%", advice(50, false)},
		{"up", healthcheck.Passed, "the file says up", healthcheck.Advice{}},
		{"drain\n", healthcheck.Passed, "the file says drain", advice(100, true)},
		{"down\n", healthcheck.Failed, "the file says down", healthcheck.Advice{}},
		{"maint # since Monday", healthcheck.Failed, "the file says maint", healthcheck.Advice{}},
		{"65536", healthcheck.NotRun, `: "65536" is not understood: want up, `, healthcheck.Advice{}},
		{"-1", healthcheck.NotRun, `: "-1" is not understood: want up, `, healthcheck.Advice{}},
		{"2000%", healthcheck.NotRun, `: "2000%" is not understood: want up, `, healthcheck.Advice{}},
		{"dwon\x1b[2J", healthcheck.NotRun, `: "dwon [2J" is not understood: want up, `, healthcheck.Advice{}},
		{strings.Repeat("#", 1025), healthcheck.NotRun, " is longer than 1 KiB", healthcheck.Advice{}},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "192.0.2.1-80"), []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		target := fileTarget(filepath.Join(dir, "{address}-{port}"))
		got := probed(t, target)
		if got.Outcome != c.outcome || !strings.Contains(got.Reason, c.reason) || got.Advice != c.advice {
			t.Errorf("%q: %s, %q, %+v", c.text, got.Outcome, got.Reason, got.Advice)
		}
		if got.Outcome == healthcheck.Failed && !got.Decisive {
			t.Errorf("%q: not decisive", c.text)
		}
	}
}

func fileTarget(path string) healthcheck.Target {
	return probetest.Target(healthcheck.File, netip.MustParseAddrPort("192.0.2.1:80"), 30*time.Second, func(c *healthcheck.Config) { c.File = path })
}

// No file is no word. What is no file, or hangs, is no failure of the server.
func TestFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	if got := probed(t, fileTarget(dir+"/missing")); got.Outcome != healthcheck.Passed || got.Reason != "no file" {
		t.Errorf("missing: %s, %s", got.Outcome, got.Reason)
	}
	fifo := dir + "/fifo"
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, fifo, dir + "/a/b"} {
		if path == dir+"/a/b" {
			probetest.Write(t, dir+"/a", "")
		}
		if got := probed(t, fileTarget(path)); got.Outcome != healthcheck.NotRun {
			t.Errorf("%s: %s, %s", path, got.Outcome, got.Reason)
		}
	}
	r := newFileReader()
	is, _ := r.begin(fifo) // a disk that does not answer
	is.began = time.Now().Add(-hanging)
	target := fileTarget(fifo)
	if got := r.probe(t.Context(), &target); got.Outcome != healthcheck.NotRun || got.Reason != fifo+": the disk has not answered yet" {
		t.Errorf("frozen: %s, %s", got.Outcome, got.Reason)
	}
}

// Silence that is ignored is no word. What the agent says counts.
func TestIgnoredSilence(t *testing.T) {
	free := probetest.FullServer(t)
	for name, c := range map[string]struct {
		addr   netip.AddrPort
		wait   time.Duration
		want   healthcheck.Outcome
		reason string
	}{
		"up":      {probetest.Serve(t, probetest.Hear("up\n")), 10 * time.Second, healthcheck.Passed, "the agent says up"},
		"down":    {probetest.Serve(t, probetest.Hear("down\n")), 10 * time.Second, healthcheck.Failed, "the agent says down"},
		"nothing": {probetest.Serve(t, probetest.Hear("")), 10 * time.Second, healthcheck.NoWord, "connection"},
		"babble":  {probetest.Serve(t, probetest.Hear("hello\n")), 10 * time.Second, healthcheck.NoWord, "the agent's line is not understood"},
		"full":    {free, 100 * time.Millisecond, healthcheck.NoWord, "timeout after 100ms while connecting"},
	} {
		target := probetest.Target(healthcheck.Agent, c.addr, c.wait, func(conf *healthcheck.Config) {
			conf.IgnoreSilence, conf.Send = true, "state\n"
		})
		if got := probed(t, target); got.Outcome != c.want || !strings.HasPrefix(got.Reason, c.reason) {
			t.Errorf("%s: %s, %q", name, got.Outcome, got.Reason)
		}
	}
}

// Probes leave through their interface, and an interface that is missing is no failure of the server.
func TestBoundToInterface(t *testing.T) {
	near, far := probetest.NewNS(t), probetest.NewNS(t)
	probetest.Veth(t, near, "eth7", far, "eth0")
	near.Do(func() {
		server := probetest.Serve(t, probetest.Hear("HTTP/1.0 200 OK\r\n\r\n"))
		echo := serveUDP(t, func(b []byte) []byte { return b })
		for _, typ := range []healthcheck.Type{healthcheck.TCP, healthcheck.HTTP, healthcheck.UDP, healthcheck.Ping} {
			for device, want := range map[string]healthcheck.Outcome{
				"": healthcheck.Passed, "lo": healthcheck.Passed, "eth7": healthcheck.Failed, "eth8": healthcheck.NotRun,
			} {
				addr, wait := server, 200*time.Millisecond
				if typ == healthcheck.UDP {
					addr = echo
				}
				if want != healthcheck.Failed {
					wait = 10 * time.Second
				}
				target := probetest.Target(typ, addr, wait, func(c *healthcheck.Config) {
					if c.Device = device; typ == healthcheck.UDP {
						c.Send, c.Expect = "x", "x"
					}
				})
				ctx, cancel := context.WithTimeout(t.Context(), wait)
				// The sockets of New's dialer are made on this thread, which is in the namespace.
				got := New().Probe(ctx, &target)
				if cancel(); got.Outcome != want || want == healthcheck.NotRun && !strings.Contains(got.Reason, "bind_if") {
					t.Errorf("%s bound to %q: %s, %s", typ, device, got.Outcome, got.Reason)
				}
			}
		}
	})
}

// Servers may have one file. A probe that finds it being read takes what that reading finds.
func TestOneFileOfManyServers(t *testing.T) {
	path := t.TempDir() + "/weight"
	probetest.Write(t, path, "20")
	r := newFileReader()
	target := fileTarget(path)
	results := make(chan healthcheck.Result, 64)
	for range 20 {
		begin := make(chan struct{})
		for range cap(results) {
			go func() {
				<-begin
				results <- r.probe(t.Context(), &target)
			}()
		}
		close(begin)
		for range cap(results) {
			if got := <-results; got.Outcome != healthcheck.Passed {
				t.Fatalf("%s: %s", got.Outcome, got.Reason)
			}
		}
	}
}
