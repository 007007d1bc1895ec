// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// A turn is what a scripted server hears, and what it answers in pieces.
type turn struct {
	hears string
	says  []string
}

// scripted returns a server that follows a script, and then waits for the client to hang up unless it hangs up itself. What it
// hears otherwise is an error.
func scripted(t *testing.T, stays bool, turns ...turn) func(net.Conn) {
	return func(c net.Conn) {
		for i, next := range turns {
			heard := make([]byte, len(next.hears))
			if _, err := io.ReadFull(c, heard); err != nil || string(heard) != next.hears {
				t.Errorf("turn %d: heard %q, %v; want %q", i, heard, err, next.hears)
				return
			}
			for _, piece := range next.says {
				if _, err := io.WriteString(c, piece); err != nil {
					return
				}
			}
		}
		if stays {
			probetest.UntilGone(c)
		}
	}
}

// bytewise returns a text in pieces of one byte.
func bytewise(text string) []string { return strings.Split(text, "") }

func TestSteps(t *testing.T) {
	login := []healthcheck.Step{
		{Send: "AUTH a b\r\n", Expect: "+OK\r\n", Forbid: "-ERR"},
		{Send: "INFO\r\n", Matches: `role:(master|primary)\r\n`},
		{Send: "QUIT\r\n", Expect: "+OK\r\n"},
	}
	greeted := []healthcheck.Step{{Expect: "220"}, {Expect: "\r\n", Forbid: "closing"}, {Send: "QUIT\r\n"}}
	pass := healthcheck.Pass(asExpected)
	for _, tt := range []struct {
		name  string
		steps []healthcheck.Step
		stays bool
		turns []turn
		want  healthcheck.Result
	}{
		{"a conversation", login, true, []turn{
			{"AUTH a b\r\n", []string{"+OK\r\n"}}, {"INFO\r\n", []string{"# Replication\r\nrole:master\r\nx:1\r\n"}}, {"QUIT\r\n", []string{"+OK\r\n"}},
		}, pass},
		{"a conversation byte by byte", login, true, []turn{
			{"AUTH a b\r\n", bytewise("+OK\r\n")}, {"INFO\r\n", bytewise("role:slave\r\nrole:primary\r\n")}, {"QUIT\r\n", bytewise("+OK\r\n")},
		}, pass},
		{"the first step is refused", login, true, []turn{{"AUTH a b\r\n", []string{"-ERR no\r\n"}}},
			probetest.Fail(`step 1: the answer contains "-ERR"`)},
		{"the second is answered otherwise", login, true, []turn{{"AUTH a b\r\n", []string{"+OK\r\n"}}, {"INFO\r\n", []string{"role:slave\r\n"}}},
			probetest.Fail(`step 2: answered, but without a match of "role:(master|primary)\\r\\n" within 1s: "role:slave"`)},
		{"the second is not answered, and the connection ends", login, false, []turn{{"AUTH a b\r\n", []string{"+OK\r\n"}}, {"INFO\r\n", nil}},
			probetest.Fail("step 2: connection closed before the expected answer")},
		{"the last answers of two steps come at once, and the server hangs up", login[:2], false,
			[]turn{{"AUTH a b\r\n", []string{"+OK\r\n"}}, {"INFO\r\n", []string{"role:master\r\n"}}}, pass},
		{"an answer is used once", []healthcheck.Step{{Send: "a", Expect: "OK"}, {Send: "b", Expect: "OK"}}, true,
			[]turn{{"a", []string{"OK"}}, {"b", nil}}, probetest.Fail(`step 2: answered, but without "OK" within 1s`)},
		{"a step reads on behind the step before it", greeted, true, []turn{{"", []string{"220 mx"}}, {"", []string{" ready\r\n"}}, {"QUIT\r\n", nil}}, pass},
		{"all at once", greeted, true, []turn{{"", []string{"220 mx ready\r\n"}}, {"QUIT\r\n", nil}}, pass},
		{"what must not come does", greeted, true, []turn{{"", []string{"220 mx clo"}}, {"", []string{"sing\r\n"}}}, probetest.Fail(`step 2: the answer contains "closing"`)},
		{"what must not come does, at once", greeted, true, []turn{{"", []string{"220 mx closing\r\n"}}}, probetest.Fail(`step 2: the answer contains "closing"`)},
		{"what must not come does, later", greeted, true, []turn{{"", []string{"220 mx\r\nclosing"}}, {"QUIT\r\n", nil}}, pass},
		{"nothing comes", greeted, true, nil, probetest.Fail("step 1: timeout after 1s while waiting for the expected answer")},
		{"nothing comes, but the end", greeted, false, nil, probetest.Fail("step 1: connection closed before a response")},
		{"an expression that matches nothing needs an answer", []healthcheck.Step{{Matches: ".*"}}, true, nil,
			probetest.Fail("timeout after 1s while waiting for the expected answer")},
		{"only sends", []healthcheck.Step{{Send: "a"}, {Send: "b"}}, true, []turn{{"ab", nil}}, healthcheck.Pass("connected")},
		{"bytes that are no text", []healthcheck.Step{{Expect: "\x00\x00\x00\x0a"}, {Matches: `^5\.5\.5-[0-9.]+-MariaDB`}}, true,
			[]turn{{"", []string{"\x5f\x00\x00\x00\x0a5.5.5-10.11.19-MariaDB-0\x00\xff\xfe\x80"}}}, pass},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				target := probetest.Target(healthcheck.TCP, probetest.Addr, time.Second, func(c *healthcheck.Config) { c.Steps = tt.steps })
				if err := target.Validate(); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				got := probetest.Words(pipe(scripted(t, tt.stays, tt.turns...)).Probe(ctx, &target))
				if took := time.Since(start); took > time.Second {
					t.Errorf("took %s", took)
				}
				synctest.Wait() // for the server
				if got != tt.want {
					t.Errorf("%+v, want %+v", got, tt.want)
				}
			})
		})
	}
}

// Whatever a server sends, a step ends, with bounded memory and bounded work of its regular expression.
func TestEndlessAnswersToSteps(t *testing.T) {
	for _, tt := range []struct {
		name   string
		step   healthcheck.Step
		pieces string
		want   string
	}{
		{"text", healthcheck.Step{Expect: "never"}, strings.Repeat("neve", 1000), `no "never" in the first 64 KiB of the answer`},
		{"expression", healthcheck.Step{Matches: "never$"}, strings.Repeat("neve", 1000), `no a match of "never$" in the first 64 KiB of the answer`},
		{"expression, byte by byte", healthcheck.Step{Matches: "(n|ne|nev|neve)+r"}, "n", `no a match of "(n|ne|nev|neve)+r" in the first 64 KiB of the answer`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				target := probetest.Target(healthcheck.TCP, probetest.Addr, time.Second, func(c *healthcheck.Config) { c.Steps = []healthcheck.Step{tt.step} })
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				got := probetest.Words(pipe(func(c net.Conn) {
					for {
						if _, err := io.WriteString(c, tt.pieces); err != nil {
							return
						}
					}
				}).Probe(ctx, &target))
				if got != probetest.Fail(tt.want) {
					t.Errorf("%+v, want %q", got, tt.want)
				}
			})
		})
	}
}

// A regular expression examines a slow answer byte by byte, but not 2 GiB of it. What ends the answer makes it look again.
func TestWorkOfExpressions(t *testing.T) {
	s, err := newSearch(&healthcheck.Step{Matches: "end"})
	if err != nil {
		t.Fatal(err)
	}
	answer := []byte(strings.Repeat("x", maxAnswer-3) + "end")
	for n := range len(answer) - 1 {
		if _, found := s.find(answer[:n+1], false); found {
			t.Fatalf("found in %d bytes", n+1)
		}
	}
	if s.examined > 3*maxExamined {
		t.Errorf("%d bytes examined", s.examined)
	}
	if _, found := s.find(answer, true); !found {
		t.Error("not found at the end")
	}
}

// The lies about steps: every answer that nearly keeps to the script fails.
func TestLiesAboutSteps(t *testing.T) {
	const first, second = "+OK 1234567890\r\n", "role:master,connected_slaves:2\r\n"
	steps := []healthcheck.Step{{Send: "A", Expect: first}, {Send: "B", Matches: `^role:master,connected_slaves:[1-9]\r\n`}}
	lies := 0
	synctest.Test(t, func(t *testing.T) {
		target := probetest.Target(healthcheck.TCP, probetest.Addr, time.Second, func(c *healthcheck.Config) { c.Steps = steps })
		ask := func(a, b string) healthcheck.Result {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return pipe(func(c net.Conn) {
				for _, answer := range []string{a, b} {
					if _, err := c.Read(make([]byte, 1)); err != nil {
						return
					}
					_, _ = io.WriteString(c, answer)
				}
				probetest.UntilGone(c)
			}).Probe(ctx, &target)
		}
		if err := judged(lie{"steps", "the truth", "", ""}, ask(first, second)); err != nil {
			t.Error(err)
		}
		for i, a := range almost(first) {
			if a == "" || strings.Contains(a, first) {
				continue
			}
			lies++
			want := quoting(probetest.Fail(fmt.Sprintf("step 1: answered, but without %q within 1s", first)), []byte(a)).Reason
			if err := judged(lie{"step 1", fmt.Sprint(i), "", want}, ask(a, second)); err != nil {
				t.Error(err)
			}
		}
		for i, b := range almost(second) {
			// A digit of the number may be another digit, and the text may go on.
			if b == "" || strings.HasPrefix(b, "role:master,connected_slaves:3\r\n") || strings.HasPrefix(b, second) ||
				strings.HasPrefix(b, "role:master,connected_slaves:6\r\n") {
				continue
			}
			lies++
			want := quoting(probetest.Fail(fmt.Sprintf("step 2: answered, but without a match of %q within 1s", steps[1].Matches)), []byte(b)).Reason
			if err := judged(lie{"step 2", fmt.Sprint(i), "", want}, ask(first, b)); err != nil {
				t.Error(err)
			}
		}
	})
	if lies < minimumOfLies {
		t.Errorf("%d lies", lies)
	}
}

// A TCP check with TLS has its conversation inside, and verifies the certificate as https does.
func TestStepsOverTLS(t *testing.T) {
	a := newAuthority(t)
	pair := a.issue(t, "server", time.Now().Add(time.Hour))
	addr := probetest.Serve(t, func(c *net.TCPConn) {
		secured := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}})
		scripted(t, true, turn{"PING\r\n", bytewise("+PONG\r\n")})(secured)
	})
	plain := probetest.Serve(t, probetest.Hear("+PONG\r\n"))
	mute := probetest.Serve(t, func(c *net.TCPConn) {
		_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}}).Handshake()
		probetest.UntilGone(c)
	})
	trusted := healthcheck.TLS{On: true, CAFile: a.file("ca.pem")}
	for _, tt := range []struct {
		name  string
		at    netip.AddrPort
		tls   healthcheck.TLS
		steps []healthcheck.Step
		want  healthcheck.Result
	}{
		{"works", addr, trusted, []healthcheck.Step{{Send: "PING\r\n", Expect: "+PONG"}}, healthcheck.Pass(asExpected)},
		{"only connects", mute, trusted, nil, healthcheck.Pass("connected with TLS")},
		{"nobody trusts it", mute, healthcheck.TLS{On: true}, nil, probetest.Fail("TLS: the certificate is signed by nobody trusted")},
		{"another name", mute, healthcheck.TLS{On: true, CAFile: a.file("ca.pem"), Name: "other.example.org"}, nil,
			probetest.Fail("TLS: the certificate is not for other.example.org")},
		{"no TLS", plain, trusted, nil, probetest.Fail("TLS: the server speaks Redis, not TLS")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			probetest.NoLeftovers(t)
			target := probetest.Target(healthcheck.TCP, tt.at, 10*time.Second, func(c *healthcheck.Config) { c.TLS, c.Steps = tt.tls, tt.steps })
			if got, _ := probeOnce(target); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// A server reads the end of a conversation, with and without TLS, and not a reset: databases log that they have lost a client.
func TestConversationsEndPolitely(t *testing.T) {
	a := newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{a.issue(t, "server", time.Now().Add(time.Hour))}}
	for name, secure := range map[string]func(net.Conn) net.Conn{
		"plain": func(c net.Conn) net.Conn { return c },
		"TLS":   func(c net.Conn) net.Conn { return tls.Server(c, config) },
	} {
		for _, last := range [][]healthcheck.Step{{{Expect: "hello"}}, {{Expect: "hell"}, {Send: "bye"}}} {
			over, ended := make(chan struct{}), make(chan error, 1)
			addr := probetest.Serve(t, func(c *net.TCPConn) {
				conn := secure(c)
				_, _ = io.WriteString(conn, "hello")
				<-over // a busy server reads late
				_, err := io.ReadAll(conn)
				ended <- err
			})
			target := probetest.Target(healthcheck.TCP, addr, 10*time.Second, func(c *healthcheck.Config) { c.Steps = last })
			if name == "TLS" {
				target.Config.TLS = healthcheck.TLS{On: true, CAFile: a.file("ca.pem")}
			}
			if got, _ := probeOnce(target); got != healthcheck.Pass(asExpected) {
				t.Errorf("%s: %+v", name, got)
			}
			close(over)
			if err := <-ended; err != nil {
				t.Errorf("%s, %d steps: the server reads %v", name, len(last), err)
			}
			if left := timeWaits(t, addr.Port()); len(left) > 0 {
				t.Errorf("%s, %d steps: TIME_WAIT: %s", name, len(last), left)
			}
		}
	}
}

// A teeConn is a connection that writes down what it reads.
type teeConn struct {
	net.Conn
	to io.Writer
}

// Read implements io.Reader.
func (c *teeConn) Read(b []byte) (int, error) { return io.TeeReader(c.Conn, c.to).Read(b) }

// TLS too is ended before the connection: OpenSSL takes a connection that ends without an alert for an attack, and logs it.
func TestTLSEndsPolitely(t *testing.T) {
	a := newAuthority(t)
	// The types of records are not encrypted up to version 1.2.
	config := &tls.Config{Certificates: []tls.Certificate{a.issue(t, "server", time.Now().Add(time.Hour))}, MaxVersion: tls.VersionTLS12}
	heard := make(chan []byte, 1)
	addr := probetest.Serve(t, func(c *net.TCPConn) {
		var raw bytes.Buffer
		secured := tls.Server(&teeConn{Conn: c, to: &raw}, config)
		_, _ = io.WriteString(secured, "hello")
		_, _ = io.ReadAll(secured)
		heard <- raw.Bytes()
	})
	target := probetest.Target(healthcheck.TCP, addr, 10*time.Second, func(c *healthcheck.Config) {
		c.Steps, c.TLS = []healthcheck.Step{{Expect: "hello"}}, healthcheck.TLS{On: true, CAFile: a.file("ca.pem")}
	})
	if got, _ := probeOnce(target); got != healthcheck.Pass(asExpected) {
		t.Errorf("%+v", got)
	}
	const alert = 21 // RFC 5246, section 6.2.1
	last := byte(0)
	for records := <-heard; len(records) >= 5; {
		last = records[0]
		records = records[min(len(records), 5+int(binary.BigEndian.Uint16(records[3:5]))):]
	}
	if last != alert {
		t.Errorf("the last record has type %d, want an alert", last)
	}
}

// A server that ends the connection first is not left in TIME_WAIT either.
func TestServersThatHangUpFirst(t *testing.T) {
	over := make(chan struct{})
	addr := probetest.Serve(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "hello")
		_ = c.CloseWrite()
		<-over
		probetest.UntilGone(c)
	})
	target := probetest.Target(healthcheck.TCP, addr, 10*time.Second, func(c *healthcheck.Config) { c.Steps = []healthcheck.Step{{Expect: "bye"}} })
	if got, _ := probeOnce(target); got != probetest.Fail(`connection closed before the expected answer: "hello"`) {
		t.Errorf("%+v", got)
	}
	close(over)
	if left := timeWaits(t, addr.Port()); len(left) > 0 {
		t.Errorf("TIME_WAIT: %s", left)
	}
}

// FuzzSteps: how an answer is cut into pieces does not change the result.
func FuzzSteps(f *testing.F) {
	for _, seed := range []string{"", "+OK\r\nrole:a\r\nend", "+OK\r\nrole:a\r\nENDend", "-ERR\r\n+OK\r\n", "+OK\r\nrole:\r\nrole:bb\r\nxEND", "\xff\x00+OK\r\n"} {
		f.Add([]byte(seed), uint8(3))
	}
	target := probetest.Target(healthcheck.TCP, probetest.Addr, 10*time.Second, func(c *healthcheck.Config) {
		c.Steps = []healthcheck.Step{{Expect: "+OK\r\n", Forbid: "-ERR"}, {Matches: `role:[a-z]{1,9}\r\n`}, {Expect: "end", Forbid: "END"}}
	})
	f.Fuzz(func(t *testing.T, answer []byte, size uint8) {
		ask := func(piece int) healthcheck.Result {
			return pipe(func(c net.Conn) {
				for rest := range slices.Chunk(answer, piece) {
					if _, err := c.Write(rest); err != nil {
						return
					}
				}
			}).Probe(t.Context(), &target)
		}
		whole, cut := ask(1<<20), ask(max(1, int(size)))
		if whole != cut {
			t.Errorf("whole: %+v; in pieces of %d: %+v", whole, size, cut)
		}
	})
}
