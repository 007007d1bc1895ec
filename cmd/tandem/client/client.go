// SPDX-License-Identifier: Apache-2.0

package client

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

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
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
	// ErrBroken says that a director has ended a connection without an answer. It may have carried out a command.
	ErrBroken = errors.New("ended the connection without an answer")
	// ErrUnanswered says that the other director may have carried out a command, or not.
	ErrUnanswered = errors.New("the other director did not answer")
)

// A Client sends requests and commands to the director that listens at one control socket.
type Client struct {
	path string
	http http.Client
}

// New returns a client of the director whose control socket is at path.
func New(path string) *Client {
	return NewOver(path, &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	})
}

// NewOver returns a client that reaches a director in another way: through a tunnel, say. Errors call the director by the path.
func NewOver(path string, transport http.RoundTripper) *Client {
	c := &Client{path: path}
	c.http.Transport = transport
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
	return c.Do(ctx, http.MethodGet, api.StatusPath, nil)
}

// Reload makes the director read its configuration again. The error has a line for each mistake in it.
func (c *Client) Reload(ctx context.Context) (Applied, error) {
	return ask[Applied](ctx, c, http.MethodPost, api.ReloadPath, nil)
}

// Apply puts the configuration of a plan into force.
func (c *Client) Apply(ctx context.Context, r ApplyRequest) (Applied, error) {
	return ask[Applied](ctx, c, http.MethodPost, api.ApplyPath, r)
}

// Confirm says that the configuration in force stays.
func (c *Client) Confirm(ctx context.Context) (Applied, error) {
	return ask[Applied](ctx, c, http.MethodPost, api.ConfirmPath, nil)
}

// Rollback puts a former configuration in force again.
func (c *Client) Rollback(ctx context.Context, r RollbackRequest) (Applied, error) {
	return ask[Applied](ctx, c, http.MethodPost, api.RollbackPath, r)
}

// ConfigLog returns the configurations that were in force, the oldest first.
func (c *Client) ConfigLog(ctx context.Context) (ConfigLog, error) {
	return ask[ConfigLog](ctx, c, http.MethodGet, api.ConfigPath, nil)
}

// ConfigFiles returns the files of a configuration that was in force.
func (c *Client) ConfigFiles(ctx context.Context, r ConfigSelection) (ConfigFiles, error) {
	return ask[ConfigFiles](ctx, c, http.MethodPost, api.ConfigPath, r)
}

// Plan returns what a reload would change. The error has a line for each mistake in the configuration.
func (c *Client) Plan(ctx context.Context, r PlanRequest) (Plan, error) {
	return ask[Plan](ctx, c, http.MethodPost, api.PlanPath, r)
}

// Failover makes the director hand the named virtual routers over. Without names, it hands over all of which it is master. It
// returns those that the peer took over, even if there is an error about others.
func (c *Client) Failover(ctx context.Context, routers []string) (RoutersDone, error) {
	return c.commandRouters(ctx, api.FailoverPath, routers)
}

// Release ends the standby of the named virtual routers. Without names, it ends the standby of all. It returns those that
// were in standby.
func (c *Client) Release(ctx context.Context, routers []string) (RoutersDone, error) {
	return c.commandRouters(ctx, api.ReleasePath, routers)
}

func (c *Client) commandRouters(ctx context.Context, path string, routers []string) (RoutersDone, error) {
	done, err := ask[RoutersDone](ctx, c, http.MethodPost, path, api.Selection{Routers: routers})
	var r *refusal
	if errors.As(err, &r) {
		return RoutersDone{Routers: r.Routers, NotRemembered: r.NotRemembered}, err
	}
	return done, err
}

// Upgrade makes the director replace itself by the installed version. It returns when the former version has ended: ask for the status
// until Upgraded has a higher Count. After an error the director goes on as before.
func (c *Client) Upgrade(ctx context.Context) error {
	_, err := ask[Status](ctx, c, http.MethodPost, api.UpgradePath, nil)
	switch {
	case err == nil:
		return errors.New("the director did not replace itself")
	case errors.Is(err, ErrBroken):
		return nil
	}
	return err
}

// CommandServer sends a command about a real server, and returns the server's state once the command is carried out.
func (c *Client) CommandServer(ctx context.Context, command ServerCommand) (ServerState, error) {
	return ask[ServerState](ctx, c, http.MethodPost, api.ServersPath, command)
}

// TellDrill tells the director about a drill.
func (c *Client) TellDrill(ctx context.Context, n DrillNews) error {
	_, err := ask[DrillHeard](ctx, c, http.MethodPost, api.DrillPath, n)
	return err
}

// Server returns the state of a real server, which is named SERVICE/ADDRESS or SERVICE/ADDRESS:PORT.
func (c *Client) Server(ctx context.Context, name string) (ServerState, error) {
	return ask[ServerState](ctx, c, http.MethodGet, api.ServersPath+"?"+api.ServerParameter+"="+url.QueryEscape(name), nil)
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
	body, err := c.Do(ctx, method, path, text)
	if err != nil {
		return value, err
	}
	if err := json.Unmarshal(body, &value); err != nil {
		return value, fmt.Errorf("failed to read the director's answer: %w", err)
	}
	return value, nil
}

// Do sends any request, also one that this version has no method for, and returns the body of the answer. A question (GET) may take 10 s,
// and a command or a question to the other director 180 s.
func (c *Client) Do(ctx context.Context, method, path string, request []byte) ([]byte, error) {
	timeout := askTimeout
	if method != http.MethodGet || strings.HasPrefix(path, api.PeerPath) {
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
		return nil, c.explain(fmt.Errorf("failed to read the director's answer: %w", err))
	}
	if resp.StatusCode == http.StatusOK {
		return body, nil
	}
	if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusMethodNotAllowed {
		return nil, fmt.Errorf("the director at %s is of another version of tandem, and does not know %s %s: restart it, so that it runs the "+
			"version that is installed", c.path, method, strings.SplitN(path, "?", 2)[0])
	}
	var f api.Failure
	if json.NewDecoder(bytes.NewReader(body)).Decode(&f) != nil || len(f.Problems) == 0 {
		return nil, fmt.Errorf("the director answered %s", resp.Status)
	}
	return nil, &refusal{f}
}

// A refusal is the error that carries a director's sentences.
type refusal struct{ api.Failure }

func (r *refusal) Error() string { return strings.Join(r.Problems, "\n") }

// Is makes a refusal an ErrUnanswered if it says so.
func (r *refusal) Is(target error) bool { return target == ErrUnanswered && r.Unanswered }

// explain returns an error that says how to reach the director.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("%w at %s: start it with `systemctl start tandem`, or give the path of its control socket with --socket", ErrNoDirector, c.path)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("no permission to use the control socket %s: run this command as root or as a member of the socket's group", c.path)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the director at %s %w: check whether its process is stopped or overloaded", c.path, ErrSilent)
	}
	for _, broken := range []error{io.EOF, io.ErrUnexpectedEOF, unix.ECONNRESET, unix.EPIPE} {
		if errors.Is(err, broken) {
			return fmt.Errorf("the director at %s %w: look whether it was stopped or killed", c.path, ErrBroken)
		}
	}
	return fmt.Errorf("failed to reach the director at %s: %w", c.path, err)
}
