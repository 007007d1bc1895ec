// SPDX-License-Identifier: Apache-2.0

// Package summary says what is wrong in a status, and tells its parts in few words. The commands and the web page use it.
package summary

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// A Problem is something that is wrong, in a sentence. It is critical if clients are not served, or if this director cannot
// serve them when it must.
type Problem struct {
	Critical bool
	Text     string
}

// Problems returns what is wrong, the worst first. The director tells its warnings in the order of their weight.
func Problems(s api.Status) (all []Problem) {
	told := make(map[string]bool)
	add := func(critical bool, text string) {
		if !told[text] {
			told[text] = true
			all = append(all, Problem{critical, text})
		}
	}
	for i := range s.Services {
		if svc := &s.Services[i]; !svc.Serves() && len(svc.Servers) > 0 {
			add(true, fmt.Sprintf("no real server of %s gets clients: %d of %d are up", svc.Name, svc.Up, svc.Pool()))
		}
	}
	for _, r := range s.VRRP {
		if r.State == "fault" {
			add(true, fmt.Sprintf("virtual router %s is in FAULT: %s", r.Name, r.Reason))
		}
	}
	if s.Table != nil {
		add(true, s.Table.Warning)
	}
	for _, w := range s.Warnings {
		add(false, w)
	}
	for i := range s.Services {
		if text := failedServers(&s.Services[i]); text != "" {
			add(false, text)
		}
	}
	return all
}

// maxFailed is how many failed servers of a service are named.
const maxFailed = 3

// failedServers returns a sentence about the servers of a service whose checks fail; "" if there are none.
func failedServers(svc *api.Service) string {
	var failed []string
	for i := range svc.Servers {
		if srv := &svc.Servers[i]; srv.Health == "unhealthy" {
			failed = append(failed, fmt.Sprintf("%s (%s)", HostPort(srv), srv.Reason))
		}
	}
	n := len(failed)
	if n == 0 {
		return ""
	}
	if n > maxFailed+1 {
		failed = append(failed[:maxFailed], fmt.Sprintf("and %d more", n-maxFailed))
	}
	verb := "fail"
	if n == 1 {
		verb = "fails"
	}
	return fmt.Sprintf("%d of %s of %s %s: %s", n, Counted(len(svc.Servers), "server"), svc.Name, verb, strings.Join(failed, ", "))
}

// Sums are the numbers of a status.
type Sums struct {
	Routers, Masters, Faults, Services, Servers, Up, Active int
	Rate                                                    uint64 // connections per second
}

// SumsOf returns the numbers of a status.
func SumsOf(s api.Status) (n Sums) {
	for i := range s.VRRP {
		n.Routers++
		switch s.VRRP[i].State {
		case "master":
			n.Masters++
		case "fault":
			n.Faults++
		}
	}
	for i := range s.Services {
		svc := &s.Services[i]
		n.Services++
		n.Up += svc.Up
		n.Servers += svc.Pool()
		n.Rate += svc.Stats.ConnectionRate
		for j := range svc.Servers {
			n.Active += svc.Servers[j].Active
		}
	}
	return n
}

// String writes the sums for people; empty: there is nothing to count.
func (n Sums) String() string {
	var parts []string
	if n.Routers > 0 {
		parts = append(parts, fmt.Sprintf("master of %d of %s", n.Masters, Counted(n.Routers, "virtual router")))
	}
	if n.Services > 0 {
		parts = append(parts, Counted(n.Services, "service"), fmt.Sprintf("%d of %s up", n.Up, Counted(n.Servers, "server")),
			fmt.Sprintf("%s, %d new a second", Counted(n.Active, "connection"), n.Rate))
	}
	return strings.Join(parts, " · ")
}

// State returns the state of a virtual router, with "handing over" or "standby" if it applies.
func State(r *api.Router) string {
	s := strings.ToUpper(r.State)
	switch {
	case r.HandingOver:
		s += " (handing over)"
	case r.Standby:
		s += " (standby)"
	}
	return s
}

// PeerState is State of a virtual router of the other director.
func PeerState(r *api.PeerRouter) string {
	return State(&api.Router{State: r.State, Standby: r.Standby})
}

// Priority returns the effective priority. If the configured one differs, it follows in brackets.
func Priority(r *api.Router) string { return present(int(r.EffectivePriority), int(r.Priority)) }

// Weight returns the effective weight. If the configured one differs, it follows in brackets.
func Weight(s *api.Server) string { return present(s.EffectiveWeight, s.Weight) }

func present(is, configured int) string {
	if is == configured {
		return fmt.Sprint(is)
	}
	return fmt.Sprintf("%d (of %d)", is, configured)
}

// Remark returns the note, if there is one, and the reason of the health.
func Remark(s *api.Server) string {
	if s.Note == "" {
		return s.Reason
	}
	return s.Note + "; " + s.Reason
}

// HostPort returns the address and the port of a real server.
func HostPort(s *api.Server) string { return netip.AddrPortFrom(s.Address, s.Port).String() }

// VIP writes a VIP of a virtual router as 192.0.2.100/24, and with @eth1 if it is not on the router's interface.
func VIP(r *api.Router, vip netip.Prefix) string {
	if link, elsewhere := r.VIPInterfaces[vip.Addr()]; elsewhere {
		return vip.String() + "@" + link
	}
	return vip.String()
}

// Dash is the text, or "-" if there is none.
func Dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// PeerName is what the other director is called: its name, or its address while the name is not known.
func PeerName(p *api.Peer) string {
	if p.Name != "" {
		return p.Name
	}
	return p.Address
}

// Counted writes a number of things: "1 server", "2 servers", "2 addresses".
func Counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if strings.HasSuffix(thing, "s") {
		thing += "e"
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
