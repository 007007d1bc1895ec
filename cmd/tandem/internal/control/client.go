// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// askTimeout is for requests (GET), commandTimeout for commands: a hand-over at the longest advertisement interval takes
	// 170 s.
	askTimeout     = 10 * time.Second
	commandTimeout = 180 * time.Second
)

// maxAnswer is the maximum size of an answer. The status of 10,000 services with 10 servers each takes some 30 MB.
const maxAnswer = 256 << 20

var (
	// ErrNoDirector says that nobody listens at a control socket.
	ErrNoDirector = errors.New("no director listens")
	// ErrSilent says that a director listens, and does not answer in time.
	ErrSilent = errors.New("does not answer")
)

// A Client sends requests and commands to the director that listens at one control socket.
type Client struct {
	path string
	http http.Client
}

// NewClient returns a client of the director at the unix socket path.
func NewClient(path string) *Client {
	c := &Client{path: path}
	c.http.Transport = &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	}
	return c
}

// Status returns the state of the director.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	body, err := c.RawStatus(ctx)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return s, fmt.Errorf("failed to read the director's answer: %w", err)
	}
	return s, nil
}

// RawStatus returns the status as the director wrote it, including members that this client does not know.
func (c *Client) RawStatus(ctx context.Context) ([]byte, error) {
	return c.do(ctx, http.MethodGet, statusPath, nil)
}

// Reload makes the director read its configuration again. The error has a line for each mistake in it.
func (c *Client) Reload(ctx context.Context) (Applied, error) {
	return ask[Applied](ctx, c, http.MethodPost, reloadPath, nil)
}

// Apply puts the configuration of a plan into force.
func (c *Client) Apply(ctx context.Context, r ApplyRequest) (Applied, error) {
	return ask[Applied](ctx, c, http.MethodPost, applyPath, r)
}

// Confirm says that the configuration in force stays.
func (c *Client) Confirm(ctx context.Context) (Applied, error) {
	return ask[Applied](ctx, c, http.MethodPost, confirmPath, nil)
}

// Rollback puts a former configuration in force again.
func (c *Client) Rollback(ctx context.Context, r RollbackRequest) (Applied, error) {
	return ask[Applied](ctx, c, http.MethodPost, rollbackPath, r)
}

// ConfigLog returns the configurations that were in force, the oldest first.
func (c *Client) ConfigLog(ctx context.Context) (ConfigLog, error) {
	return ask[ConfigLog](ctx, c, http.MethodGet, configPath, nil)
}

// ConfigFiles returns the files of a configuration that was in force.
func (c *Client) ConfigFiles(ctx context.Context, r ConfigSelection) (ConfigFiles, error) {
	return ask[ConfigFiles](ctx, c, http.MethodPost, configPath, r)
}

// Plan returns what a reload would change. The error has a line for each mistake in the configuration.
func (c *Client) Plan(ctx context.Context, r PlanRequest) (Plan, error) {
	return ask[Plan](ctx, c, http.MethodPost, planPath, r)
}

// Failover makes the director hand the named virtual routers over. Without names, it hands over all of which it is master. It
// returns those that the peer took over, even if there is an error about others.
func (c *Client) Failover(ctx context.Context, routers []string) (RoutersDone, error) {
	return c.commandRouters(ctx, failoverPath, routers)
}

// Release ends the standby of the named virtual routers. Without names, it ends the standby of all. It returns those that
// were in standby.
func (c *Client) Release(ctx context.Context, routers []string) (RoutersDone, error) {
	return c.commandRouters(ctx, releasePath, routers)
}

func (c *Client) commandRouters(ctx context.Context, path string, routers []string) (RoutersDone, error) {
	done, err := ask[RoutersDone](ctx, c, http.MethodPost, path, Selection{Routers: routers})
	var r *refusal
	if errors.As(err, &r) {
		return RoutersDone{Routers: r.Routers, NotRemembered: r.NotRemembered}, err
	}
	return done, err
}

// CommandServer sends a command about a real server, and returns the server's state once the command is carried out.
func (c *Client) CommandServer(ctx context.Context, command ServerCommand) (ServerState, error) {
	return ask[ServerState](ctx, c, http.MethodPost, serversPath, command)
}

// Server returns the state of a real server, which is named SERVICE/ADDRESS or SERVICE/ADDRESS:PORT.
func (c *Client) Server(ctx context.Context, name string) (ServerState, error) {
	return ask[ServerState](ctx, c, http.MethodGet, serversPath+"?server="+url.QueryEscape(name), nil)
}

// ask sends a request, whose body may be nil, and decodes the answer.
func ask[T any](ctx context.Context, c *Client, method, path string, request any) (T, error) {
	var value T
	var text []byte
	var err error
	if request != nil {
		if text, err = json.Marshal(request); err != nil {
			return value, err
		}
	}
	body, err := c.do(ctx, method, path, text)
	if err != nil {
		return value, err
	}
	if err := json.Unmarshal(body, &value); err != nil {
		return value, fmt.Errorf("failed to read the director's answer: %w", err)
	}
	return value, nil
}

func (c *Client) do(ctx context.Context, method, path string, request []byte) ([]byte, error) {
	timeout := askTimeout
	if method != http.MethodGet {
		timeout = commandTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://tandem"+path, bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("failed to read the director's answer: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return body, nil
	}
	var f Failure
	if json.NewDecoder(bytes.NewReader(body)).Decode(&f) != nil || len(f.Problems) == 0 {
		return nil, fmt.Errorf("the director answered %s", resp.Status)
	}
	return nil, &refusal{f}
}

// A refusal is the error that carries a director's Failure.
type refusal struct{ Failure }

func (r *refusal) Error() string { return strings.Join(r.Problems, "\n") }

// explain returns an error that says how to reach the director.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("%w at %s: start one with `tandem run`, or give the path of its control socket with --socket", ErrNoDirector, c.path)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("no permission to use the control socket %s: run this command as root or as a member of the socket's group", c.path)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the director at %s %w: check whether its process is stopped or overloaded", c.path, ErrSilent)
	}
	return fmt.Errorf("failed to reach the director at %s: %w", c.path, err)
}
