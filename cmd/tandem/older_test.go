// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
)

// olderDirector serves the status that a director of the version before has told, and knows nothing of what came later.
func olderDirector(t *testing.T) (socket string) {
	t.Helper()
	text, err := os.ReadFile("testdata/status-older.json")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) })
	mux.HandleFunc("GET /v1/history", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("[]")) })
	socket = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return socket
}

// TestOlderDirectorHere: the commands of this version work with a director that is not restarted yet, or say that it must be.
func TestOlderDirectorHere(t *testing.T) {
	socket := olderDirector(t)
	out, _, err := execute(t, "status", "--pair", "--socket", socket)
	if err != nil || !strings.Contains(out, "SEEN DIFFERENTLY   lb1      lb2") || strings.Contains(out, "cannot answer") {
		t.Errorf("%v\n%s", err, out)
	}
	for args, path := range map[string]string{
		"apply --pair": "GET /v1/peer/status", "confirm --pair": "GET /v1/peer/status", "history --pair": "GET /v1/peer/history",
		"why --pair": "GET /v1/peer/status", "config log": "GET /v1/config", "plan": "POST /v1/plan",
	} {
		_, _, err := execute(t, append(strings.Fields(args), "--socket", socket)...)
		want := "the director at " + socket + " is of another version of tandem, and does not know " + path + ": restart it"
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("tandem %s: %v, want %s", args, err, want)
		}
	}
}

// TestOlderDirectorThere: what the other director cannot answer is told.
func TestOlderDirectorThere(t *testing.T) {
	text, err := os.ReadFile("testdata/status-older.json")
	if err != nil {
		t.Fatal(err)
	}
	var s control.Status
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		can  []string
		want string
	}{
		{nil, ""}, {[]string{"rollback", "status", "history", "plan", "apply", "confirm", "dance"}, ""},
		{[]string{}, "lb2 is older and cannot answer: status, history, plan, apply, confirm, rollback; commands with --pair need that\n"},
		{[]string{"status", "history", "plan"}, "lb2 is older and cannot answer: apply, confirm, rollback; commands with --pair need that\n"},
	} {
		var b bytes.Buffer
		s.Peer.Can = tt.can
		writePair(&b, s, drill.Forecast{}, time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
		if told := strings.Contains(b.String(), "cannot answer"); told != (tt.want != "") || !strings.Contains(b.String(), tt.want) {
			t.Errorf("%q:\n%s", tt.can, b.String())
		}
	}
}
