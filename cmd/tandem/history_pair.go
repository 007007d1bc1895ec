// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/history"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/summary"
)

// clockTold is the difference of the clocks from which on the user is told that times are corrected.
const clockTold = 100 * time.Millisecond

// An otherSide is the other director, and how far its clock is ahead of ours.
type otherSide struct {
	client     *control.Client
	here, name string
	ahead      time.Duration
	ask        func(context.Context, control.HistoryQuery) ([]control.Event, error)
}

// otherDirector returns the other director. It tells the user how its clock differs.
func otherDirector(cmd *cobra.Command, s *socketFlags) (otherSide, error) {
	o := otherSide{name: "the other director"}
	client, err := s.client(cmd)
	if err != nil {
		return o, err
	}
	is, err := client.Status(cmd.Context())
	if err != nil {
		return o, err
	}
	if is.Peer == nil {
		return o, errNoPeer
	}
	o.client, o.ask, o.here, o.name = client, client.PeerHistory, is.Name, summary.PeerName(is.Peer)
	c := is.Peer.Clock
	if c == nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "the clocks have not been compared: the times of %s are those of its own clock\n", o.name)
		return o, nil
	}
	if o.ahead = time.Duration(c.AheadSeconds * float64(time.Second)); o.ahead.Abs() >= clockTold {
		which := "ahead of"
		if o.ahead < 0 {
			which = "behind"
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "the clock of %s is %s %s ours: its times are corrected by that\n", o.name, o.ahead.Abs().Round(time.Millisecond), which)
	}
	return o, nil
}

// history returns what has happened to the other director, by our clock.
func (o otherSide) history(ctx context.Context, q control.HistoryQuery) ([]control.Event, error) {
	if !q.Since.IsZero() {
		q.Since = q.Since.Add(o.ahead)
	}
	events, err := o.ask(ctx, q)
	events = history.Shift(events, o.ahead)
	for i := range events {
		events[i].Director, events[i].Time = o.name, events[i].Time.UTC() // it tells its own, and events are compared
	}
	return events, err
}

// named makes the lines begin with the name of the director.
func (f *eventFlags) named(o otherSide) { f.width = max(len(o.here), len(o.name), 1) }

// withPeerHistory adds the events of the other director. If it cannot be asked, the error says that they are missing.
func withPeerHistory(cmd *cobra.Command, f *eventFlags, q control.HistoryQuery, ours []control.Event) ([]control.Event, error) {
	o, err := otherDirector(cmd, &f.socketFlags)
	if f.named(o); err != nil {
		return ours, missingEvents(err)
	}
	theirs, err := o.history(cmd.Context(), q)
	if err != nil {
		return ours, missingEvents(err)
	}
	return history.Merge(ours, theirs), nil
}

func missingEvents(err error) error {
	return fmt.Errorf("the events of the other director are missing: %w", err)
}

// peerPoll is the pause between two questions for new events of the other director.
const peerPoll = 2 * time.Second

// followPair prints the events of both directors as they happen, until it is interrupted. Those of the other director come a little
// later.
func followPair(cmd *cobra.Command, f *eventFlags, q control.HistoryQuery) error {
	o, err := otherDirector(cmd, &f.socketFlags)
	if err != nil {
		return missingEvents(err)
	}
	f.named(o)
	ours, err := readHistory(cmd, &f.socketFlags, q)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
	defer stop()
	theirs, err := o.history(ctx, q)
	if err != nil {
		return missingEvents(err)
	}
	p := pairPrinter{cmd: cmd, f: f}
	printed := make(map[control.Event]bool)
	for _, ev := range history.Merge(ours, theirs) {
		ev.Time = ev.Time.UTC()
		if printed[ev] = true; p.print(ev) != nil {
			return nil
		}
	}
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all.Go(func() { p.poll(ctx, o, q, theirs) })
	return o.client.Events(ctx, q, func(ev control.Event) error {
		if ev.Time = ev.Time.UTC(); printed[ev] {
			return nil
		}
		return p.print(ev)
	})
}

// A pairPrinter prints the events of two directors.
type pairPrinter struct {
	cmd *cobra.Command
	f   *eventFlags
	mu  sync.Mutex
}

func (p *pairPrinter) print(ev control.Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.f.print(p.cmd.OutOrStdout(), ev)
}

// poll prints the new events of the other director. It tells when it cannot be asked, and when it can again.
func (p *pairPrinter) poll(ctx context.Context, o otherSide, q control.HistoryQuery, seen []control.Event) {
	printed := make(map[control.Event]bool)
	for _, ev := range seen {
		printed[ev] = true
	}
	asked := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(peerPoll):
		}
		events, err := o.history(ctx, q)
		if ok := err == nil; ok != asked && ctx.Err() == nil {
			if asked = ok; ok {
				fmt.Fprintf(p.cmd.ErrOrStderr(), "%s can be asked again\n", o.name)
			} else {
				fmt.Fprintln(p.cmd.ErrOrStderr(), missingEvents(err))
			}
		}
		for _, ev := range events {
			if printed[ev] {
				continue
			}
			printed[ev] = true
			if p.print(ev) != nil {
				return
			}
		}
		if len(events) > 0 {
			q.Since = events[len(events)-1].Time.Add(-time.Minute) // the director learns of some events later than of others
			maps.DeleteFunc(printed, func(ev control.Event, _ bool) bool { return ev.Time.Before(q.Since) })
		}
	}
}

// whyPair says what both directors know. If the other one cannot be asked, missing says so, and the lines are of this one.
func whyPair(cmd *cobra.Command, s *socketFlags, here history.Past, name string) (lines []string, missing, err error) {
	alone := func(why error) ([]string, error, error) {
		lines, err := here.Why(name)
		return lines, fmt.Errorf("this is what one director knows: %w", why), err
	}
	if here.Status == nil {
		return alone(errors.New("no director runs here that could ask the other one"))
	}
	o, err := otherDirector(cmd, s)
	if err != nil {
		return alone(err)
	}
	there := history.Past{Now: here.Now}
	status, err := o.client.PeerStatus(cmd.Context())
	if err != nil {
		return alone(err)
	}
	events, err := o.client.PeerHistory(cmd.Context(), control.HistoryQuery{})
	if err != nil {
		return alone(err)
	}
	there.Status, there.Events = &status, inOrder(events)
	lines, err = history.WhyPair(here, there.Shift(o.ahead), name)
	return lines, nil, err
}
