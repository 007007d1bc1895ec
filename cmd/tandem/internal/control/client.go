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
	// askTimeout is how long a director may take to answer a question. commandTimeout is how long it may take to carry
	// out a command: to hand over at the longest interval that there is takes two minutes.
	askTimeout     = 10 * time.Second
	commandTimeout = 150 * time.Second
)

// maxAnswer bounds what a client reads: 10,000 services of 10 servers take some 30 MB.
const maxAnswer = 256 << 20

// A Client asks the director that listens at one control socket.
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

// Status asks what the director is and does.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	body, err := c.Raw(ctx)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return s, fmt.Errorf("read the director's answer: %w", err)
	}
	return s, nil
}

// Raw is Status as the director wrote it, with members that this client may not know.
func (c *Client) Raw(ctx context.Context) ([]byte, error) {
	return c.do(ctx, http.MethodGet, statusPath, nil)
}

// Reload makes the director read its configuration again. The error has a line for each mistake in it.
func (c *Client) Reload(ctx context.Context) error {
	_, err := c.do(ctx, http.MethodPost, reloadPath, nil)
	return err
}

// Failover makes the director hand the named virtual routers over, or all that it is master of; it returns those that
// the peer took, also beside an error.
func (c *Client) Failover(ctx context.Context, routers []string) (RoutersDone, error) {
	return c.onRouters(ctx, failoverPath, routers)
}

// Release lets the named virtual routers, or all, take part again as configured; it returns those that stood back.
func (c *Client) Release(ctx context.Context, routers []string) (RoutersDone, error) {
	return c.onRouters(ctx, releasePath, routers)
}

func (c *Client) onRouters(ctx context.Context, path string, routers []string) (RoutersDone, error) {
	done, err := ask[RoutersDone](ctx, c, http.MethodPost, path, Selection{Routers: routers})
	var r *refusal
	if errors.As(err, &r) {
		return RoutersDone{Routers: r.Routers, NotRemembered: r.NotRemembered}, err
	}
	return done, err
}

// CommandServer gives an order about a real server, and returns how that stands when the order is carried out.
func (c *Client) CommandServer(ctx context.Context, command ServerCommand) (ServerState, error) {
	return ask[ServerState](ctx, c, http.MethodPost, serversPath, command)
}

// Server tells how a real server stands: SERVICE/ADDRESS or SERVICE/ADDRESS:PORT.
func (c *Client) Server(ctx context.Context, name string) (ServerState, error) {
	return ask[ServerState](ctx, c, http.MethodGet, serversPath+"?server="+url.QueryEscape(name), nil)
}

// ask sends a request, with a body unless that is nil, and reads the answer.
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
		return value, fmt.Errorf("read the director's answer: %w", err)
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
		return nil, fmt.Errorf("read the director's answer: %w", err)
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

// A refusal is a failure that the director put into words.
type refusal struct{ Failure }

func (r *refusal) Error() string { return strings.Join(r.Problems, "\n") }

// explain says what to do about a socket that cannot be reached.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("no director listens at %s: start one with `tandem run`, or name its control socket with --socket", c.path)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("not allowed to use the control socket %s: run this as root or as a member of its group", c.path)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the director at %s does not answer: see whether it is stopped or overloaded", c.path)
	}
	return fmt.Errorf("ask the director at %s: %w", c.path, err)
}
