// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/porttest"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/screen"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// serveHTTP serves "web1", and /sick with status 503, and returns its address.
func serveHTTP(t *testing.T) netip.AddrPort {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "web1\n") })
	mux.HandleFunc("/sick", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

// probing are the arguments of a short probe. No answer is slow on any machine.
func probing(address fmt.Stringer, more ...string) []string {
	return append([]string{"probe", address.String(), "--every", "5ms", "--for", "50ms", "--timeout", "20s", "--slow", "20s"}, more...)
}

func TestProbe(t *testing.T) {
	addr := serveHTTP(t)
	file := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(file, []byte(strings.Repeat("an older page", 10_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, err := execute(t, probing(addr, "--http", "/health", "--named-by", "body", "--flows", "2", "--flow-every", "10ms", "--page", file)...)
	if err != nil || errs != "" {
		t.Fatalf("%v, %s", err, errs)
	}
	for _, want := range []string{"http://" + addr.String() + "/health: a question every 5 ms for 50 ms, from ", "no outage. ", "servers   web1 ",
		" of 2 connections lived without a break", "answered  p50 "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(text), "<!doctype html>") || !strings.HasSuffix(string(text), "</html>\n") {
		t.Errorf("page: %v, %d bytes", err, len(text))
	}

	out, _, err = execute(t, probing(addr, "--http", "/sick", "--json")...)
	var r prober.Counts
	if jsonErr := json.Unmarshal([]byte(out), &r); jsonErr != nil || exitCode(err) != 2 || err.Error() != "" || r.Failed == 0 || r.Failed != r.Asked {
		t.Errorf("a sick service: %v, %v, %+v", err, jsonErr, r)
	}
	if !strings.Contains(out, `"status 503": `) || !strings.Contains(out, `"goes_on": true`) {
		t.Errorf("a sick service: %s", out)
	}
}

func TestProbeBudget(t *testing.T) {
	for _, c := range []struct {
		longest time.Duration
		failed  int
		budget  string // empty: there is none
		want    int
	}{
		{0, 0, "", 0}, {100 * time.Millisecond, 1, "", 2}, {100 * time.Millisecond, 1, "100ms", 0}, {101 * time.Millisecond, 1, "100ms", 2}, {0, 0, "0s", 0},
	} {
		r := prober.Report{Counts: prober.Counts{Asked: 10, Answered: 10 - c.failed, Failed: c.failed}, Longest: prober.Seconds(c.longest)}
		f := probeFlags{}
		f.budget, _ = time.ParseDuration(c.budget)
		if err := f.judge(c.budget != "", r); err == nil && c.want != 0 || err != nil && exitCode(err) != c.want {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if err := (&probeFlags{}).judge(true, prober.Report{}); exitCode(err) != 1 {
		t.Errorf("nothing asked: %v", err)
	}
}

// TestProbeText: the verdict has its colour, and what goes on is told as such.
func TestProbeText(t *testing.T) {
	second := prober.Seconds(time.Second)
	r := prober.Report{
		Target: "tcp 192.0.2.100:80", Counts: prober.Counts{Asked: 10, Answered: 8, Failed: 2}, Longest: second,
		Outages:   []prober.Outage{{Start: second, Length: second, Bad: 2, GoesOn: true}},
		Disturbed: []prober.Disturbance{{Start: second, Length: second, Outages: 1, Longest: second, Bad: 2, GoesOn: true}},
		Failures:  map[string]int{"connection reset": 2},
	}
	lines := probeText(r, screen.Device{})
	if span := lines[1][0]; span.Text != "1 outage of 1 s" || span.Style != screen.Red {
		t.Errorf("the verdict: %+v", span)
	}
	var text strings.Builder
	if err := (screen.Device{}).Write(&text, lines); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"at least 1 s  1 s             2 failed or slow", "  failed    connection reset 2\n", "10 asked, 8 answered, 2 failed"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	r.Counts, r.Outages, r.Disturbed, r.Longest = prober.Counts{Asked: 10, Answered: 10}, nil, nil, 0
	if span := probeText(r, screen.Device{})[1][0]; span.Text != "no outage" || span.Style != screen.Green {
		t.Errorf("the verdict: %+v", span)
	}
}

func TestProbeRefusesWrongFlags(t *testing.T) {
	for line, want := range map[string]string{
		"":                                   "give either an ADDRESS, or --server",
		"192.0.2.1:80 --server www/1":        "give either an ADDRESS, or --server",
		"192.0.2.1":                          "192.0.2.1: want ADDRESS:PORT",
		"192.0.2.1:0":                        `port "0": want 1 to 65535`,
		"192.0.2.1:80 --http health":         `path "health": it must begin with /`,
		"192.0.2.1:80 --http / --https /":    "give only one of --http, --https and --udp",
		"192.0.2.1:80 --udp":                 "--udp needs --send",
		"192.0.2.1:80 --flows 3":             "--flows exchange data: give --http, --https or --send",
		"192.0.2.1:80 --named-by body":       "--named-by needs an answer",
		"192.0.2.1:80 --send x --named-by Y": "TCP and UDP have only body",
		`192.0.2.1:80 --send \q`:             `--send \q: \ begins a sequence`,
		"192.0.2.1:80 --http / --send x":     "--send is for TCP and UDP",
		"192.0.2.1:80 --every 100us":         "--every 100µs is too short: want at least 1ms",
		"192.0.2.1:80 --timeout 0s":          "--timeout 0s: want more than 0",
		"192.0.2.1:80 --host x":              "--host is for --http and --https",
		"192.0.2.1:80 --http / --host a\tb":  "wrong number of arguments",
		"192.0.2.1:80 --insecure":            "--insecure is for --https",
		"--server www/1 --every 1ms":         "--every has no meaning with --server",
		"[fe80::1%lo]:80":                    "addresses with a zone cannot be probed",
		"192.0.2.1:80 --page /nowhere/x":     "failed to open the file for the page",
	} {
		if _, _, err := execute(t, append([]string{"probe"}, strings.Fields(line)...)...); err == nil || !strings.Contains(err.Error(), want) || exitCode(err) != 1 {
			t.Errorf("tandem probe %s: got %v, want %s", line, err, want)
		}
	}
}

// TestProbeDriven: one tandem probe waits, another one drives it and has the report.
func TestProbeDriven(t *testing.T) {
	addr := serveHTTP(t)
	key := filepath.Join(t.TempDir(), "probe.key")
	if err := os.WriteFile(key, []byte(strings.Repeat("0123456789abcdef", 4)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	root := newRoot()
	root.SetArgs([]string{"probe", addr.String(), "--http", "/", "--every", "5ms", "--timeout", "20s", "--slow", "20s", "--listen", "127.0.0.1:0", "--key", key})
	root.SetOut(w)
	ended := make(chan error, 1)
	go func() {
		ended <- root.ExecuteContext(ctx)
		_ = w.Close()
	}()
	lines := bufio.NewScanner(r)
	lines.Scan()
	fields := strings.Fields(lines.Text()) // DATE TIME waiting at ADDRESS to probe …
	if len(fields) < 5 || fields[2] != "waiting" {
		t.Fatalf("the listener says %q", lines.Text())
	}
	said := make(chan string, 1)
	go func() {
		var all []string
		for lines.Scan() {
			all = append(all, lines.Text())
		}
		said <- strings.Join(all, "\n")
	}()
	page := filepath.Join(t.TempDir(), "report.html")
	out, _, err := execute(t, "probe", "--drive", fields[4], "--key", key, "--for", "100ms", "--page", page)
	if err != nil || !strings.Contains(out, "no outage. ") || !strings.Contains(out, "clock     the clock of the machine that asked is ") {
		t.Errorf("driven: %v, %s", err, out)
	}
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), `<path class="heat"`) {
		t.Errorf("the page: %v, %d bytes", err, len(text))
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the listener: %v", err)
	}
	if text := <-said; !strings.Contains(text, "a probe begins: http://") || !strings.Contains(text, "the probe has ended: no outage") {
		t.Errorf("the listener said %s", text)
	}
}

func TestUnescape(t *testing.T) {
	got, err := unescape(`say "hi"\r\n\x00\xff é`)
	if want := "say \"hi\"\r\n\x00\xff é"; err != nil || string(got) != want {
		t.Errorf("%v, got %q, want %q", err, got, want)
	}
}

func TestLiveLine(t *testing.T) {
	v := prober.Live{
		Elapsed: prober.Seconds(15 * time.Second), For: prober.Seconds(30 * time.Second), Counts: prober.Counts{Asked: 1500, Failed: 3},
		Outages: 1, Longest: prober.Seconds(340 * time.Millisecond), Silent: prober.Seconds(1234 * time.Millisecond),
		Median: prober.Seconds(400 * time.Microsecond), P99: prober.Seconds(2 * time.Millisecond),
	}
	want := "##########..........  15s of 30s  NO ANSWER for 1.2s  1500 asked  3 failed  1 outage (longest 340 ms)  p50 0.4 ms  p99 2 ms"
	if got := liveLine(v, screen.Device{}); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := liveLine(v, screen.Device{Width: 40, Wide: true}); screen.Width(got) > 39 || !strings.HasPrefix(got, "━━━━━━━━━━──────────  15s of 30s") {
		t.Errorf("in 40 characters: %q", got)
	}
}

// serverConfig has one service with two servers, of which the second one has two checks.
const serverConfig = `name = "lb1"

[[service]]
name     = "www"
virtual  = "192.0.2.100:80"
protocol = "tcp"
method   = "nat"

  [service.check]
  type = "http"
  path = "/%s"

  [[service.server]]
  address = "127.0.0.1"
  port    = %d

  [[service.server]]
  address = "192.0.2.12"

  [[service.server]]
  address = "127.0.0.1"
  port    = %d
`

// throughConfig has a check that IPVS must lead to its server.
const throughConfig = `name = "lb1"

[[service]]
name     = "www"
virtual  = "192.0.2.100:80"
protocol = "tcp"
method   = "tunnel"

  [service.check]
  type = "http"
  via  = "vip"

  [[service.server]]
  address = "192.0.2.11"
`

// TestMarkOf finds the way of a check through the VIP in a kernel's table.
func TestMarkOf(t *testing.T) {
	const first = 0x7400_0000
	server, other := netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("192.0.2.12")
	entry := func(mark uint32, family lvs.Family, servers ...lvs.Server) lvs.Entry {
		return lvs.Entry{Service: lvs.Service{ServiceID: lvs.ServiceID{FWMark: mark, Family: family}}, Servers: servers}
	}
	to := func(addr netip.Addr, method lvs.Method) lvs.Server {
		return lvs.Server{ServerID: lvs.ServerID{Addr: addr}, Method: method}
	}
	route := configs.ProbeRoute{Family: lvs.IPv4, Addr: server, Method: lvs.DR}
	for name, c := range map[string]struct {
		entry lvs.Entry
		want  bool
	}{
		"this one":       {entry(first+7, lvs.IPv4, to(server, lvs.DR)), true},
		"another server": {entry(first+7, lvs.IPv4, to(other, lvs.DR)), false},
		"another method": {entry(first+7, lvs.IPv4, to(server, lvs.Tunnel)), false},
		"another family": {entry(first+7, lvs.IPv6, to(server, lvs.DR)), false},
		"two servers":    {entry(first+7, lvs.IPv4, to(server, lvs.DR), to(other, lvs.DR)), false},
		"a user's mark":  {entry(7, lvs.IPv4, to(server, lvs.DR)), false},
		"above":          {entry(first+configs.ProbeMarks, lvs.IPv4, to(server, lvs.DR)), false},
	} {
		if mark, ok := markOf([]lvs.Entry{c.entry}, first, route); ok != c.want || ok && mark != first+7 {
			t.Errorf("%s: %d, %t", name, mark, ok)
		}
	}
}

// TestProbeServer asks real servers that no director knows.
func TestProbeServer(t *testing.T) {
	addr := serveHTTP(t)
	closed := porttest.Reserve(t).Port()
	good := writeConfig(t, fmt.Sprintf(serverConfig, "", addr.Port(), closed))
	sick := writeConfig(t, fmt.Sprintf(serverConfig, "sick", addr.Port(), closed))
	one, two := fmt.Sprintf("www/127.0.0.1:%d", addr.Port()), fmt.Sprintf("www/127.0.0.1:%d", closed)
	for _, c := range []struct {
		file, server string
		code         int
		want         []string
	}{
		{good, one, 0, []string{one + ": healthy, by " + good, "passed", "status 200"}},
		{sick, one, 2, []string{one + ": unhealthy", "failed", "status 503"}},
		{good, two, 2, []string{two + ": unhealthy", "connection refused"}},
	} {
		out, errs, err := execute(t, "probe", "--server", c.server, "-c", c.file)
		if code := 0; err != nil {
			if code = exitCode(err); code != c.code {
				t.Errorf("%s: %v", c.server, err)
			}
		}
		for _, want := range c.want {
			if !strings.Contains(out, want) || errs != "" || (err != nil) != (c.code != 0) {
				t.Errorf("%s: %v, no %q in\n%s%s", c.server, err, want, out, errs)
			}
		}
	}
	for server, want := range map[string]string{
		"www":               "--server www: want SERVICE/ADDRESS, such as www/192.0.2.12",
		"ftp/192.0.2.12":    "there is no service ftp; there are www",
		"www/192.0.2.13":    "the service www has no real server 192.0.2.13; it has 127.0.0.1:",
		"www/127.0.0.1":     "several real servers 127.0.0.1: give the port too",
		"www/127.0.0.1:100": "no real server 127.0.0.1:100",
	} {
		if _, _, err := execute(t, "probe", "--server", server, "-c", good); err == nil || !strings.Contains(err.Error(), want) || exitCode(err) != 1 {
			t.Errorf("%s: got %v, want %s", server, err, want)
		}
	}
	through := writeConfig(t, throughConfig)
	if out, _, err := execute(t, "probe", "--server", "www/192.0.2.11", "-c", through); exitCode(err) != 2 ||
		!strings.Contains(out, "not run") || !strings.Contains(out, "unknown") || !strings.Contains(out, "a check through the VIP") {
		t.Errorf("through the VIP, without a director: %v, %s", err, out)
	}
	out, _, err := execute(t, "probe", "--server", one, "-c", sick, "--json")
	var all struct {
		Health string
		Checks []struct{ Check, Peer, Result, Reason string }
	}
	if jsonErr := json.Unmarshal([]byte(out), &all); jsonErr != nil || exitCode(err) != 2 || all.Health != "unhealthy" ||
		len(all.Checks) != 1 || all.Checks[0].Peer != addr.String() || all.Checks[0].Result != "failed" {
		t.Errorf("%v, %v, %s", err, jsonErr, out)
	}
}
