// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/history"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	statefile "github.com/tandem-lvs/tandem/cmd/tandem/internal/state"
)

// latestEvents is how many events tandem history prints without --since.
const latestEvents = 50

// eventFlags select events.
type eventFlags struct {
	socketFlags
	since, router, service string
	asJSON                 bool

	width int // of the names of directors; 0: they are not printed
}

func (f *eventFlags) register(cmd *cobra.Command) {
	f.socketFlags.register(cmd)
	cmd.Flags().StringVar(&f.router, "router", "", "only events of the virtual router `NAME`")
	cmd.Flags().StringVar(&f.service, "service", "", "only events of the service `NAME` and of its servers, or of the server SERVICE/ADDRESS:PORT")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print each event as a line of JSON")
	f.completeFlag(cmd, "router", routerNames)
	f.completeFlag(cmd, "service", serviceNames)
}

// query returns the query that the flags ask for.
func (f *eventFlags) query() (q control.HistoryQuery, err error) {
	q = control.HistoryQuery{Router: f.router, Service: f.service}
	if f.since != "" {
		if q.Since, err = history.ParseSince(time.Now(), f.since); err != nil {
			return q, fmt.Errorf("--since: %w", err)
		}
	}
	return q, nil
}

// print prints one event.
func (f *eventFlags) print(w io.Writer, ev control.Event) error {
	if f.asJSON {
		return json.NewEncoder(w).Encode(ev)
	}
	ev.Time = ev.Time.Local()
	line := history.Line(ev)
	if f.width > 0 {
		line = fmt.Sprintf("%-*s  %s", f.width, message.Clean(ev.Director), line)
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

func newHistory() *cobra.Command {
	var f eventFlags
	var follow, pair bool
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Show what has happened, with causes",
		Long: `Show what has happened to this director, with causes, the oldest first: transitions and priorities of the
virtual routers, servers that came up or went down, lost quorums, repairs, commands of operators, reloads,
hooks, warnings.

The history survives restarts. It is in the files history.jsonl and history.jsonl.1 of the state directory,
of 1 MiB each: the oldest events are dropped. If no director runs, the files are read; -c names the
configuration that names the state directory.

Without --since, the last 50 events are shown. tandem why has the causes of the present state.

With --pair, the events of both directors are merged by time, over the channel of [peer]. The times of the other
director are corrected by how far its clock differs now. If it cannot be asked, the exit code is 1.`,
		Example: `  tandem history
  tandem history --since yesterday
  tandem history --since 2h --router web
  tandem history --since "2026-11-22 03:00" --service www --json
  tandem history --follow
  tandem history --pair --since 03:00 --router web`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query()
			if err != nil {
				return err
			}
			if follow {
				if f.since == "" {
					q.Since = time.Now().Add(-time.Hour)
				}
				if pair {
					return followPair(cmd, &f, q)
				}
				return followEvents(cmd, &f, q)
			}
			events, err := readHistory(cmd, &f.socketFlags, q)
			if err != nil {
				return err
			}
			var missing error
			if pair {
				events, missing = withPeerHistory(cmd, &f, q, events)
			}
			if f.since == "" && len(events) > latestEvents {
				events = events[len(events)-latestEvents:]
			}
			for _, ev := range events {
				if err := f.print(cmd.OutOrStdout(), ev); err != nil {
					return err
				}
			}
			return missing
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&pair, "pair", false, "the events of both directors of the pair, merged by time")
	cmd.Flags().StringVar(&f.since, "since", "", "only events since `TIME`: yesterday, today, 2h, 3d, 15:04, 2006-01-02 or \"2006-01-02 15:04\"")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "print the events of the last hour (or since --since), and then new ones as they happen")
	return cmd
}

func newEvents() *cobra.Command {
	var f eventFlags
	var pair bool
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Print events as they happen",
		Long: `Print what happens to the running director, as it happens, until it is interrupted. tandem history shows what
has happened before. Programs can read the same as server-sent events at /v1/events of the control socket.

The director does not wait for a slow reader: it ends the stream, and the exit code is 1.

With --pair, the events of both directors are printed. Those of the other director are asked for every 2 s, over the
channel of [peer], so they come a little later; their times are corrected by how far its clock differed at the
start. If the channel is lost, a line on standard error says so, and what was missed follows when it is back.`,
		Example: `  tandem events
  tandem events --router web
  tandem events --pair
  tandem events --json | jq -r 'select(.kind == "transition") | .what'
  curl -sN --unix-socket /run/tandem/control.sock http://tandem/v1/events`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query()
			if err != nil {
				return err
			}
			if pair {
				q.Since = time.Now() // without it, the other director would tell all that it has kept
				return followPair(cmd, &f, q)
			}
			return followEvents(cmd, &f, q)
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&pair, "pair", false, "the events of both directors of the pair")
	return cmd
}

// followEvents prints events until it is interrupted.
func followEvents(cmd *cobra.Command, f *eventFlags, q control.HistoryQuery) error {
	client, err := f.client(cmd)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
	defer stop()
	return client.Events(ctx, q, func(ev control.Event) error { return f.print(cmd.OutOrStdout(), ev) })
}

// readHistory asks the director. If none runs, it reads the files.
func readHistory(cmd *cobra.Command, s *socketFlags, q control.HistoryQuery) ([]control.Event, error) {
	client, err := s.client(cmd)
	if err != nil {
		return nil, err
	}
	events, err := client.History(cmd.Context(), q)
	if !errors.Is(err, control.ErrNoDirector) {
		return inOrder(events), err
	}
	stored, path, storedErr := storedHistory(s, cmd.Flags().Changed("config"), q)
	if storedErr != nil {
		return nil, errors.Join(err, storedErr)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "no director runs: this is from %s\n", path)
	return stored, nil
}

// storedHistory reads the files of the history. asked is as in stateDir.
func storedHistory(s *socketFlags, asked bool, q control.HistoryQuery) (events []control.Event, path string, err error) {
	dir, err := s.stateDir(asked)
	if err != nil {
		return nil, "", err
	}
	path = filepath.Join(dir, history.File)
	lines, err := statefile.NewJournal(path, history.MaxSize).Lines()
	if err != nil {
		return nil, path, fmt.Errorf("failed to read the history: %w", err)
	}
	all, _ := history.Decode(lines)
	return inOrder(slices.DeleteFunc(all, func(ev control.Event) bool { return !q.Matches(ev) })), path, nil
}

// inOrder sorts events by time. The director learns of some events later than of others.
func inOrder(events []control.Event) []control.Event {
	slices.SortStableFunc(events, func(a, b control.Event) int { return a.Time.Compare(b.Time) })
	return events
}

func newWhy() *cobra.Command {
	var s socketFlags
	var asJSON, pair bool
	cmd := &cobra.Command{
		Use:   "why [ROUTER|SERVICE|SERVER]",
		Short: "Say why a virtual router, a service or a real server is as it is",
		Long: `Say in a few sentences what the causes of the present state are: why this director is master or backup, why
its priority is lowered, why a real server has no weight, what an operator has ordered.

Without a name, it is about all virtual routers, and about the services and real servers that are not as
configured. SERVER is SERVICE/ADDRESS:PORT, or a part of it. The name of a service is also about its servers
that are not as configured. Each director knows its own side: --pair asks the other one too, over the channel of
[peer], and says in one line what both know of a virtual router. If no director runs, it prints the last that the
history has.`,
		Example: `  tandem why
  tandem why web
  tandem why www/192.0.2.11
  tandem why web --pair

  $ tandem why web
  web: lb1 became backup at 03:12:07: higher priority 100 heard from 192.0.2.3; lb1 had priority 90 instead
  of 150, because script /usr/local/bin/check-haproxy failed twice: exit code 1. Its priority is 90 instead of
  150 since 03:12:06: script /usr/local/bin/check-haproxy failed twice: exit code 1.`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			past, err := readPast(cmd, &s)
			if err != nil {
				return err
			}
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			var missing error
			lines, err := past.Why(name)
			if pair {
				lines, missing, err = whyPair(cmd, &s, past, name)
			}
			if err != nil {
				return err
			}
			if asJSON {
				return errors.Join(writeJSON(cmd.OutOrStdout(), slices.Concat([]string{}, lines)), missing)
			}
			for _, line := range lines {
				fmt.Fprintln(cmd.OutOrStdout(), line)
			}
			if len(lines) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "this director has no virtual router, and all services and servers are as configured")
			}
			return missing
		},
	}
	s.register(cmd)
	registerJSON(cmd, &asJSON, "the sentences")
	cmd.Flags().BoolVar(&pair, "pair", false, "what both directors of the pair know")
	cmd.ValidArgsFunction = s.complete(0, routerNames, serviceNames, serverNames)
	return cmd
}

// readPast reads the history, and the status if a director runs.
func readPast(cmd *cobra.Command, s *socketFlags) (history.Past, error) {
	past := history.Past{Now: time.Now()}
	var err error
	if past.Events, err = readHistory(cmd, s, control.HistoryQuery{}); err != nil {
		return past, err
	}
	for i, ev := range past.Events {
		past.Events[i].Time = ev.Time.Local()
	}
	client, err := s.client(cmd)
	if err != nil {
		return past, err
	}
	status, err := client.Status(cmd.Context())
	if err == nil {
		past.Status = &status
	} else if errors.Is(err, control.ErrNoDirector) {
		err = nil
	}
	return past, err
}
