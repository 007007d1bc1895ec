// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/healthcheck"
)

func TestHead(t *testing.T) {
	tests := []struct {
		name   string
		bytes  string
		status int // 0: not yet, or an error
		err    error
	}{
		{"plain", "HTTP/1.1 200 OK\r\nA: b\r\n\r\n", 200, nil},
		{"with a body", "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nHTTP/", 404, nil},
		{"no header lines", "HTTP/1.1 204 No Content\r\n\r\n", 204, nil},
		{"version 1.0", "HTTP/1.0 503 Down\r\n\r\n", 503, nil},
		{"no reason phrase", "HTTP/1.1 200 \r\n\r\n", 200, nil},
		{"nor the space before it", "HTTP/1.1 200\r\n\r\n", 200, nil},
		{"bare line feeds", "HTTP/1.1 200\nA: b\n\n", 200, nil},
		{"status beyond those assigned", "HTTP/1.1 999 What\r\n\r\n", 999, nil},
		{"interim responses first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 200, nil},
		{"101 is final", "HTTP/1.1 101 Switching Protocols\r\n\r\n", 101, nil},

		{"nothing", "", 0, nil},
		{"half a status line", "HTTP/1.1 20", 0, nil},
		{"no end of the header", "HTTP/1.1 200 OK\r\nA: b\r\n", 0, nil},
		{"a line of one byte is not empty", "HTTP/1.1 200 OK\r\na\r\n", 0, ErrNoColon},
		{"interim response only", "HTTP/1.1 100 Continue\r\n\r\n", 0, nil},

		{"another protocol", "SSH-2.0-OpenSSH_9.2\r\n", 0, ErrNotHTTP},
		{"wrong from the fifth byte", "HTTPS", 0, ErrNotHTTP},
		{"version 2", "HTTP/2.0 200 OK\r\n\r\n", 0, ErrNotHTTP},
		{"version 0.9 is only a body", "<html>", 0, ErrNotHTTP},
		{"status of two digits", "HTTP/1.1 20 OK\r\n\r\n", 0, ErrStatusLine},
		{"status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", 0, ErrStatusLine},
		{"status that is none", "HTTP/1.1 099 Low\r\n\r\n", 0, ErrStatusLine},
		{"status in letters", "HTTP/1.1 abc OK\r\n\r\n", 0, ErrStatusLine},
		{"empty line first", "\r\nHTTP/1.1 200 OK\r\n\r\n", 0, ErrNotHTTP},
		{"zero bytes", "\x00\x00", 0, ErrNotHTTP},
		{"header up to the limit", "HTTP/1.1 200 OK\r\nA:" + strings.Repeat("a", MaxHead-23) + "\r\n\r\n", 200, nil},
		{"header one beyond it", "HTTP/1.1 200 OK\r\nA:" + strings.Repeat("a", MaxHead-22) + "\r\n\r\n", 0, ErrTooLong},
		{"endless line", "HTTP/1.1 200 " + strings.Repeat("a", MaxHead), 0, ErrTooLong},
		{"endless interim responses", strings.Repeat("HTTP/1.1 100 C\r\n\r\n", MaxHead/18+1), 0, ErrTooLong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, piece := range []int{1, 3, 1024, 1 << 20} {
				status, err := feedAll([]byte(tt.bytes), piece)
				if status != tt.status || !errors.Is(err, tt.err) {
					t.Errorf("in pieces of %d: status %d, %v; want %d, %v", piece, status, err, tt.status, tt.err)
				}
			}
		})
	}
}

// feedAll returns the status once the head is complete, 0 before.
func feedAll(b []byte, piece int) (int, error) {
	var h Head
	for len(b) > 0 {
		n := min(piece, len(b))
		_, done, err := h.Feed(b[:n])
		if err != nil {
			return 0, err
		}
		if done {
			return h.Status, nil
		}
		b = b[n:]
	}
	return 0, nil
}

// FuzzHead compares Head with net/http: where both understand a response, they agree on its status. The pieces in which
// the bytes arrive make no difference.
func FuzzHead(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody", "HTTP/1.0 503\n\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\n\r\n",
		"HTTP/1.1 200 OK\r\n folded\r\n\r\n", "SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\n\r\r\n", "",
	} {
		f.Add([]byte(seed), uint16(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, piece uint16) {
		status, err := feedAll(b, 1+int(piece))
		whole, errWhole := feedAll(b, len(b)+1)
		if status != whole || !errors.Is(err, errWhole) {
			t.Fatalf("in pieces: %d, %v; whole: %d, %v", status, err, whole, errWhole)
		}
		if status != 0 && (status < 100 || status > 999) {
			t.Fatalf("status %d", status)
		}
		if theirs, ok := netHTTP(b); ok && status != 0 && theirs != status {
			t.Fatalf("status %d, net/http says %d", status, theirs)
		}
	})
}

// netHTTP returns the status of the first final response as net/http reads it.
func netHTTP(b []byte) (status int, ok bool) {
	r := bufio.NewReader(bytes.NewReader(b))
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodHead})
		if err != nil {
			return 0, false
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp.StatusCode, true
		}
	}
}

// A head keeps the fields that are wanted, of the final response only, in any pieces.
func TestWantedFields(t *testing.T) {
	const text = "HTTP/1.1 103 Hints\r\nX-Role: interim\r\n\r\nHTTP/1.1 200 OK\r\nX-Role-Of: nobody\r\nx-role:\t a b \r\nB: c\r\n" +
		"Content-Length:  2\r\nX-Role:\r\nX-ROLE: first\r\n  second\r\n\r\nX-Role: body"
	want := []healthcheck.Header{{Name: "x-role", Value: "a b"}, {Name: "Content-Length", Value: "2"}, {Name: "X-Role", Value: ""}, {Name: "X-ROLE", Value: "first  second"}}
	for piece := 1; piece <= len(text); piece++ {
		h := Head{Wanted: []healthcheck.FieldRule{{Name: "X-Role"}, {Name: "content-length"}}}
		done := false
		for rest := text; !done && rest != ""; {
			n := min(piece, len(rest))
			var err error
			if _, done, err = h.Feed([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if !done || !slices.Equal(h.Fields, want) || h.Length != 2 {
			t.Fatalf("in pieces of %d: done %t, %q, length %d; want %q", piece, done, h.Fields, h.Length, want)
		}
	}
}
