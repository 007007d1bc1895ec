// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// A draining server has the connections of the list, a look after the other, and fails at its end.
type draining []int

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

func TestProgressOnATerminalIsOneLine(t *testing.T) {
	var out bytes.Buffer
	p := progress{w: &out, terminal: true}
	p.show("10 connections")
	p.show("10 connections")
	p.show("9 connections")
	p.done("done")
	if got, want := out.String(), "\r10 connections\r9 connections \rdone         \n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWeightWantsANumberOrReset(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"www/192.0.2.11", "the weight is missing"},
		{"www/192.0.2.11 65536", `"65536" is not a weight: write a number from 0 to 65535`},
		{"www/192.0.2.11 -- -1", `"-1" is not a weight`},
		{"www/192.0.2.11 5 --reset", "leave out the number"},
	} {
		if _, _, err := execute(t, append([]string{"weight"}, strings.Fields(c.args)...)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("tandem weight %s: %v", c.args, err)
		}
	}
}

func TestCheckNamesSchedulersThatTheKernelLacks(t *testing.T) {
	cfg := &configs.Config{File: "t.toml", Services: []configs.Service{
		{Name: "a", Virtuals: []lvs.Service{{Scheduler: "rr"}}},
		{Name: "b", Virtuals: []lvs.Service{{Scheduler: "twos"}}},
	}}
	err := missingSchedulers(cfg, []string{"rr", "wrr"})
	want := "t.toml: service b: this kernel has no scheduler twos; install the module ip_vs_twos, or choose one of rr, wrr"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
