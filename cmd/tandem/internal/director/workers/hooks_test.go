// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/hooks"
	"github.com/tandem-lvs/tandem/configs"
)

// hookRun is the run of a hook about a router that became master.
func hookRun(h configs.Hook) hooks.Run {
	h.Name, h.User = "notify", strconv.Itoa(os.Geteuid())
	if h.Timeout == 0 {
		h.Timeout = 10 * time.Second
	}
	return hooks.Run{ID: 7, Hook: &h, Attempt: 2, Event: hooks.Event{
		Subject: hooks.Subject{Kind: hooks.Router, Name: "web"}, What: configs.HookMaster, Reason: "startup", Priority: 150, Weighted: 150,
	}}
}

// runHooks runs hooks, and returns their results and the log.
func runHooks(t *testing.T, runs ...hooks.Run) (problems []string, log string) {
	t.Helper()
	var text bytes.Buffer
	results := make(chan core.Event, len(runs))
	w := &Hooks{Log: hclog.New(&hclog.LoggerOptions{Output: &text}), Post: func(ev core.Event) { results <- ev }, In: NewMailbox[[]hooks.Run]()}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	w.In.Merge(runs, MergeRuns)
	for range runs {
		ev := (<-results).(core.HookEnded)
		if ev.ID != 7 {
			t.Errorf("%+v", ev)
		}
		problems = append(problems, ev.Result.Problem)
	}
	cancel()
	<-ended
	return problems, text.String()
}

func TestHookCommands(t *testing.T) {
	problems, log := runHooks(t, hookRun(configs.Hook{
		Command: []string{"/bin/sh", "-c", `echo "$@" $TANDEM_EVENT; exit 3`, "sh"}, Style: configs.HookKeepalived,
	}))
	if problems[0] != "exit code 3" || !strings.Contains(log, `hook says: hook=notify subject="router web" event=master line="INSTANCE web MASTER 150 master"`) {
		t.Errorf("%q, log %s", problems, log)
	}
}

// When the director leaves, hooks that run are killed.
func TestHooksEndWithTheDirector(t *testing.T) {
	dir := t.TempDir()
	w := &Hooks{Log: hclog.NewNullLogger(), Post: func(core.Event) {}, In: NewMailbox[[]hooks.Run]()}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	w.In.Put([]hooks.Run{hookRun(configs.Hook{Command: []string{"/bin/sh", "-c", "touch " + dir + "/begun; sleep 100"}, Timeout: time.Minute})})
	for limit := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "begun")); err == nil {
			break
		} else if time.Now().After(limit) {
			t.Fatal(err)
		}
	}
	cancel()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("it waits for the hook")
	}
}

func TestHookURLs(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 1)
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/ok":
			asked <- r.Method + " " + r.Header.Get("Content-Type") + " " + r.Header.Get("Authorization") + " " + string(body)
			w.WriteHeader(http.StatusAccepted)
		case "/moved":
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		case "/hang":
			<-hang
		default:
			t.Errorf("asked for %s", r.URL.Path)
		}
	}))
	defer server.Close()
	defer close(hang)
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, tt := range []struct {
		hook configs.Hook
		want string
	}{
		{configs.Hook{URL: server.URL + "/ok", SecretFile: secret}, ""},
		{configs.Hook{URL: server.URL + "/moved", SecretFile: secret}, "status 307 Temporary Redirect"},
		{configs.Hook{URL: server.URL + "/hang", Timeout: 100 * time.Millisecond}, "it took too long"},
		{configs.Hook{URL: gone.URL}, "failed to post: "},
		{configs.Hook{URL: server.URL + "/ok", SecretFile: "/no/such/secret"}, "failed to read the secret: "},
	} {
		problems, _ := runHooks(t, hookRun(tt.hook))
		if tt.want == "" && problems[0] != "" || !strings.HasPrefix(problems[0], tt.want) {
			t.Errorf("%s: %q, want %q", tt.hook.URL, problems[0], tt.want)
		}
	}
	const want = `POST application/json Bearer s3cret {"event":"master","kind":"router","name":"web","reason":"startup",` +
		`"time":"0001-01-01T00:00:00Z","director":"","hook":"notify","attempt":2,"priority":150}`
	if got := <-asked; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSecrets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	for _, tt := range []struct {
		text string
		mode os.FileMode
		want string
	}{
		{"s3cret\n", 0o400, ""},
		{"s3cret\n", 0o640, "is open to others than its owner (mode 0640)"},
		{"\n", 0o600, "is empty"},
		{"two words", 0o600, "is no secret"},
		{strings.Repeat("x", 5000), 0o600, "is no secret"},
	} {
		_ = os.Remove(path)
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		secret, err := ReadSecret(path)
		if tt.want == "" && (err != nil || secret != "s3cret") || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%+v: %q, %v", tt, secret, err)
		}
	}
}
