// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober"
)

// A Driver drives a listener on another machine.
type Driver struct {
	client *http.Client
	base   string
	ahead  prober.Seconds // the listener's clock
	round  time.Duration  // of the fastest request, from which ahead comes; 0: there was none
}

// NewDriver makes a driver of the listener at an address ("192.0.2.1:8475") with the same key.
func NewDriver(address string, key []byte) (*Driver, error) {
	secure, err := tlsConfig(key)
	if err != nil {
		return nil, err
	}
	return &Driver{
		client: &http.Client{Timeout: requestTime, Transport: &http.Transport{TLSClientConfig: secure, MaxIdleConns: 1}},
		base:   "https://" + address,
	}, nil
}

// A refusal is what a listener says instead of an answer.
type refusal string

func (r refusal) Error() string { return string(r) }

const (
	maxReport = 64 << 20
	// patience is how long a driver waits for the report of a probe that must have ended.
	patience = 30 * time.Second
)

// request sends a request, and reads the answer into a value.
func (d *Driver) request(ctx context.Context, method, path string, body, into any) error {
	var text bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			return err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, d.base+path, &text)
	if err != nil {
		return err
	}
	response, err := d.client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	in := json.NewDecoder(io.LimitReader(response.Body, maxReport))
	if response.StatusCode == http.StatusOK {
		return in.Decode(into)
	}
	var no struct{ Error string }
	if err := in.Decode(&no); err != nil || no.Error == "" {
		no.Error = response.Status
	}
	return refusal(no.Error)
}

// look asks how the probe is going, and compares the clocks.
func (d *Driver) look(ctx context.Context, method, path string, body any) (s State, err error) {
	sent := time.Now()
	if err = d.request(ctx, method, path, body, &s); err != nil {
		return s, err
	}
	if round := time.Since(sent); d.round == 0 || round < d.round {
		d.round, d.ahead = round, prober.Seconds(s.Now.Sub(sent.Add(round/2)))
	}
	return s, nil
}

// Look returns how the listener is doing.
func (d *Driver) Look(ctx context.Context) (State, error) {
	defer d.client.CloseIdleConnections()
	return d.look(ctx, http.MethodGet, "/v1/probe", nil)
}

// Run has the listener probe for a time, and returns its report. It shows how the probe is going. Once ctx is done, it ends the
// probe, and returns the report too. A connection that breaks meanwhile is no error if it works again in the end.
func (d *Driver) Run(ctx context.Context, span time.Duration, show func(prober.Live)) (r prober.Report, err error) {
	defer d.client.CloseIdleConnections()
	if _, err := d.look(ctx, http.MethodPost, "/v1/probe", Order{For: prober.Seconds(span)}); err != nil {
		return r, fmt.Errorf("failed to begin a probe: %w", err)
	}
	over := time.Now().Add(span + patience)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for running, stop := true, ctx.Done(); running; {
		select {
		case <-stop:
			stop = nil
			over = time.Now().Add(patience)
		case <-tick.C:
		}
		method, path := http.MethodGet, "/v1/probe"
		if stop == nil {
			method, path = http.MethodPost, "/v1/stop"
		}
		s, err := d.look(context.WithoutCancel(ctx), method, path, nil)
		switch {
		case err == nil:
			if running = s.Running; running && show != nil {
				show(s.Live)
			}
		case errors.As(err, new(refusal)) || time.Now().After(over):
			return r, fmt.Errorf("failed to follow the probe: %w", err)
		}
	}
	if err := d.request(context.WithoutCancel(ctx), http.MethodGet, "/v1/report", nil, &r); err != nil {
		return r, fmt.Errorf("failed to read the report: %w", err)
	}
	r.ClockAhead = &d.ahead
	return r, nil
}
