// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/bounded"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// TestHeaders: each answer, also of an error, forbids what the page does not need. Nothing but reading is possible.
func TestHeaders(t *testing.T) {
	site := start(t, &source{status: api.Status{Name: "lb1"}})
	for _, c := range []struct {
		method, path, host string
		code               int
		kind               string
	}{
		{"GET", "/", "lb1", 200, "text/html; charset=utf-8"},
		{"HEAD", "/", "lb1", 200, "text/html; charset=utf-8"},
		{"GET", "/parts?after=0", "lb1", 200, "application/json"},
		{"GET", "/parts?after=18446744073709551615", "lb1", 200, "application/json"},
		{"GET", "/parts", "lb1", 400, "text/plain; charset=utf-8"},
		{"GET", "/parts?after=-1", "lb1", 400, "text/plain; charset=utf-8"},
		{"GET", "/parts?after=x&after=1", "lb1", 400, "text/plain; charset=utf-8"},
		{"GET", "/style.css", "lb1", 200, "text/css; charset=utf-8"},
		{"GET", "/script.js", "lb1", 200, "text/javascript; charset=utf-8"},
		{"GET", "/icon.svg", "lb1", 200, "image/svg+xml"},
		{"GET", "/v1/status", "lb1", 404, "text/plain; charset=utf-8"},
		{"GET", "/metrics", "lb1", 404, "text/plain; charset=utf-8"},
		{"GET", "/style.css/", "lb1", 404, "text/plain; charset=utf-8"},
		{"POST", "/", "lb1", 405, "text/plain; charset=utf-8"},
		{"PUT", "/parts", "lb1", 405, "text/plain; charset=utf-8"},
		{"DELETE", "/style.css", "lb1", 405, "text/plain; charset=utf-8"},
		{"OPTIONS", "/", "lb1", 405, "text/plain; charset=utf-8"},
		{"POST", "/v1/failover", "lb1", 404, "text/plain; charset=utf-8"},
		{"GET", "/", "evil.example", 421, "text/plain; charset=utf-8"},
		{"POST", "/", "evil.example", 421, "text/plain; charset=utf-8"},
	} {
		r := httptest.NewRequest(c.method, c.path, strings.NewReader("after=1"))
		r.Host = c.host
		w := httptest.NewRecorder()
		site.Handler().ServeHTTP(w, r)
		got := w.Result()
		if got.StatusCode != c.code || got.Header.Get("Content-Type") != c.kind {
			t.Errorf("%s %s as %s: status %d, %q; want %d, %q", c.method, c.path, c.host, got.StatusCode, got.Header.Get("Content-Type"), c.code, c.kind)
		}
		for name, want := range headers {
			if got.Header.Get(name) != want {
				t.Errorf("%s %s: %s is %q", c.method, c.path, name, got.Header.Get(name))
			}
		}
		for _, name := range []string{"Access-Control-Allow-Origin", "Set-Cookie"} {
			if value := got.Header.Get(name); value != "" {
				t.Errorf("%s %s has %s: %s", c.method, c.path, name, value)
			}
		}
		if tag := got.Header.Get("ETag"); c.code == 200 {
			if again := get(site, c.path, "If-None-Match", tag); c.method == "GET" && again.StatusCode != http.StatusNotModified {
				t.Errorf("%s again: status %d", c.path, again.StatusCode)
			}
		}
	}
	policy := headers["Content-Security-Policy"]
	if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Errorf("the policy is %s", policy)
	}
}

// TestNames: a website cannot read the page by a name of its own that leads here.
func TestNames(t *testing.T) {
	site := New(hclog.NewNullLogger(), &source{})
	site.SetNames([]string{"", "lb1.example.com", "LB1"})
	for host, want := range map[string]bool{
		"": true, "10.0.0.1": true, "10.0.0.1:9106": true, "[fd00::1]:9106": true, "[fd00::1]": true, "[fe80::1%eth0]:9106": true,
		"localhost:9106": true, "lb1": true, "lb1:9106": true, "lb1.example.com:9106": true, "LB1.Example.com": true, "lb1.example.com.": true,
		"evil.example:9106": false, "lb1.example.com.evil.example": false, "10.0.0.1.evil.example": false, "evil.example.": false, "lb2.example.com": false,
	} {
		if got := site.serves(host); got != want {
			t.Errorf("%q: %t, want %t", host, got, want)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Host = "evil.example"
	w := httptest.NewRecorder()
	site.Handler().ServeHTTP(w, r)
	if want := "the page is not served as \"evil.example\": open it by the director's address, or add the name to hosts of [web]\n"; w.Body.String() != want {
		t.Errorf("got %q", w.Body)
	}
}

// TestHostileReaders: readers that send garbage, send nothing or do not read keep the page from nobody for long.
func TestHostileReaders(t *testing.T) {
	site := start(t, &source{status: api.Status{Name: "lb1", Warnings: []string{strings.Repeat("much ", 4<<20)}}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, limited := bounded.Limits{Connections: 4, Patience: 50 * time.Millisecond, Answer: 100 * time.Millisecond}.Server(site.Handler(), l)
	served := make(chan error, 1)
	go func() { served <- server.Serve(limited) }()
	defer func() {
		_ = server.Close()
		<-served
	}()
	for _, sent := range []string{
		"", "\x16\x03\x01\x02\x00", "GET", "GET / HTTP/1.1\r\nHost: lb1\r\nX: " + strings.Repeat("x", 1<<10), "GET / HTTP/9.9\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: lb1\r\n\r\n", "GET /parts?after=0 HTTP/1.1\r\nHost: lb1\r\n\r\n", strings.Repeat("GET /icon.svg HTTP/1.1\r\nHost: lb1\r\n\r\n", 100),
	} {
		for range 4 {
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, sent) // it may be closed already
		}
	}
	// The limits are short, and this reader has them too: on a busy machine it may need several attempts.
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	var r *http.Response
	for end := time.Now().Add(client.Timeout); time.Now().Before(end); {
		if r, err = client.Get(fmt.Sprintf("http://%s/icon.svg", l.Addr())); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatalf("behind hostile readers: %v", err)
	}
	_ = r.Body.Close()
	if r.StatusCode != http.StatusOK || !r.Close {
		t.Errorf("status %d, and the connection stays open: %t", r.StatusCode, !r.Close)
	}
}

var (
	colour     = regexp.MustCompile(`--([a-z]+): #([0-9a-f]{6});`)
	classNames = regexp.MustCompile(`\.([a-z][a-z0-9]*)`)
)

// luminance follows WCAG 2.2, relative luminance.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	channel := func(v uint64) float64 {
		c := float64(v&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(n>>16) + 0.7152*channel(n>>8) + 0.0722*channel(n)
}

// TestContrast: texts have a contrast of 4.5 to 1 in both themes, and what is drawn has 3 to 1 (WCAG 2.2, 1.4.3 and 1.4.11).
func TestContrast(t *testing.T) {
	light, dark, found := strings.Cut(string(style), "prefers-color-scheme: dark")
	if !found {
		t.Fatal("there is no dark theme")
	}
	for theme, text := range map[string]string{"light": light, "dark": dark} {
		colours := make(map[string]float64)
		for _, c := range colour.FindAllStringSubmatch(text, -1) {
			colours[c[1]] = luminance(t, c[2])
		}
		if len(colours) != 9 {
			t.Errorf("%s: %d colours", theme, len(colours))
		}
		for name, is := range colours {
			least := 4.5
			switch name {
			case "back", "part":
				continue
			case "line":
				least = 3
			}
			for _, behind := range []string{"back", "part"} {
				lighter, darker := max(is, colours[behind]), min(is, colours[behind])
				if ratio := (lighter + 0.05) / (darker + 0.05); ratio < least {
					t.Errorf("%s: %s on %s has %.2f to 1, want %.1f", theme, name, behind, ratio, least)
				}
			}
		}
	}
	if n := strings.Count(string(style), "#"); n != strings.Count(string(style), ": #")+strings.Count(string(style), "#silent") {
		t.Error("a colour is not among those that the themes have")
	}
}

// TestAssets: the files load nothing from elsewhere, and the style knows each length of a bar.
func TestAssets(t *testing.T) {
	for name, content := range map[string]string{"style.css": string(style), "script.js": string(script)} {
		for _, no := range []string{"http:", "https:", "//cdn", "@import", "url(", "eval(", "document.write", "localStorage"} {
			if strings.Contains(content, no) {
				t.Errorf("%s has %q", name, no)
			}
		}
	}
	classes := make(map[string]bool)
	for _, c := range classNames.FindAllStringSubmatch(string(style), -1) {
		classes[c[1]] = true
	}
	for _, class := range []string{
		"b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "b9", "b10", "bar", "critical", "warning", "good", "number", "events", "problems", "drawing", "master", "backup", "fault",
	} {
		if !classes[class] {
			t.Errorf("the style has no class %s", class)
		}
	}
}
