// SPDX-License-Identifier: Apache-2.0

package configs_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe"
)

// With -record, the test records the conversation of a check with a real server, for example mysql.denied=192.0.2.11:3306. The
// name of the file is the name of the check, and behind a dot the state of the server.
var record = flag.String("record", "", "record a conversation: CHECK[.STATE]=ADDRESS:PORT")

// A line is what one side of a conversation says at a time.
type line struct {
	server bool
	text   string
}

// A conversation is what a check and a real server have said, and the result of the check.
type conversation struct {
	lines  []line
	result string
}

// shippedChecks returns the checks of checks.toml by their names, with time enough for a busy machine.
func shippedChecks(t *testing.T) map[string]healthcheck.Config {
	t.Helper()
	text, err := os.ReadFile("checks.toml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := configs.Parse("checks.toml", text)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]healthcheck.Config)
	for _, s := range c.Services {
		check := s.Servers[0].Checks[0]
		check.Interval, check.Timeout = 10*time.Second, 10*time.Second
		all[s.Name] = check
	}
	return all
}

// ask checks the server at an address once.
func ask(t *testing.T, check healthcheck.Config, addr netip.AddrPort) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), check.Timeout)
	defer cancel()
	target := healthcheck.Target{ID: "recorded", Addr: addr, Config: check}
	if err := target.Validate(); err != nil {
		t.Fatal(err)
	}
	p := probe.New()
	defer p.Close()
	res := p.Probe(ctx, &target)
	return fmt.Sprintf("%s: %s", res.Outcome, res.Reason)
}

// The shipped checks say to recordings of real servers what they said when these were recorded, and come to the same result.
func TestConversationsWithRealServers(t *testing.T) {
	checks := shippedChecks(t)
	if *record != "" {
		name, addr, _ := strings.Cut(*record, "=")
		check, _, _ := strings.Cut(name, ".")
		recordOne(t, name, checks[check], netip.MustParseAddrPort(addr))
	}
	files, err := filepath.Glob("testdata/conversations/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	passed := make(map[string]bool)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		check, _, _ := strings.Cut(name, ".")
		c := readConversation(t, file)
		for _, how := range []string{"whole", "byte by byte"} {
			t.Run(name+" "+how, func(t *testing.T) {
				got := ask(t, checks[check], replay(t, c, how == "byte by byte"))
				got = strings.Replace(got, "connection reset", "connection closed", 1)
				want := c.result
				if how == "byte by byte" { // what the server said before may come later
					got, _, _ = strings.Cut(got, `: "`)
					want, _, _ = strings.Cut(want, `: "`)
				}
				if got != want {
					t.Errorf("%q, want %q", got, want)
				}
				passed[check] = passed[check] || strings.HasPrefix(got, "Passed")
			})
		}
	}
	want := []string{"ldap", "memcached", "mysql", "postgresql", "redis", "redis-master"}
	if got := slices.Sorted(maps.Keys(passed)); !slices.Equal(got, want) {
		t.Errorf("conversations of %q, want %q", got, want)
	}
}

// Without the end of its answer, no server is up: the recordings, each cut by one more byte.
func TestCutConversations(t *testing.T) {
	checks := shippedChecks(t)
	for _, name := range []string{"ldap", "memcached", "mysql", "postgresql", "redis", "redis-master"} {
		c := readConversation(t, "testdata/conversations/"+name+".txt")
		last := len(c.lines) - 1
		for !c.lines[last].server {
			last--
		}
		said := c.lines[last].text
		cut := func(n int) string {
			lines := append(slices.Clone(c.lines[:last]), line{true, said[:n]})
			return ask(t, checks[name], replay(t, conversation{lines: lines}, false))
		}
		needed := len(said)
		for needed > 0 && !strings.HasPrefix(cut(needed-1), "Failed") {
			needed--
		}
		if needed == 0 {
			t.Errorf("%s: passes without the last answer", name)
		}
		for n := range needed {
			if got := cut(n); !strings.HasPrefix(got, "Failed") {
				t.Errorf("%s, %d of %d bytes: %s", name, n, len(said), got)
			}
		}
	}
}

// A server of another protocol is not up, although it answers with a line.
func TestMemcachedCheckOfOtherServers(t *testing.T) {
	check := shippedChecks(t)["memcached"]
	for _, says := range []string{
		"-ERR unknown command 'version', with args beginning with: \r\n",
		"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
		"220 mx.example.org ESMTP at your service\r\n",
		"SSH-2.0-OpenSSH_9.2\r\nInvalid SSH identification string.\r\n",
		"the VERSION is no version\r\n",
		"SERVER_ERROR out of memory\r\n",
	} {
		if got := ask(t, check, replay(t, conversation{lines: []line{{true, says}}}, false)); !strings.HasPrefix(got, "Failed") {
			t.Errorf("%q: %s", says, got)
		}
	}
}

// replay returns the address of a server that takes part in a conversation once, and then hangs up.
func replay(t *testing.T, c conversation, slowly bool) netip.AddrPort {
	t.Helper()
	return serveOnce(t, func(conn net.Conn) {
		for _, l := range c.lines {
			if !l.server {
				heard := make([]byte, len(l.text))
				if n, err := io.ReadFull(conn, heard); err != nil || string(heard) != l.text {
					t.Errorf("heard %q, want %q", heard[:n], l.text)
					return
				}
				continue
			}
			said := io.Reader(strings.NewReader(l.text))
			if slowly {
				said = iotest.OneByteReader(said)
			}
			if _, err := io.Copy(struct{ io.Writer }{conn}, said); err != nil {
				return
			}
		}
	})
}

// serveOnce returns the address of a server of one connection, which ends with the test.
func serveOnce(t *testing.T, serve func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.AcceptTCP()
		_ = l.Close()
		if err != nil {
			return
		}
		serve(conn)
		_ = conn.CloseWrite()
		_, _ = io.Copy(io.Discard, conn) // data that nobody has read would make a reset of the end
		_ = conn.Close()
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// recordOne relays a check to a real server, and writes down what both say.
func recordOne(t *testing.T, name string, check healthcheck.Config, server netip.AddrPort) {
	t.Helper()
	said := make(chan line)
	relay := func(to io.Writer, from io.Reader, isServer bool) {
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if n > 0 {
				said <- line{isServer, string(buf[:n])}
				_, _ = to.Write(buf[:n])
			}
			if err != nil {
				return
			}
		}
	}
	addr := serveOnce(t, func(conn net.Conn) {
		defer close(said)
		real, err := net.Dial("tcp", server.String())
		if err != nil {
			t.Error(err)
			return
		}
		done := make(chan struct{})
		go func() { defer close(done); relay(real, conn, false); _ = real.(*net.TCPConn).CloseWrite() }()
		relay(conn, real, true)
		_ = conn.(*net.TCPConn).CloseWrite()
		<-done
		_ = real.Close()
	})
	result := make(chan string, 1)
	go func() { result <- ask(t, check, addr) }()
	var text strings.Builder
	for l := range said {
		who := ">"
		if l.server {
			who = "<"
		}
		fmt.Fprintf(&text, "%s %q\n", who, l.text)
	}
	fmt.Fprintf(&text, "= %s\n", <-result)
	if err := os.WriteFile("testdata/conversations/"+name+".txt", []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// readConversation reads a recording: > is what the check says, < is what the server says, = is the result.
func readConversation(t *testing.T, file string) (c conversation) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		who, rest, _ := strings.Cut(lines.Text(), " ")
		switch who {
		case "#":
		case "=":
			c.result = rest
		case ">", "<":
			text, err := strconv.Unquote(rest)
			if err != nil {
				t.Fatalf("%s: %q: %v", file, rest, err)
			}
			c.lines = append(c.lines, line{who == "<", text})
		default:
			t.Fatalf("%s: bad line %q", file, lines.Text())
		}
	}
	return c
}
