// SPDX-License-Identifier: Apache-2.0

package web

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/bounded"
)

// Limits are the limits for readers. A connection carries one question only, so that no reader keeps another one waiting.
var Limits = bounded.Limits{Connections: 32, Patience: 5 * time.Second, Answer: 10 * time.Second}

var (
	//go:embed style.css
	style []byte
	//go:embed script.js
	script []byte
	//go:embed icon.svg
	icon []byte
)

// headers are those of each answer. A browser loads and runs only what this server has, sends nothing anywhere else, and shows the
// page in no other page.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
	"Referrer-Policy":              "no-referrer",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Permissions-Policy":           "camera=(), geolocation=(), microphone=()",
	"Cache-Control":                "no-cache", // each time, ask whether it has changed
	"Connection":                   "close",
}

// Handler serves the page.
func (s *Site) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.servePage)
	mux.HandleFunc("GET /parts", s.serveParts)
	mux.Handle("GET /style.css", file("text/css; charset=utf-8", style))
	mux.Handle("GET /script.js", file("text/javascript; charset=utf-8", script))
	mux.Handle("GET /icon.svg", file("image/svg+xml", icon))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		if !s.serves(r.Host) {
			http.Error(w, fmt.Sprintf("the page is not served as %.100q: open it by the director's address, or add the name to hosts of [web]", r.Host),
				http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// serves tells whether the page is served under the name by which a browser asks. A website can have its own name lead to this
// machine, and so have a browser in this network read the page for it. Such a name has a dot.
func (s *Site) serves(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") {
		return true
	}
	return slices.ContainsFunc(*s.names.Load(), func(name string) bool { return strings.EqualFold(name, host) })
}

func (s *Site) servePage(w http.ResponseWriter, r *http.Request) {
	is, err := s.sheet(r.Context())
	if err != nil {
		unavailable(w, err)
		return
	}
	answer(w, r, "text/html; charset=utf-8", is.tag, is.document)
}

// serveParts answers with what is new after the edition that the reader has.
func (s *Site) serveParts(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64)
	if err != nil {
		http.Error(w, "want parts?after=NUMBER", http.StatusBadRequest)
		return
	}
	is, err := s.sheet(r.Context())
	if err != nil {
		unavailable(w, err)
		return
	}
	w.Header().Set("As-Of", is.At)
	answer(w, r, "application/json", is.tag, func() []byte { return is.news(after) })
}

func unavailable(w http.ResponseWriter, err error) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, err.Error(), http.StatusServiceUnavailable)
}

// file serves a file that is part of the program.
func file(kind string, content []byte) http.Handler {
	sum := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, kind, tag, func() []byte { return content })
	})
}

// answer answers with a content, unless the reader has it already.
func answer(w http.ResponseWriter, r *http.Request, kind, tag string, content func() []byte) {
	w.Header().Set("ETag", tag)
	if slices.Contains(strings.Split(strings.ReplaceAll(r.Header.Get("If-None-Match"), " ", ""), ","), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	text := content()
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text) // fails only if the reader is gone
}
