// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/summary"
)

// channelState says in words whether the channel works.
func channelState(p *control.Peer, now time.Time) string {
	switch {
	case p.To.Up && p.From.Up:
		return "connected for " + ago(now, later(p.To.Since, p.From.Since))
	case p.To.Up:
		return fmt.Sprintf("half: this director is not connected from there for %s: %s", ago(now, p.From.Since), p.From.Problem)
	case p.From.Up:
		return fmt.Sprintf("half: this director is heard from, but not connected to there for %s: %s", ago(now, p.To.Since), p.To.Problem)
	}
	return fmt.Sprintf("lost for %s: %s", ago(now, later(p.To.Since, p.From.Since)), p.To.Problem)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// writePeerLine prints the state of the channel in one line.
func writePeerLine(b *bytes.Buffer, p *control.Peer, now time.Time) {
	fmt.Fprintf(b, "\npeer %s at %s  %s", summary.PeerName(p), p.Address, channelState(p, now))
	if n := len(p.Drift) + len(p.Servers) + len(p.Orders); n > 0 {
		fmt.Fprintf(b, "; %d differences: see tandem status --pair", n)
	}
	for _, u := range p.Unanswered[:min(len(p.Unanswered), 1)] {
		fmt.Fprintf(b, "; there, %s does not answer clients", u.Server)
		if more := len(p.Unanswered) - 1; more > 0 {
			fmt.Fprintf(b, ", nor do %d more servers", more)
		}
	}
	fmt.Fprintln(b)
}

// writePair prints both directors side by side, what a failover would cost, and what differs.
func writePair(b *bytes.Buffer, s control.Status, f drill.Forecast, now time.Time) {
	p := s.Peer
	name := summary.PeerName(p)
	fmt.Fprintf(b, "%s · tandem %s\n%s · tandem %s · %s\n", s.Name, s.Version, name, summary.Dash(p.Version), channelState(p, now))
	if !p.HeardAt.IsZero() && !p.From.Up {
		fmt.Fprintf(b, "what %s told is %s old\n", name, ago(now, p.HeardAt))
	}
	if c := p.Clock; c != nil {
		which := "ahead of"
		if c.AheadSeconds < 0 {
			which = "behind"
		}
		fmt.Fprintf(b, "clock of %s: %.1fms %s ours, give or take %.1fms\n", name, 1000*max(c.AheadSeconds, -c.AheadSeconds), which, 1000*c.ErrorSeconds)
	}
	if p.Version != "" && p.Version != s.Version {
		fmt.Fprintln(b, "the versions differ: what only one of them knows is not compared")
	}
	if lacks := p.Lacks(); p.To.Up && len(lacks) > 0 {
		fmt.Fprintf(b, "%s is older and cannot answer: %s; commands with --pair need that\n", name, strings.Join(lacks, ", "))
	}
	if p.Refused > 0 {
		fmt.Fprintf(b, "%d connections to the port of the channel were refused, the latest from %s\n", p.Refused, p.Refusal)
	}
	writeForecast(b, &f, now)
	for _, warning := range s.Warnings {
		fmt.Fprintf(b, "warning: %s\n", warning)
	}
	writePairRouters(b, s)
	writeDifferences(b, s)
}

// writeForecast prints what a failover would cost, and the last drill.
func writeForecast(b *bytes.Buffer, f *drill.Forecast, now time.Time) {
	for _, line := range f.Lines() {
		fmt.Fprintln(b, line)
	}
	only := ""
	if f.DrillsNotKnown != "" {
		only = " (those of the other director are not known)"
	}
	if d := f.LastDrill; d != nil {
		fmt.Fprintf(b, "last drill, %s ago on %s: %s: %s%s\n", ago(now, d.Ended), f.LastDrillOf, d.Kind, drill.Words(*d), only)
		return
	}
	fmt.Fprintf(b, "last drill: none is known%s: see tandem drill --help\n", only)
}

// writePairRouters prints the virtual routers of both directors.
func writePairRouters(b *bytes.Buffer, s control.Status) {
	if len(s.VRRP)+len(s.Peer.Routers) == 0 {
		return
	}
	type id struct {
		name   string
		family uint8
	}
	there := make(map[id]control.PeerRouter)
	for _, r := range s.Peer.Routers {
		there[id{r.Name, r.Family}] = r
	}
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\nROUTER\t%s\tPRIORITY\t%s\tPRIORITY\n", s.Name, summary.PeerName(s.Peer))
	for _, r := range s.VRRP {
		key := id{r.Name, r.Family}
		other, told := there[key]
		if delete(there, key); !told {
			fmt.Fprintf(t, "%s\t%s\t%d\t-\t-\n", r.Name, summary.State(&r), r.EffectivePriority)
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%d\n", r.Name, summary.State(&r), r.EffectivePriority, summary.PeerState(&other), other.Priority)
	}
	for _, r := range s.Peer.Routers {
		if _, left := there[id{r.Name, r.Family}]; left {
			fmt.Fprintf(t, "%s\t-\t-\t%s\t%d\n", r.Name, summary.PeerState(&r), r.Priority)
		}
	}
	t.Flush()
}

// writeDifferences prints what differs between the directors, or that nothing does.
func writeDifferences(b *bytes.Buffer, s control.Status) {
	p := s.Peer
	fmt.Fprintln(b)
	for _, d := range p.Drift {
		severity := "differs"
		if d.Wrong {
			severity = "wrong"
		}
		fmt.Fprintf(b, "%s: %s\n", severity, d.Text)
	}
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	rows := func(header string, n int, row func(int) []string) {
		if n > 0 {
			fmt.Fprintln(t, header)
		}
		for i := range n {
			fmt.Fprintln(t, strings.Join(row(i), "\t"))
		}
		t.Flush()
	}
	rows(fmt.Sprintf("SEEN DIFFERENTLY\t%s\t%s", s.Name, summary.PeerName(p)), len(p.Servers), func(i int) []string {
		return []string{p.Servers[i].Name, p.Servers[i].Here, p.Servers[i].There}
	})
	rows(fmt.Sprintf("ORDERED DIFFERENTLY\t%s\t%s\tWHY", s.Name, summary.PeerName(p)), len(p.Orders), func(i int) []string {
		return []string{p.Orders[i].Name, p.Orders[i].Here, p.Orders[i].There, p.Orders[i].Why}
	})
	rows(fmt.Sprintf("ANSWERS NO CLIENTS OF %s\tUNANSWERED\tOTHERS ANSWER\tCHECK OF %[1]s", summary.PeerName(p)), len(p.Unanswered), func(i int) []string {
		u, check := p.Unanswered[i], "passes"
		if !u.Checked {
			check = "does not pass, or is not known"
		}
		return []string{u.Server, fmt.Sprint(u.Connections), fmt.Sprintf("%d %%", u.OthersPercent), check}
	})
	switch {
	case p.ServersNotTold > 0:
		fmt.Fprintf(b, "the health of %d real servers is not compared: they are too many\n", p.ServersNotTold)
	case p.HeardAt.IsZero():
		fmt.Fprintf(b, "%s has not told anything yet\n", summary.PeerName(p))
	case len(p.Drift)+len(p.Servers)+len(p.Orders) == 0:
		fmt.Fprintln(b, "configurations, real servers and orders: no difference")
	}
}
