// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/vrrp"
)

func newStatus() *cobra.Command {
	var s socketFlags
	var asJSON, verbose, pair bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the state of the running director",
		Long: `Show the virtual routers, services, real servers and checks of the running director. Warnings are shown
first.

STATE is MASTER, BACKUP, FAULT (an interface or a track fails) or INITIALIZE. After tandem failover it is
followed by (standby). If the present priority differs from the configured one, PRIORITY shows both:
1 (of 150) means that it is 1 now and configured as 150. WEIGHT is shown in the same way. ACTIVE and
INACTIVE are the numbers of active and inactive connections in the kernel.

With --pair, the command shows both directors side by side, and what differs: in the configurations, in
the health of real servers, in the orders about them, and between the clocks. This needs [peer] in the
configuration.

A hook is shown while it runs, waits or fails. TOLD and FAILED count its runs. REPLACED counts the events
that it was not told because a newer one came first.`,
		Example: `  tandem status
  tandem status --verbose
  tandem status --pair
  tandem status --json | jq -r '.vrrp[].state'`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			if asJSON {
				raw, err := client.RawStatus(cmd.Context())
				if err != nil {
					return err
				}
				var pretty bytes.Buffer
				if err := json.Indent(&pretty, raw, "", "  "); err != nil {
					return fmt.Errorf("failed to read the director's answer: %w", err)
				}
				_, err = pretty.WriteTo(cmd.OutOrStdout())
				return err
			}
			status, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			if pair {
				if status.Peer == nil {
					return errors.New("this director has no channel to another one: see tandem peer init --help")
				}
				var b bytes.Buffer
				writePair(&b, status, time.Now())
				_, err = b.WriteTo(cmd.OutOrStdout())
				return err
			}
			return writeStatus(cmd.OutOrStdout(), status, verbose, time.Now())
		},
	}
	s.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print everything as JSON; later versions may add members, but never rename or remove one")
	cmd.Flags().BoolVar(&pair, "pair", false, "show both directors of the pair, and what differs")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "also show the counters, signatures and paths of each virtual router, the last result of each check, and all hooks")
	return cmd
}

// writeStatus prints a status as tables. With verbose, each router's counters and each check get a line.
func writeStatus(w io.Writer, s control.Status, verbose bool, now time.Time) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s · tandem %s · %s loaded %s ago\n", s.Name, s.Version, s.Config.File, ago(now, s.Config.LoadedAt))
	for _, warning := range s.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", warning)
	}
	if len(s.VRRP) > 0 {
		fmt.Fprintln(&b)
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "ROUTER\tINTERFACE\tVRID\tSTATE\tFOR\tPRIORITY\tMASTER\tVIPS\tREASON")
		for _, r := range s.VRRP {
			fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, r.Interface, r.VRID, state(r),
				ago(now, r.Since), priority(r), dash(r.Master), vips(r), r.Reason)
		}
		t.Flush()
		writeFailingTracks(&b, s.VRRP)
		writePaths(&b, s.VRRP, verbose, now)
		writeAsked(&b, s.VRRP, verbose, now)
		if verbose {
			writeCounters(&b, s.VRRP)
			writeTwoMasters(&b, s.VRRP, now)
			writeSigning(&b, s.VRRP, now)
		}
	}
	for _, svc := range s.Services {
		fmt.Fprintf(&b, "\n%s  %s %s  %s  %s\n", svc.Name, svc.Protocol, svc.Virtual, svc.Scheduler, svc.Method)
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "  SERVER\tHEALTH\tFOR\tWEIGHT\tACTIVE\tINACTIVE\tREASON")
		for _, srv := range svc.Servers {
			fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%d\t%d\t%s\n", hostPort(srv), srv.Health, ago(now, srv.Since), weight(srv),
				srv.Active, srv.Inactive, remark(srv))
		}
		t.Flush()
		if verbose {
			writeChecks(&b, svc, now)
		}
	}
	for i, sync := range s.Sync {
		if i == 0 {
			fmt.Fprintln(&b)
		}
		fmt.Fprintf(&b, "connection sync  %s on %s  id %d\n", sync.Role, sync.Interface, sync.ID)
	}
	writeHooks(&b, s.Hooks, verbose, now)
	if s.Peer != nil {
		writePeerLine(&b, s.Peer, now)
	}
	_, err := b.WriteTo(w)
	return err
}

// writeHooks prints the hooks. Without verbose, it prints those that run, wait or fail.
func writeHooks(b *bytes.Buffer, hooks []control.Hook, verbose bool, now time.Time) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	header := "\nHOOK\tRUNNING\tWAITING\tFAILING\tTOLD\tFAILED\tREPLACED\tLAST\tTOOK\tEVENT\tRESULT"
	for _, h := range hooks {
		if !verbose && h.Running+h.Waiting+h.Failing == 0 {
			continue
		}
		if header != "" {
			fmt.Fprintln(t, header)
			header = ""
		}
		last, took, event, result := "-", "-", "-", "-"
		if h.Last != nil {
			last, took = ago(now, h.Last.EndedAt), fmt.Sprintf("%.1fms", 1000*h.Last.TookSeconds)
			event, result = h.Last.Event+" of "+h.Last.Subject, cmp.Or(h.Last.Error, "ok")
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n", h.Name, h.Running, h.Waiting, h.Failing,
			h.Succeeded, h.Failed, h.Superseded, last, took, event, result)
	}
	t.Flush()
}

// writeFailingTracks prints the failing tracks of the routers.
func writeFailingTracks(b *bytes.Buffer, routers []control.Router) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	header := "\nROUTER\tFAILING TRACK\tREASON"
	for _, r := range routers {
		for _, track := range r.Track {
			if track.OK {
				continue
			}
			if header != "" {
				fmt.Fprintln(t, header)
				header = ""
			}
			fmt.Fprintf(t, "%s\t%s\t%s\n", r.Name, track.Name, track.Reason)
		}
	}
	t.Flush()
}

// writeCounters prints the routers' counters. GAP is the longest time between two advertisements of a master.
func writeCounters(b *bytes.Buffer, routers []control.Router) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nROUTER\tSENT\tRECEIVED\tERRORS\tBECAME MASTER\tGAP\tDROPPED")
	for _, r := range routers {
		c := r.Counters
		gap := "-"
		if c.LongestGapSeconds > 0 {
			gap = fmt.Sprintf("%.1fms", 1000*c.LongestGapSeconds)
		}
		dropped := make([]string, 0, len(c.AdvertsDropped))
		for _, why := range slices.Sorted(maps.Keys(c.AdvertsDropped)) {
			dropped = append(dropped, fmt.Sprintf("%s %d", why, c.AdvertsDropped[why]))
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%s\t%s\n", r.Name, c.AdvertsSent, c.AdvertsReceived, c.SendErrors,
			c.BecameMaster, gap, dash(strings.Join(dropped, ", ")))
	}
	t.Flush()
}

// writePaths prints the paths of the routers' advertisements. Unless verbose, only those that are silent or down.
func writePaths(b *bytes.Buffer, routers []control.Router, verbose bool, now time.Time) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	header := "\nROUTER\tPATH\tSTATE\tFOR\tMASTER\tSENT FROM\tSENT\tRECEIVED\tERRORS\tREASON"
	address := func(a netip.Addr) string {
		if !a.IsValid() {
			return "-"
		}
		return a.String()
	}
	for _, r := range routers {
		for _, p := range r.Paths {
			if !verbose && p.State != vrrp.PathSilent.String() && p.State != vrrp.PathDown.String() {
				continue
			}
			if header != "" {
				fmt.Fprintln(t, header)
				header = ""
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", r.Name, p.Name, p.State, ago(now, p.Since), address(p.Master),
				address(p.Source), p.Sent, p.Received, p.SendErrors, dash(p.Reason))
		}
	}
	t.Flush()
}

// writeAsked prints who still answered for the VIPs when a master was silent. Unless verbose, only answers of the last hour.
func writeAsked(b *bytes.Buffer, routers []control.Router, verbose bool, now time.Time) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	header := "\nROUTER\tASKED\tSILENT MASTER\tWHO STILL HAD ITS VIPS"
	for _, r := range routers {
		if r.Asked == nil || !verbose && (len(r.Asked.Answers) == 0 || now.Sub(r.Asked.At) > time.Hour) {
			continue
		}
		if header != "" {
			fmt.Fprintln(t, header)
			header = ""
		}
		var who []string
		for _, a := range r.Asked.Answers {
			is := "another machine"
			if a.Peer {
				is = "the silent master itself"
			}
			who = append(who, fmt.Sprintf("%s at %s (%s)", a.Address, a.Hardware, is))
		}
		fmt.Fprintf(t, "%s\t%s ago\t%s\t%s\n", r.Name, ago(now, r.Asked.At), r.Asked.Master, cmp.Or(strings.Join(who, ", "), r.Asked.Problem, "nobody"))
	}
	t.Flush()
}

// writeTwoMasters prints the times with two masters, as the routers that have heard another master saw them.
func writeTwoMasters(b *bytes.Buffer, routers []control.Router, now time.Time) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	header := "\nROUTER\tTWO MASTERS\tTOGETHER\tLATEST"
	for _, r := range routers {
		m := r.TwoMasters
		if m.Count == 0 {
			continue
		}
		latest := "-"
		switch {
		case m.Since != nil:
			latest = fmt.Sprintf("now, for %s: %s", ago(now, *m.Since), m.Peer)
		case m.Latest != nil:
			latest = fmt.Sprintf("%s ago, for %.3fs: %s", ago(now, m.Latest.Began), m.Latest.Seconds, m.Latest.Peer)
		}
		if header != "" {
			fmt.Fprintln(t, header)
			header = ""
		}
		fmt.Fprintf(t, "%s\t%d\t%.3fs\t%s\n", r.Name, m.Count, m.TotalSeconds, latest)
	}
	t.Flush()
}

// writeSigning prints how the routers sign their advertisements, and the latest refusal for each reason.
func writeSigning(b *bytes.Buffer, routers []control.Router, now time.Time) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	header := "\nROUTER\tHMAC\tKEYS\tSIGNS WITH\tANTI-REPLAY\tLATEST REFUSALS"
	for _, r := range routers {
		c := r.HMAC
		if c == nil {
			continue
		}
		if header != "" {
			fmt.Fprintln(t, header)
			header = ""
		}
		var refused, keys []string
		for _, f := range c.Refused {
			refused = append(refused, fmt.Sprintf("%s %d (%s ago from %s)", f.Reason, f.Count, ago(now, f.Last), f.From))
		}
		for _, id := range c.Keys {
			keys = append(keys, fmt.Sprint(id))
		}
		with := "-"
		if c.ActiveKey != 0 {
			with = fmt.Sprint(c.ActiveKey)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, c.Mode, strings.Join(keys, ","), with,
			strings.TrimSpace(c.AntiReplay+" "+c.TimeWindow), dash(strings.Join(refused, ", ")))
	}
	t.Flush()
}

// writeChecks prints the checks of a service's servers. LAST is the time since the last probe ended, TOOK its duration.
func writeChecks(b *bytes.Buffer, svc control.Service, now time.Time) {
	if !slices.ContainsFunc(svc.Servers, func(srv control.Server) bool { return len(srv.Checks) > 0 }) {
		return
	}
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\n  SERVER\tCHECK\tHEALTH\tFOR\tLAST\tTOOK\tPASSED\tFAILED\tRESULT")
	for _, srv := range svc.Servers {
		for _, c := range srv.Checks {
			kind, health, took := c.Type, c.Health, "-"
			if c.Via.IsValid() {
				kind += " through " + c.Via.String()
			}
			if c.Flapping {
				health += " (flapping)"
			}
			if !c.LastAt.IsZero() {
				took = fmt.Sprintf("%.1fms", 1000*c.LatencySeconds)
			}
			fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", hostPort(srv), kind, health, ago(now, c.Since),
				ago(now, c.LastAt), took, c.Successes, c.Failures, dash(c.Reason))
		}
	}
	t.Flush()
}

// ago writes the time since a moment in its two largest units; "-" for the zero time.
func ago(now, since time.Time) string {
	if since.IsZero() {
		return "-"
	}
	d := max(0, now.Sub(since))
	day := 24 * time.Hour
	switch {
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// state returns the state of a router, with "handing over" or "standby" if it applies.
func state(r control.Router) string {
	s := strings.ToUpper(r.State)
	switch {
	case r.HandingOver:
		s += " (handing over)"
	case r.Standby:
		s += " (standby)"
	}
	return s
}

// priority returns the effective priority. If the configured one differs, it follows in brackets.
func priority(r control.Router) string {
	if r.Priority == r.EffectivePriority {
		return fmt.Sprint(r.Priority)
	}
	return fmt.Sprintf("%d (of %d)", r.EffectivePriority, r.Priority)
}

// weight returns the effective weight. If the configured one differs, it follows in brackets.
func weight(s control.Server) string {
	if s.Weight == s.EffectiveWeight {
		return fmt.Sprint(s.Weight)
	}
	return fmt.Sprintf("%d (of %d)", s.EffectiveWeight, s.Weight)
}

// remark returns the note, if there is one, and the reason of the health.
func remark(s control.Server) string {
	if s.Note == "" {
		return s.Reason
	}
	return s.Note + "; " + s.Reason
}

// vips writes VIPs as 192.0.2.100/24, and with @eth1 if they are not on the router's interface.
func vips(r control.Router) string {
	all := make([]string, 0, len(r.VIPs))
	for _, vip := range r.VIPs {
		text := vip.String()
		if link, elsewhere := r.VIPInterfaces[vip.Addr()]; elsewhere {
			text += "@" + link
		}
		all = append(all, text)
	}
	return dash(strings.Join(all, ","))
}

func hostPort(s control.Server) string {
	return netip.AddrPortFrom(s.Address, s.Port).String()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
