// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/http1"
)

const (
	notHTTP  = "malformed response: not HTTP/1.0 or 1.1"
	badLine  = "malformed response: bad status line"
	badName  = "malformed response: bad name of a header field"
	badChar  = "malformed response: a control character in the header"
	bareCR   = "malformed response: a CR without LF in the header"
	noColon  = "malformed response: a header line without a colon"
	badSize  = "malformed response: bad Content-Length"
	badCoded = "malformed response: bad Transfer-Encoding"
)

// headLies returns headers that break a rule. The body "ok" follows each of them.
func headLies() (all []lie) {
	add := func(rule, name, says, want string) { all = append(all, lie{rule, name, says, want}) }
	start := func(line, want string) {
		add("RFC 9112, 4", fmt.Sprintf("begins with %q", line), line+"\r\nContent-Length: 2\r\n\r\nok", want)
	}
	field := func(rule, line, want string) {
		add(rule, fmt.Sprintf("has the line %q", line), "HTTP/1.1 200 OK\r\n"+line+"\r\nContent-Length: 2\r\n\r\nok", want)
	}
	framed := func(rule, lines, body, want string) {
		add(rule, fmt.Sprintf("has %q before %q", lines, body), "HTTP/1.1 200 OK\r\n"+lines+"\r\n\r\n"+body, want)
	}
	// Truths, and what every common client tolerates.
	for _, line := range []string{
		"HTTP/1.1 200 OK", "HTTP/1.0 200 OK", "HTTP/1.1 200 ", "HTTP/1.1 200", "HTTP/1.1  200 OK", "HTTP/1.1    200 OK",
		"HTTP/1.1 200 \tOK",
		"HTTP/1.1 200 caf\xe9", "HTTP/1.1 299 What", "HTTP/1.2 200 OK", "HTTP/1.9 200 OK", "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK",
		"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK", "HTTP/1.1 100\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK",
	} {
		start(line, "")
	}
	for _, line := range []string{
		"A:", "A: ", "A:b", "A:\t b \t", "A: b\r\n folded", "A: b\r\n\tfolded\r\n  again", "A: caf\xe9 \xff",
		"!#$%&'*+-.^_`|~09azAZ: x", "A: b:c", "A: \"x\ty\"",
		"content-length: 2", "Content-Length: 2, 2", "Content-Length:2", "CONTENT-LENGTH: 0002", "X-Content-Length: -5",
		"Content-Lengths: x", "X: y\nZ: a",
	} {
		field("RFC 9112, 5", line, "")
	}
	framed("RFC 9112, 6.3", "X: y", "ok", "")
	framed("RFC 9112, 6.3", "Transfer-Encoding: chunked\r\nContent-Length: 99", "2\r\nok\r\n0\r\n\r\n", "")
	for _, te := range []string{"chunked", "Chunked", " CHUNKED ", ", chunked", "chunked,"} {
		framed("RFC 9112, 7.1", "Transfer-Encoding: "+te, "2\r\nok\r\n0\r\n\r\n", "")
	}
	add("RFC 9112, 6.1", "is of version 1.0 with Transfer-Encoding", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nok", "")
	add("RFC 9112, 2.2", "ends lines with bare LF", "HTTP/1.1 200 OK\nA: b\nContent-Length: 2\n\nok", "")

	// RFC 9112, section 4: status-line = HTTP-version SP status-code SP [ reason-phrase ]
	for _, begin := range []string{
		"http/1.1", "Http/1.1", "HTTP /1.1", "HTTP/ 1.1", "HTTP/1 .1", "HTTP/1.", "HTTP/11", "HTTP/01.1", "HTTP/1,1", "HTTP/1.x",
		"HTTP/x.1", "HTTP/-1.1",
		"HTTP/1.1\t", "HTTP/1.10", "HTTP/1.1.1", "ICY", "RTSP/1.0", "SIP/2.0", "HTTPS/1.1", "\xef\xbb\xbfHTTP/1.1", " HTTP/1.1",
		"\r\nHTTP/1.1", "\nHTTP/1.1", "HTTP-1.1", "HTTP\\1.1",
		"\x00HTTP/1.1", "HTTP/1.1;", "PHTTP/1.1", "HTTP", "HTTP/",
	} {
		line, want := begin+" 200 OK", notHTTP
		if strings.HasPrefix(line, "HTTP/1.1") {
			want += ": the server speaks HTTP/1.1"
		} else if strings.HasPrefix(line, "HTTP/") {
			want += ": the server speaks HTTP"
		}
		if strings.HasPrefix(line, "HTTP/1.10") {
			want = notHTTP + ": the server speaks HTTP/1.1"
		}
		start(line, want)
	}
	for _, version := range []string{"2", "2.0", "2.1"} {
		start("HTTP/"+version+" 200 OK", notHTTP+": the server speaks HTTP/2 written as text, which does not exist")
	}
	for _, version := range []string{"0.9", "3", "3.0", "9.9"} {
		start("HTTP/"+version+" 200 OK", notHTTP+": the server speaks HTTP")
	}
	for _, code := range []string{
		"+200", "-200", "0200", "2 00", "20", "2", "", "2000", "20000", "200x", "x200", "abc", "2x0", "0xc8", "2e2", "200.0",
		"200,", "200:", "200-OK", "2OO", "\t200", "\x00200",
		"200\x00", "\xb2\xb0\xb0", "٢٠٠", "200/", "/200", "000", "001", "010", "099", "200\t", "200\x0bOK", "OK 200", "OK",
	} {
		start("HTTP/1.1 "+code, badLine)
	}
	for _, c := range controls() {
		start("HTTP/1.1 200 O"+string(rune(c))+"K", badChar)
		field("RFC 9110, 5.5", "A: b"+string(rune(c))+"c", badChar)
	}
	for _, c := range controls() {
		field("RFC 9110, 5.6.2", "A"+string(rune(c))+": b", badName)
	}
	// RFC 9110, section 5.6.2: a name is a token, and RFC 9112, section 5.1: without white space before the colon.
	for _, c := range `"(),/;<=>?@[\]{}` {
		field("RFC 9110, 5.6.2", "A"+string(c)+": b", badName)
	}
	for _, line := range []string{"A : b", "A\t: b", "Content-Length : 2", "Transfer-Encoding : chunked", "\xe9: b", "A\xff: b", "A b: c", ": b", "::", "é: b", "A\u00a0: b"} {
		field("RFC 9112, 5.1", line, badName)
	}
	for _, line := range []string{"A", "hello", "200", "Content-Length", "A=b", "HTTP"} {
		want := noColon
		if strings.Contains(line, "=") {
			want = badName
		}
		field("RFC 9112, 5", line, want)
	}
	for _, line := range []string{" A: b", "\tA: b", "  ", " "} {
		field("RFC 9112, 2.2", line, "malformed response: white space before the first header field")
	}
	for _, line := range []string{"A: b\rc", "A: b\r\r", "A: \r b", "A\r: b", "\rA: b", "A: b\r\x00", "\r", "A: b\r \r\nC: d"} {
		field("RFC 9112, 2.2", line, bareCR)
	}
	// RFC 9112, section 6.3, item 5: a client must discard a response with an invalid Content-Length.
	for _, value := range []string{
		"", " ", "-1", "-0", "+2", "2.0", "2.", ".2", "0x2", "2e0", "two", "2 2", "2,", ",2", ",", "2,3", "2, 3", "1, 2", "2;",
		"2;q=1", "\"2\"", "2\t2", "2 bytes", "99999999999999999999",
		"18446744073709551616", "18446744073709551618", "9223372036854775808", "4294967298 ,", "٢", "²", "\xb2", "2-", "2/2",
		"NaN", "null", "*", "2,2,3", "2, two", "2,,2", "0b10", "02x",
		strings.Repeat("0", 200) + "2",
	} {
		framed("RFC 9112, 6.3", "Content-Length: "+value, "ok", badSize)
	}
	for _, lines := range []string{
		"Content-Length: 2\r\nContent-Length: 3", "Content-Length: 3\r\ncontent-length: 2",
		"Content-Length: 2\r\nX: y\r\nContent-Length: 22", "Content-Length: 2,2\r\nContent-Length: 3",
		"Content-Length: 2\r\n 2", "Content-Length: 2\r\nContent-Length:", "Content-Length: -2\r\nTransfer-Encoding: chunked",
		"Content-Length: 1\r\n\t2",
	} {
		framed("RFC 9110, 8.6", lines, "ok", badSize)
	}
	// RFC 9112, section 6.1: the request offers no coding but chunked, which is applied once, and last.
	for _, value := range []string{
		"", ",", "gzip", "deflate", "compress", "br", "zstd", "x-gzip", "identity", "trailers", "chunked, gzip", "gzip, chunked",
		"chunked, chunked", "chunked;a=b", "chunked; q=0", "xchunked",
		"chunkedx", "chunk", "chunked chunked", "\"chunked\"", "chunked\t, chunked", "identity, chunked", "chunked, identity",
		"CHUNKED, CHUNKED", "cHuNkEd;", "none", "chunked=1", "*", "0", "2",
		strings.Repeat(" ", 200) + "chunked",
	} {
		framed("RFC 9112, 6.1", "Transfer-Encoding: "+value, "2\r\nok\r\n0\r\n\r\n", badCoded)
	}
	for _, lines := range []string{
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
		"Transfer-Encoding: chunked\r\n , chunked", "Transfer-Encoding:\r\n gzip", "Transfer-Encoding: gzip\r\nContent-Length: 2",
	} {
		framed("RFC 9112, 6.1", lines, "2\r\nok\r\n0\r\n\r\n", badCoded)
	}
	return all
}

// A server gets the same verdict whether the check looks at the body or not, and in whatever pieces the bytes arrive.
func TestLiesOfHTTP1(t *testing.T) {
	lies := headLies()
	enough(t, lies)
	plain, looking := probetest.HTTPTarget(probetest.Addr, 0), probetest.HTTPTarget(probetest.Addr, 0)
	looking.Config.Content.Contains = "ok"
	for _, l := range lies {
		status, body := told(t, plain, l.says), told(t, looking, l.says)
		if err := judged(l, status); err != nil {
			t.Errorf("by its status: %v", err)
		}
		if err := judged(l, body); err != nil {
			t.Errorf("by its body: %v", err)
		}
		var h http1.Head
		var err error
		done := false
		for i := range len(l.says) {
			if _, done, err = h.Feed([]byte{l.says[i]}); done || err != nil {
				break
			}
		}
		if (err != nil) != (l.want != "") || err != nil && !strings.HasPrefix(l.want, "malformed response: "+err.Error()) {
			t.Errorf("byte by byte: %s, %s: %v; want %q", l.rule, l.name, err, l.want)
		}
	}
}

// A body is judged only by a check that looks at it.
func TestLiesOfHTTP1Bodies(t *testing.T) {
	const broken, cut = "malformed response body", "connection closed in the middle of the response body"
	chunks := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	target := probetest.HTTPTarget(probetest.Addr, 0)
	target.Config.Content.SHA256 = sumOf("ok")
	for body, want := range map[string]string{
		"2\r\nok\r\n0\r\n\r\n": "", "1\r\no\r\n1\r\nk\r\n0\r\n\r\n": "", "2;a=b\r\nok\r\n0\r\n\r\n": "",
		"0002\r\nok\r\n0\r\n\r\n": "", "2 \r\nok\r\n0\r\n\r\n": "",
		"2\r\nok\r\n0\r\nX: y\r\n\r\n": "",
		"-2\r\nok\r\n0\r\n\r\n":        broken, "+2\r\nok\r\n0\r\n\r\n": broken, "0x2\r\nok\r\n0\r\n\r\n": broken,
		"g\r\nok\r\n0\r\n\r\n": broken, "\r\nok\r\n0\r\n\r\n": broken,
		"2\r\nok0\r\n\r\n": broken, "2\r\nokay\r\n0\r\n\r\n": broken, "2\r\nok\n0\r\n\r\n": broken,
		" 2\r\nok\r\n0\r\n\r\n": broken, "10000000000000002\r\nok\r\n0\r\n\r\n": broken,
		"2\r\nok\rx0\r\n\r\n": broken, "ok": cut, "2\r\no": cut, "2\r\nok\r\n": cut, "3\r\nok": cut, "": cut,
	} {
		if err := judged(lie{"RFC 9112, 7.1", fmt.Sprintf("chunks %q", body), "", want}, told(t, target, chunks+body)); err != nil {
			t.Error(err)
		}
	}
	for head, want := range map[string]string{
		"Content-Length: 2": "", "X: y": "", "Content-Length: 3": cut, "Content-Length: 200": cut,
		"Content-Length: 1": "status 200, but its body has another SHA-256",
		"Content-Length: 0": "status 200, but its body has another SHA-256",
	} {
		if err := judged(lie{"RFC 9112, 6.3", head, "", want}, told(t, target, "HTTP/1.1 200 OK\r\n"+head+"\r\n\r\nok")); err != nil {
			t.Error(err)
		}
	}
}

// A response that cannot have a body has none, whatever its header says (RFC 9110, section 6.4.1).
func TestResponsesWithoutBody(t *testing.T) {
	for _, tt := range []struct{ method, says string }{
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"}, {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{"GET", "HTTP/1.1 204 Empty\r\nContent-Length: 100\r\n\r\n"}, {"GET", "HTTP/1.1 204 Empty\r\n\r\n"},
	} {
		target := probetest.HTTPTarget(probetest.Addr, 0)
		target.Config.Method = tt.method
		if tt.method == "GET" {
			target.Config.Content.SHA256 = sumOf("")
		}
		if got := told(t, target, tt.says); got.Outcome != healthcheck.Passed {
			t.Errorf("%s, %q: %+v", tt.method, tt.says, got)
		}
	}
}
