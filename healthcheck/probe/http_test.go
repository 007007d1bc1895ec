// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/http1"
)

// pipe returns a prober without a network: the other end of each of its connections is f.
func pipe(f func(net.Conn)) *Prober {
	return &Prober{dial: func(context.Context, string, *healthcheck.Target) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer func() { _ = theirs.Close() }()
			f(theirs)
		}()
		return ours, nil
	}}
}

// However slow a server is, the probe ends with its timeout, to the nanosecond of fake time.
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
			probetest.UntilGone(c)
		}
	}
	tests := []struct {
		name  string
		serve func(net.Conn)
		want  string
	}{
		{"never reads", func(net.Conn) { time.Sleep(10 * time.Second) }, "timeout after 5s while sending the request"},
		{"says nothing", probetest.UntilGone[net.Conn], "timeout after 5s while waiting for the response"},
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
				got := probetest.Words(pipe(tt.serve).Probe(ctx, httpTarget(5*time.Second)))
				if got != probetest.Fail(tt.want) {
					t.Errorf("%+v, want %q", got, tt.want)
				}
				if took := time.Since(start); took != 5*time.Second {
					t.Errorf("took %s", took)
				}
				time.Sleep(10 * time.Second) // in fake time: the server ends
			})
		})
	}
}

func TestCancelledProbeEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		got := probetest.Words(pipe(probetest.UntilGone[net.Conn]).Probe(ctx, httpTarget(time.Minute)))
		if got.Outcome != healthcheck.Abandoned || time.Since(start) != time.Second {
			t.Errorf("%+v after %s, want it abandoned after 1s", got, time.Since(start))
		}
	})
}

// FuzzExchange: whatever a server sends, the check passes or fails, and the reason contains no bytes from the server.
func FuzzExchange(f *testing.F) {
	for _, seed := range []string{
		"", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 503 Down\r\nContent-Length: 3\r\n\r\nbad", "HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b", "220 smtp\r\n", strings.Repeat("HTTP/1.1 100 C\r\n\r\n", 5000),
	} {
		f.Add([]byte(seed))
	}
	target := probetest.HTTPTarget(netip.MustParseAddrPort("192.0.2.1:80"), 10*time.Second)
	f.Fuzz(func(t *testing.T, response []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), target.Config.Timeout)
		defer cancel()
		got := pipe(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1024))
			_, _ = c.Write(response)
		}).Probe(ctx, &target)
		status, isStatus := strings.CutPrefix(got.Reason, "status ")
		switch {
		case isStatus && got.Outcome == healthcheck.Passed && len(status) == 3 && status[0] == '2':
		case isStatus && got.Outcome == healthcheck.Failed && strings.HasSuffix(status, ", want 200-299") && status[0] != '2':
		case got.Outcome == healthcheck.Failed && isKnown(got.Reason):
		default:
			t.Errorf("%+v", got)
		}
	})
}

// isKnown reports whether a reason of a response of version 1 is one of those that hold nothing of the server's.
func isKnown(reason string) bool {
	if reason == "connection closed before a response" || reason == "connection closed in the middle of the response header" {
		return true
	}
	what, ok := strings.CutPrefix(reason, "malformed response: ")
	if rest, other := strings.CutPrefix(what, http1.ErrNotHTTP.Error()+": the server speaks "); other {
		return ok && len(rest) < 50
	}
	return ok && slices.ContainsFunc([]error{
		http1.ErrNotHTTP, http1.ErrTooLong, http1.ErrStatusLine, http1.ErrBareCR, http1.ErrNoColon, http1.ErrFieldName,
		http1.ErrFieldValue, http1.ErrFold, http1.ErrLength, http1.ErrCoding,
	}, func(err error) bool { return what == err.Error() })
}

// httpTarget returns a target whose address does not matter.
func httpTarget(timeout time.Duration) *healthcheck.Target {
	t := probetest.HTTPTarget(probetest.Addr, timeout)
	return &t
}

// The header of a response must have the fields that the check demands, in version 1 and in version 2.
func TestExpectedHeaders(t *testing.T) {
	role := []healthcheck.FieldRule{{Name: "X-Role", Matches: "^primary$"}}
	for _, tt := range []struct {
		name   string
		rules  []healthcheck.FieldRule
		header http.Header
		want   string // empty: passes
	}{
		{"there", role, http.Header{"X-Role": {"primary"}}, ""},
		{"another", role, http.Header{"X-Role": {"primary2"}}, `status 200, but its header X-Role does not match "^primary$"`},
		{"empty", role, http.Header{"X-Role": {""}}, `status 200, but its header X-Role does not match "^primary$"`},
		{"missing", role, http.Header{"X-Roles": {"primary"}, "X-Rol": {"primary"}, "Y": {"X-Role: primary"}}, "status 200, but it has no header X-Role"},
		{"one of several", role, http.Header{"X-Role": {"backup", "primary", "x"}}, ""},
		{"none of several", role, http.Header{"X-Role": {"backup", "x"}}, `status 200, but its header X-Role does not match "^primary$"`},
		{"any value", []healthcheck.FieldRule{{Name: "X-Role"}}, http.Header{"X-Role": {""}}, ""},
		{"in another case", []healthcheck.FieldRule{{Name: "x-ROLE", Matches: "prim"}}, http.Header{"X-Role": {"primary"}}, ""},
		{"both", append([]healthcheck.FieldRule{{Name: "A", Matches: "b"}}, role...), http.Header{"X-Role": {"primary"}, "A": {"abc"}}, ""},
		{"the second missing", append([]healthcheck.FieldRule{{Name: "A", Matches: "b"}}, role...), http.Header{"A": {"abc"}}, "status 200, but it has no header X-Role"},
		{"a field that also delimits the body", []healthcheck.FieldRule{{Name: "Content-Length", Matches: "^2$"}}, http.Header{}, ""},
		{"long", []healthcheck.FieldRule{{Name: "A", Matches: "^x{1000}end$"}}, http.Header{"A": {strings.Repeat("x", 1000) + "end"}}, ""},
	} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			maps.Copy(w.Header(), tt.header)
			_, _ = io.WriteString(w, "ok")
		}))
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetHTTP1(true)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
		for _, version := range []healthcheck.HTTPVersion{healthcheck.HTTP11, healthcheck.HTTP2} {
			target := probetest.HTTPTarget(s.Listener.Addr().(*net.TCPAddr).AddrPort(), 10*time.Second)
			target.Config.Version, target.Config.Fields = version, tt.rules
			want := healthcheck.Pass("status 200")
			if tt.want != "" {
				want = probetest.Fail(tt.want)
			}
			if got, _ := probeOnce(target); got != want {
				t.Errorf("%s, version %s: %+v, want %+v", tt.name, version, got, want)
			}
			if got, _ := carry(target); got.Reason != "not carried" {
				t.Errorf("%s: the engine, which does not look at fields, carries the check: %+v", tt.name, got)
			}
		}
		s.Close()
	}
}
