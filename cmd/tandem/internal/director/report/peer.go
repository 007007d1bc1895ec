// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/healthcheck"
)

// peerSettled is how long the directors may see a real server differently before the status warns: their checks do not run at the
// same moment.
const peerSettled = time.Minute

var (
	peerConnectedDesc = desc("peer_connected", "1 while the channel to the other director works in this direction, 0 otherwise; absent without [peer].", "direction")
	peerHeardDesc     = desc("peer_heard_timestamp_seconds", "When the other director told something last.")
	peerClockDesc     = desc("peer_clock_ahead_seconds", "How far the other director's wall clock is ahead of ours; absent while not measured.")
	peerClockErrDesc  = desc("peer_clock_error_seconds", "The largest error of tandem_peer_clock_ahead_seconds.")
	peerRefusedDesc   = desc("peer_refused_total", "Connections to the port of the channel that were refused, because the other side was not the peer.")
	peerDriftDesc     = desc("peer_drift_count", "Settings that differ in the configurations of both directors and should not.")
	peerServersDesc   = desc("peer_servers_differ_count", "Real servers that one director sees healthy and the other one unhealthy.")
	peerOrdersDesc    = desc("peer_orders_differ_count", "Real servers about which the directors have different orders.")
)

// peerStatus returns what is known about the other director. It is nil if there is no channel.
func peerStatus(shot *core.Snapshot) *api.Peer {
	p := shot.Peer
	if p == nil {
		return nil
	}
	half := func(h core.PeerHalf) api.PeerHalf { return api.PeerHalf{Up: h.Up, Since: h.Since, Problem: h.Problem} }
	is := &api.Peer{
		Address: shot.Config.Peer.Address.String(), Name: p.Channel.Name, Version: p.Channel.Version,
		To: half(p.Channel.To), From: half(p.Channel.From), HeardAt: p.HeardAt, Refused: p.Channel.Refused, Refusal: p.Channel.Refusal,
		Routers: []api.PeerRouter{}, Drift: []api.PeerDrift{}, Servers: []api.PeerServer{}, Orders: []api.PeerOrder{},
	}
	if p.Skew.Known {
		is.Clock = &api.Clock{AheadSeconds: p.Skew.Ahead.Seconds(), ErrorSeconds: p.Skew.Error.Seconds()}
	}
	for _, d := range p.Drift {
		is.Drift = append(is.Drift, api.PeerDrift{Wrong: d.Wrong, Text: d.Text})
	}
	for _, o := range p.Orders {
		is.Orders = append(is.Orders, api.PeerOrder{Name: o.Server, Here: o.Here, There: o.There, Why: o.Why, Meant: o.Meant})
	}
	if p.View == nil {
		return is
	}
	for _, r := range p.View.Routers {
		is.Routers = append(is.Routers, api.PeerRouter{
			Name: r.Name, Family: r.Family, State: r.State, Priority: r.Priority, Standby: r.Standby, Since: r.Since,
		})
	}
	is.Servers = append(is.Servers, seenDifferently(shot)...)
	is.ServersNotTold = p.View.ServersLeft
	return is
}

// seenDifferently returns the real servers that one director sees healthy and the other one unhealthy.
func seenDifferently(shot *core.Snapshot) (all []api.PeerServer) {
	theirs := make(map[string]message.Server, len(shot.Peer.View.Servers))
	for _, s := range shot.Peer.View.Servers {
		theirs[s.Name] = s
	}
	for _, svc := range shot.Services {
		for _, srv := range svc.Servers {
			there, told := theirs[srv.ID]
			mine := srv.Verdict
			if !told || !srv.Checked {
				continue
			}
			is := api.PeerServer{Name: srv.ID, Here: "healthy", There: "healthy", Since: mine.Since}
			switch {
			case mine.Health == healthcheck.Healthy && there.Health == healthcheck.Unhealthy.String():
				is.There = "unhealthy: " + there.Reason
				if there.Since.After(is.Since) {
					is.Since = there.Since
				}
			case mine.Health == healthcheck.Unhealthy && there.Health == "":
				is.Here = "unhealthy: " + mine.Reason
			default:
				continue
			}
			all = append(all, is)
		}
	}
	return all
}

// peerWarnings returns sentences about the pair that need an operator.
func peerWarnings(shot *core.Snapshot) (all []string) {
	p := shot.Peer
	if p == nil {
		return nil
	}
	name := p.Channel.Name
	if name == "" {
		name = shot.Config.Peer.Address.String()
	}
	if p.LongLost(shot.Now) {
		all = append(all, fmt.Sprintf("the channel to %s does not work since %s: %s; until then orders about real servers are in force here only, and "+
			"the election goes on as usual", name, p.LostAt.UTC().Format(time.RFC3339), p.Lost))
	}
	var wrong []string
	for _, d := range p.Drift {
		if d.Wrong {
			wrong = append(wrong, d.Text)
		}
	}
	for i, text := range wrong {
		if i == maxAlike {
			all = append(all, fmt.Sprintf("the configurations of both directors differ in %d more settings: see tandem status --pair", len(wrong)-maxAlike))
			break
		}
		all = append(all, "the configurations of both directors differ: "+text)
	}
	if p.Skewed() {
		all = append(all, fmt.Sprintf("the clock of %s is %s: run NTP on both directors", name, ahead(p.Skew)))
	}
	var orders, servers []string
	for _, o := range p.Orders {
		if !o.Meant && p.Lost == "" && o.Why != "the later order is on its way" {
			orders = append(orders, fmt.Sprintf("%s (here %s, on %s %s: %s)", o.Server, o.Here, name, o.There, o.Why))
		}
	}
	if len(orders) > 0 {
		all = append(all, "the directors have different orders about "+few(orders))
	}
	if p.View != nil && p.Lost == "" {
		for _, s := range seenDifferently(shot) {
			if shot.Now.Sub(s.Since) >= peerSettled {
				servers = append(servers, fmt.Sprintf("%s (here %s, on %s %s)", s.Name, s.Here, name, s.There))
			}
		}
	}
	if len(servers) > 0 {
		all = append(all, "the directors see real servers differently, so a failover changes who serves: "+few(servers)+
			"; look at the way from each director to the server")
	}
	return all
}

// ahead writes how far a clock is ahead.
func ahead(s message.Skew) string {
	which := "ahead"
	if s.Ahead < 0 {
		which = "behind"
	}
	return fmt.Sprintf("%s %s (± %s)", s.Ahead.Abs().Round(time.Millisecond), which, s.Error.Round(10*time.Microsecond))
}

// collectPeer sends the metrics of the channel.
func collectPeer(out sink, p *api.Peer) {
	if p == nil {
		return
	}
	up := func(h api.PeerHalf) float64 {
		if h.Up {
			return 1
		}
		return 0
	}
	out.gauge(peerConnectedDesc, up(p.To), "to")
	out.gauge(peerConnectedDesc, up(p.From), "from")
	if !p.HeardAt.IsZero() {
		out.gauge(peerHeardDesc, float64(p.HeardAt.UnixMilli())/1000)
	}
	if p.Clock != nil {
		out.gauge(peerClockDesc, p.Clock.AheadSeconds)
		out.gauge(peerClockErrDesc, p.Clock.ErrorSeconds)
	}
	out.count(peerRefusedDesc, p.Refused)
	out.gauge(peerDriftDesc, float64(len(p.Drift)))
	out.gauge(peerServersDesc, float64(len(p.Servers)))
	out.gauge(peerOrdersDesc, float64(len(p.Orders)))
}
