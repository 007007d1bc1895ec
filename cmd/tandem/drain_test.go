// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

// A draining server answers with the numbers of the list, one after the other. After the last it fails.
type draining []int

// A binding server still has persistent clients after its last connection has ended.
type binding struct{ draining }

func (b *binding) Server(ctx context.Context, name string) (control.ServerState, error) {
	s, err := b.draining.Server(ctx, name)
	s.Connections, s.PersistentClients = 0, s.Connections
	return s, err
}

// TestWaitForPersistentClients: a drain is not over while persistence templates send clients to the server.
func TestWaitForPersistentClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		state := control.ServerState{Name: "www/192.0.2.11:80", Connections: 1, PersistentClients: 2}
		const want = "www/192.0.2.11:80: 1 connection, 2 persistent clients\nwww/192.0.2.11:80: 0 connections, 2 persistent clients\n" +
			"www/192.0.2.11:80: 0 connections, 1 persistent client\nwww/192.0.2.11:80: 0 connections\nwww/192.0.2.11:80: drained, no connection is left\n"
		err := awaitDrained(t.Context(), &binding{draining{2, 1, 0, 0}}, state, time.Minute, newProgress(&out))
		if got := out.String(); err != nil || got != want {
			t.Errorf("%v, got\n%s\nwant\n%s", err, got, want)
		}
	})
}

func (d *draining) Server(_ context.Context, name string) (control.ServerState, error) {
	if len(*d) == 0 {
		return control.ServerState{}, errors.New("the director has gone")
	}
	s := control.ServerState{Name: name, Connections: (*d)[0]}
	*d = (*d)[1:]
	return s, nil
}

func TestWaitForADrain(t *testing.T) {
	for _, c := range []struct {
		why   string
		looks draining
		limit time.Duration
		want  string // printed, and the error
		took  time.Duration
	}{
		{"connections end", draining{2, 1, 1, 0, 0}, time.Minute,
			"www/192.0.2.11:80: 3 connections\nwww/192.0.2.11:80: 2 connections\nwww/192.0.2.11:80: 1 connection\n" +
				"www/192.0.2.11:80: 0 connections\nwww/192.0.2.11:80: drained, no connection is left\n", 2500 * time.Millisecond},
		{"a handshake was under way", draining{0, 1, 0, 0}, time.Minute,
			"www/192.0.2.11:80: 3 connections\nwww/192.0.2.11:80: 0 connections\nwww/192.0.2.11:80: 1 connection\n" +
				"www/192.0.2.11:80: 0 connections\nwww/192.0.2.11:80: drained, no connection is left\n", 2 * time.Second},
		{"some stay", draining{3, 3, 3, 3, 3}, 1200 * time.Millisecond,
			"www/192.0.2.11:80: 3 connections\nwww/192.0.2.11:80 still has 3 connections after 1.2s, and stays drained: " +
				"wait longer, or end them with tandem disable www/192.0.2.11:80", 1200 * time.Millisecond},
		{"the director goes", draining{3}, 0, "www/192.0.2.11:80: 3 connections\nthe director has gone", time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			begun := time.Now()
			state := control.ServerState{Name: "www/192.0.2.11:80", Connections: 3}
			if err := awaitDrained(t.Context(), &c.looks, state, c.limit, newProgress(&out)); err != nil {
				out.WriteString(err.Error())
			}
			if got := out.String(); got != c.want {
				t.Errorf("%s: got\n%s\nwant\n%s", c.why, got, c.want)
			}
			if took := time.Since(begun); took != c.took {
				t.Errorf("%s: took %s, want %s", c.why, took, c.took)
			}
		})
	}
}
