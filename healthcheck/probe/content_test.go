// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

func sumOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func TestContent(t *testing.T) {
	full := strings.Repeat("x", maxBody)
	for _, tt := range []struct {
		name    string
		want    healthcheck.Content
		body    string
		refusal string
		err     error
	}{
		{"contains", healthcheck.Content{Contains: "service"}, "in service\n", "", nil},
		{"does not", healthcheck.Content{Contains: "service"}, "in servic", `its body does not contain "service"`, nil},
		{"matches", healthcheck.Content{Matches: `^nodes: [3-9]$`}, "nodes: 4", "", nil},
		{"matches a part", healthcheck.Content{Matches: `[3-9]`}, "nodes: 4 of 5", "", nil},
		{"does not match", healthcheck.Content{Matches: `nodes: [3-9]`}, "nodes: 2", `its body does not match "nodes: [3-9]"`, nil},
		{"sum", healthcheck.Content{SHA256: sumOf("test")}, "test", "", nil},
		{"sum of an empty body", healthcheck.Content{SHA256: sumOf("")}, "", "", nil},
		{"another sum", healthcheck.Content{SHA256: sumOf("test")}, "test\n", "its body has another SHA-256", nil},
		{"all of it", healthcheck.Content{Contains: "a", Matches: "b", SHA256: sumOf("ab")}, "ab", "", nil},
		{"all but the first", healthcheck.Content{Contains: "c", Matches: "b", SHA256: sumOf("ab")}, "ab", `its body does not contain "c"`, nil},
		{"all but the last", healthcheck.Content{Contains: "a", Matches: "b", SHA256: sumOf("a")}, "ab", "its body has another SHA-256", nil},
		{"lacks", healthcheck.Content{Lacks: "error"}, "no err or", "", nil},
		{"lacks, of an empty body", healthcheck.Content{Lacks: "error"}, "", "", nil},
		{"does not lack", healthcheck.Content{Lacks: "error"}, "an error\n", `its body contains "error"`, nil},
		{"does not lack, behind what it contains", healthcheck.Content{Contains: "a", Matches: "n", Lacks: "error"}, "an error", `its body contains "error"`, nil},
		{"lacks, but does not contain", healthcheck.Content{Contains: "x", Lacks: "error"}, "an", `its body does not contain "x"`, nil},
		{"lacks in the first 1 MiB", healthcheck.Content{Contains: "x", Lacks: "error"}, full + "error", "", nil},
		{"does not lack at the end of the first 1 MiB", healthcheck.Content{Lacks: "error"}, full[5:] + "error", `its body contains "error"`, nil},
		{"lacks, but is too long for its sum", healthcheck.Content{Lacks: "error", SHA256: sumOf(full)}, full + "x", "", errLongBody},
		{"lacks, but is too long to match", healthcheck.Content{Lacks: "error", Matches: "y"}, full + "x", "", errLongBody},
		{"lacks, but is too long to contain", healthcheck.Content{Lacks: "error", Contains: "y"}, full + "x", "", errLongBody},
		{"as long as may be", healthcheck.Content{SHA256: sumOf(full)}, full, "", nil},
		{"one longer", healthcheck.Content{SHA256: sumOf(full + "x")}, full + "x", "", errLongBody},
		{"too long, but known before", healthcheck.Content{Contains: "x"}, full + "x", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			readers := map[string]io.Reader{"whole": strings.NewReader(tt.body)}
			if len(tt.body) < 100 {
				readers["byte by byte"] = iotest.OneByteReader(strings.NewReader(tt.body))
				readers["with the end"] = iotest.DataErrReader(strings.NewReader(tt.body))
			}
			for how, body := range readers {
				if refusal, err := judgeBody(&tt.want, body); refusal != tt.refusal || !errors.Is(err, tt.err) {
					t.Errorf("%s: %q, %v; want %q, %v", how, refusal, err, tt.refusal, tt.err)
				}
			}
		})
	}
}

func TestExpectedBodies(t *testing.T) {
	wants := func(s string) func(*healthcheck.Config) {
		return func(c *healthcheck.Config) { c.Content.Contains = s }
	}
	lacks := func(s string) func(*healthcheck.Config) {
		return func(c *healthcheck.Config) { c.Content.Lacks = s }
	}
	chunked := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, tt := range []struct {
		name   string
		change func(*healthcheck.Config)
		answer string
		want   healthcheck.Result
	}{
		{"of a given length", wants("ok"), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", healthcheck.Pass("status 200 with the expected body")},
		{"to the end of the connection", wants("ok"), "HTTP/1.0 200 OK\r\n\r\nok", healthcheck.Pass("status 200 with the expected body")},
		{"in chunks", wants("ok"), chunked + "1\r\no\r\n1\r\nk\r\n0\r\n\r\n", healthcheck.Pass("status 200 with the expected body")},
		{"after interim responses", wants("ok"), "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
			healthcheck.Pass("status 200 with the expected body")},
		{"another", wants("ok"), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", probetest.Fail(`status 200, but its body does not contain "ok"`)},
		{"that lacks a text", lacks("no"), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", healthcheck.Pass("status 200 with the expected body")},
		{"that does not lack it", lacks("ok"), chunked + "1\r\no\r\n1\r\nk\r\n0\r\n\r\n", probetest.Fail(`status 200, but its body contains "ok"`)},
		{"that may not lack it, cut short", lacks("no"), "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\no", probetest.Fail("connection closed in the middle of the response body")},
		{"of another status", wants("ok"), "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nok", probetest.Fail("status 500, want 200-299")},
		{"cut short", wants("ok"), "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\no", probetest.Fail("connection closed in the middle of the response body")},
		{"in broken chunks", wants("ok"), chunked + "zz\r\n", probetest.Fail("malformed response body")},
		{"in a chunk cut short", wants("ok"), chunked + "5\r\no", probetest.Fail("connection closed in the middle of the response body")},
		{"of a header cut short", wants("ok"), "HTTP/1.1 200 OK\r\nA: b\r\n", probetest.Fail("connection closed in the middle of the response header")},
		{"of something else", wants("ok"), "220 mail\r\n", probetest.Fail("malformed response: not HTTP/1.0 or 1.1: the server speaks SMTP or FTP")},
		{"none at all", wants("ok"), "", probetest.Fail("connection closed before a response")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			probetest.NoLeftovers(t)
			target := probetest.HTTPTarget(probetest.Serve(t, probetest.Hear(tt.answer)), 5*time.Second)
			tt.change(&target.Config)
			if got, _ := probeOnce(target); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// Whatever body a server sends, the probe ends, and its memory stays constant.
func TestEndlessBodies(t *testing.T) {
	for _, tt := range []struct{ name, first, more, want string }{
		{"body of 10 GB", "HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n", "x", "body longer than 1 MiB"},
		{"chunks without end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", "body longer than 1 MiB"},
		{"header without end", "HTTP/1.1 200 OK\r\n", "a: b\r\n", "malformed response: header longer than 64 KiB"},
		{"interim responses without end", "", "HTTP/1.1 100 Continue\r\n\r\n", "malformed response: header longer than 64 KiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			probetest.NoLeftovers(t)
			chunk := []byte(strings.Repeat(tt.more, 4096/len(tt.more)))
			target := probetest.HTTPTarget(probetest.Serve(t, func(c *net.TCPConn) {
				probetest.Hear(tt.first)(c)
				for {
					if _, err := c.Write(chunk); err != nil {
						return
					}
				}
			}), 20*time.Second)
			target.Config.Content = healthcheck.Content{Contains: "y", Matches: "y|z"}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got, _ := probeOnce(target)
			runtime.ReadMemStats(&after)
			if got != probetest.Fail(tt.want) {
				t.Errorf("%+v, want %q", got, tt.want)
			}
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 4<<20 {
				t.Errorf("the probe allocated %d bytes", allocated)
			}
		})
	}
}

// FuzzExamine: whatever a server sends, a check of the body ends with a known reason.
func FuzzExamine(f *testing.F) {
	for _, seed := range []string{
		"", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"HTTP/1.1 100 C\r\n\r\n", "HTTP/1.0 200\r\n\r\nok", "220 smtp\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	target := probetest.HTTPTarget(probetest.Addr, 10*time.Second)
	target.Config.Content = healthcheck.Content{Contains: "ok"}
	f.Fuzz(func(t *testing.T, response []byte) {
		got := pipe(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1024))
			_, _ = c.Write(response)
		}).Probe(t.Context(), &target)
		for _, known := range []string{"status ", "malformed response", "connection closed "} {
			if strings.HasPrefix(got.Reason, known) && (got.Outcome == healthcheck.Passed) == strings.HasSuffix(got.Reason, " with the expected body") {
				return
			}
		}
		t.Errorf("%+v", got)
	})
}
