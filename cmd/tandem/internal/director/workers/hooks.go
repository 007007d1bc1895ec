// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/hooks"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck/probe/script"
)

// Hooks runs hooks. Which, and how many at the same time, is the core's decision.
type Hooks struct {
	Log  hclog.Logger
	Post Post
	In   Mailbox[[]hooks.Run]
}

// MergeRuns takes all runs.
func MergeRuns(waiting, next []hooks.Run) []hooks.Run { return append(waiting, next...) }

// Run runs hooks until ctx ends. Then it kills those that run.
func (w *Hooks) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case runs := <-w.In:
			for _, r := range runs {
				running.Go(func() { w.one(ctx, r) })
			}
		}
	}
}

// one makes one attempt, logs what it says, and posts the result.
func (w *Hooks) one(ctx context.Context, r hooks.Run) {
	began := time.Now()
	lines, err := attempt(ctx, r)
	took := time.Since(began)
	for _, line := range lines {
		w.Log.Info("hook says", "hook", r.Hook.Name, "subject", r.Event.Subject.String(), "event", r.Event.What.String(), "line", line)
	}
	result := hooks.Result{Took: took}
	if err != nil {
		result.Problem = err.Error()
	}
	w.Post(core.HookEnded{ID: r.ID, Result: result})
}

// attempt runs a hook, at most for its timeout.
func attempt(ctx context.Context, r hooks.Run) (lines []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.Hook.Timeout)
	defer cancel()
	if r.Hook.URL != "" {
		return nil, post(ctx, r)
	}
	c := CommandOf(r.Hook)
	c.Args, c.Env = r.Command(), r.Environment()
	return c.Run(ctx)
}

// CommandOf returns the command of a hook, without the arguments and variables of an event.
func CommandOf(h *configs.Hook) script.Command {
	return script.Command{Args: h.Command, User: h.User, Service: true}
}

// poster posts events. It follows no redirection, so that a secret goes to nobody else, and keeps no connection.
var poster = http.Client{
	Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// post posts an event to the URL of a hook.
func post(ctx context.Context, r hooks.Run) error {
	secret, err := ReadSecret(r.Hook.SecretFile)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Hook.URL, bytes.NewReader(r.JSON()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "tandem")
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	answer, err := poster.Do(req)
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("it took too long")
	}
	if err != nil {
		return fmt.Errorf("failed to post: %w", err)
	}
	_, _ = io.CopyN(io.Discard, answer.Body, 64<<10)
	_ = answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("status %s", answer.Status)
	}
	return nil
}

// ReadSecret reads the file of a secret. An empty path has an empty secret.
func ReadSecret(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("failed to read the secret: %w", err)
	}
	defer func() { _ = f.Close() }()
	if is, err := f.Stat(); err != nil {
		return "", fmt.Errorf("failed to read the secret: %w", err)
	} else if is.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s is open to others than its owner (mode %04o): chmod 600 %s", path, is.Mode().Perm(), path)
	}
	const most = 4 << 10
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	secret := strings.TrimSpace(string(text))
	switch {
	case err != nil:
		return "", fmt.Errorf("failed to read the secret: %w", err)
	case secret == "":
		return "", fmt.Errorf("%s is empty", path)
	case len(text) > most || strings.ContainsFunc(secret, func(c rune) bool { return c <= ' ' || c > '~' }):
		return "", fmt.Errorf("%s is no secret: want one line of at most %d printable ASCII characters without spaces", path, most)
	}
	return secret, nil
}

// ExamineHook says why this machine could not run a hook, as far as can be seen without running it.
func ExamineHook(h *configs.Hook) error {
	if h.URL != "" {
		_, err := ReadSecret(h.SecretFile)
		return err
	}
	c := CommandOf(h)
	if err := c.Examine(); err != nil {
		return err
	}
	return c.Unsafe()
}
