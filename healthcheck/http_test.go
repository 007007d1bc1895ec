// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipe is a prober whose every connection leads to f, in memory.
func pipe(f func(net.Conn)) prober {
	return prober{dial: func(context.Context, string, Target) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer func() { _ = theirs.Close() }()
			f(theirs)
		}()
		return ours, nil
	}}
}

func TestRequest(t *testing.T) {
	tests := []struct {
		name, addr string
		change     func(*Config)
		want       []string // lines, in order, before the common ones
	}{
		{"default", "192.0.2.1:80", func(*Config) {}, []string{"GET / HTTP/1.1", "Host: 192.0.2.1"}},
		{"another port", "192.0.2.1:8080", func(*Config) {}, []string{"GET / HTTP/1.1", "Host: 192.0.2.1:8080"}},
		{"the check's port", "192.0.2.1:443", func(c *Config) { c.Port = 80 }, []string{"GET / HTTP/1.1", "Host: 192.0.2.1"}},
		{"IPv6", "[2001:db8::1]:80", func(*Config) {}, []string{"GET / HTTP/1.1", "Host: [2001:db8::1]"}},
		{"IPv6 with a port", "[2001:db8::1]:81", func(*Config) {}, []string{"GET / HTTP/1.1", "Host: [2001:db8::1]:81"}},
		{"IPv6 with a zone", "[fe80::1%eth0]:80", func(*Config) {}, []string{"GET / HTTP/1.1", "Host: [fe80::1]"}},
		{"all set", "192.0.2.1:80", func(c *Config) { c.Method, c.Path, c.Host = "HEAD", "/h?x=1", "www.example.com" },
			[]string{"HEAD /h?x=1 HTTP/1.1", "Host: www.example.com"}},
		{"method with content", "192.0.2.1:80", func(c *Config) { c.Method = "POST" },
			[]string{"POST / HTTP/1.1", "Host: 192.0.2.1", "Content-Length: 0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := httpTarget(netip.MustParseAddrPort(tt.addr), time.Second)
			tt.change(&target.Config)
			lines := append(tt.want, "User-Agent: tandem", "Accept: */*", "Connection: close", "", "")
			if got, want := string(request(target)), strings.Join(lines, "\r\n"); got != want {
				t.Errorf("request\n%q\nwant\n%q", got, want)
			}
			if _, err := http.ReadRequest(bufio.NewReader(strings.NewReader(string(request(target))))); err != nil {
				t.Errorf("net/http does not understand it: %v", err)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	tests := []struct {
		status int
		want   []StatusRange
		result result
	}{
		{200, []StatusRange{{200, 200}}, pass("status 200")},
		{201, []StatusRange{{200, 200}}, fail("status 201, want 200")},
		{200, []StatusRange{{200, 299}}, pass("status 200")},
		{299, []StatusRange{{200, 299}}, pass("status 299")},
		{300, []StatusRange{{200, 299}, {304, 304}}, fail("status 300, want 200-299, 304")},
		{304, []StatusRange{{200, 299}, {304, 304}}, pass("status 304")},
		{101, []StatusRange{{200, 599}}, fail("status 101, want 200-599")},
	}
	for _, tt := range tests {
		if got := judge(tt.status, tt.want); got != tt.result {
			t.Errorf("status %d, want %v: %+v, want %+v", tt.status, tt.want, got, tt.result)
		}
	}
}

// However a server plays for time, the probe ends when its timeout does, to the nanosecond of fake time.
func TestTimeoutIsForTheWhole(t *testing.T) {
	slowly := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1024))
			for _, b := range []byte(text) {
				time.Sleep(time.Second)
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
			}
			untilGone(c)
		}
	}
	tests := []struct {
		name  string
		serve func(net.Conn)
		want  string
	}{
		{"never reads", func(net.Conn) { time.Sleep(10 * time.Second) }, "timeout after 5s while sending the request"},
		{"says nothing", untilGone[net.Conn], "timeout after 5s while waiting for the response"},
		{"a byte a second", slowly("HTTP/1.1 200 OK\r\n\r\n"), "timeout after 5s while reading the response header"},
		{"interim responses without end", func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1024))
			for {
				time.Sleep(time.Second)
				if _, err := io.WriteString(c, "HTTP/1.1 102 Processing\r\n\r\n"); err != nil {
					return
				}
			}
		}, "timeout after 5s while reading the response header"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				start := time.Now()
				got := pipe(tt.serve).probe(ctx, httpTarget(netip.MustParseAddrPort("192.0.2.1:80"), 5*time.Second))
				if got != fail(tt.want) {
					t.Errorf("%+v, want %q", got, tt.want)
				}
				if took := time.Since(start); took != 5*time.Second {
					t.Errorf("took %s", took)
				}
				time.Sleep(10 * time.Second) // of the bubble: the server comes to its end
			})
		})
	}
}

func TestCancelledProbeEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		got := pipe(untilGone[net.Conn]).probe(ctx, httpTarget(netip.MustParseAddrPort("192.0.2.1:80"), time.Minute))
		if got.outcome != abandoned || time.Since(start) != time.Second {
			t.Errorf("%+v after %s, want it abandoned after 1s", got, time.Since(start))
		}
	})
}

// FuzzExchange gives a check what a server may send: it must come to success or failure, and say why in printable
// words that are not the server's.
func FuzzExchange(f *testing.F) {
	for _, seed := range []string{
		"", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 503 Down\r\nContent-Length: 3\r\n\r\nbad", "HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b", "220 smtp\r\n", strings.Repeat("HTTP/1.1 100 C\r\n\r\n", 5000),
	} {
		f.Add([]byte(seed))
	}
	target := httpTarget(netip.MustParseAddrPort("192.0.2.1:80"), 10*time.Second)
	known := []string{
		"malformed response: not HTTP/1.0 or 1.1", "malformed response: header longer than 64 KiB",
		"connection closed before a response", "connection closed in the middle of the response header",
	}
	f.Fuzz(func(t *testing.T, response []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), target.Config.Timeout)
		defer cancel()
		got := pipe(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1024))
			_, _ = c.Write(response)
		}).probe(ctx, target)
		status, isStatus := strings.CutPrefix(got.reason, "status ")
		switch {
		case isStatus && got.outcome == passed && len(status) == 3 && status[0] == '2':
		case isStatus && got.outcome == failed && strings.HasSuffix(status, ", want 200-299") && status[0] != '2':
		case got.outcome == failed && strings.Contains(strings.Join(known, "\n"), got.reason):
		default:
			t.Errorf("%+v", got)
		}
	})
}
