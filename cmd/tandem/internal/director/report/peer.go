// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"slices"
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
	peerWrongDesc     = desc("peer_drift_wrong", "Of these settings, those with which the pair does not work as it should.")
	peerServersDesc   = desc("peer_servers_differ_count", "Real servers that one director sees healthy and the other one unhealthy.")
	peerOrdersDesc    = desc("peer_orders_differ_count", "Real servers about which the directors have different orders.")
)

// peerStatus returns what is known about the other director. It is nil if there is no channel.
func peerStatus(shot *core.Snapshot) *api.Peer {
	p := shot.Peer
	if p == nil {
		return nil
	}
	half := func(h core.PeerHalf) api.PeerHalf {
		return api.PeerHalf{Up: h.Up, Since: h.Since, Problem: h.Problem, Fault: string(h.Fault)}
	}
	is := &api.Peer{
		Address: shot.Config.Peer.Address.String(), Name: p.Channel.Name, Version: p.Channel.Version,
		To: half(p.Channel.To), From: half(p.Channel.From), HeardAt: p.HeardAt, Refused: p.Channel.Refused, Refusal: p.Channel.Refusal,
		Can: []string{}, Warnings: channelWarnings(shot), Routers: []api.PeerRouter{}, Drift: []api.PeerDrift{}, Servers: []api.PeerServer{}, Orders: []api.PeerOrder{},
	}
	if p.Skew.Known {
		is.Clock = &api.Clock{AheadSeconds: p.Skew.Ahead.Seconds(), ErrorSeconds: p.Skew.Error.Seconds()}
	}
	for _, a := range p.Channel.Can {
		is.Can = append(is.Can, message.Clean(string(a)))
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
	if p.Lost == "" {
		is.Unanswered = unansweredThere(shot)
	}
	return is
}

// unansweredThere returns the real servers that do not answer the clients of the other director.
func unansweredThere(shot *core.Snapshot) (all []api.Unanswered) {
	for _, srv := range shot.Peer.View.Servers {
		if n := srv.Unanswered; n != nil {
			all = append(all, api.Unanswered{Server: srv.Name, Since: n.Since, Connections: n.Connections, OthersPercent: n.OthersPercent,
				Checked: srv.Health == ""})
		}
	}
	return all
}

// seenDifferently returns the real servers that one director sees healthy and the other one unhealthy.
func seenDifferently(shot *core.Snapshot) (all []api.PeerServer) {
	for _, svc := range shot.Services {
		for _, srv := range svc.Servers {
			there, told := shot.Peer.Seen[srv.ID]
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

// nameOfPeer is the name of the other director, or its address.
func nameOfPeer(shot *core.Snapshot) string {
	if n := shot.Peer.Channel.Name; n != "" {
		return n
	}
	return shot.Config.Peer.Address.String()
}

// lostWarning says that the channel is lost, or "".
func lostWarning(shot *core.Snapshot) string {
	p := shot.Peer
	if !p.LongLost(shot.Now) {
		return ""
	}
	return fmt.Sprintf("the channel to %s does not work since %s: %s; until then orders about real servers are in force here only, and "+
		"the election goes on as usual", nameOfPeer(shot), p.LostAt.UTC().Format(time.RFC3339), p.Lost)
}

// clockWarning says that the clocks differ, or "".
func clockWarning(shot *core.Snapshot) string {
	if !shot.Peer.Skewed() {
		return ""
	}
	return fmt.Sprintf("the clock of %s is %s: run NTP on both directors", nameOfPeer(shot), ahead(shot.Peer.Skew))
}

// given returns the sentences that are not empty.
func given(sentences ...string) []string {
	return slices.DeleteFunc(sentences, func(s string) bool { return s == "" })
}

// channelWarnings returns sentences about the channel, the configurations and the clocks of both directors.
func channelWarnings(shot *core.Snapshot) (all []string) {
	all = given(lostWarning(shot))
	var wrong []string
	for _, d := range shot.Peer.Drift {
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
	return append(all, given(clockWarning(shot))...)
}

// peerWarnings returns sentences about the pair that need an operator.
func peerWarnings(shot *core.Snapshot) (all []string) {
	p := shot.Peer
	if p == nil {
		return nil
	}
	name := nameOfPeer(shot)
	all = channelWarnings(shot)
	var orders, servers []string
	for _, o := range p.Orders {
		if !o.Meant && o.Why != core.OrderComing && p.Lost == "" {
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
	out.gauge(peerConnectedDesc, flag(p.To.Up), "to")
	out.gauge(peerConnectedDesc, flag(p.From.Up), "from")
	if !p.HeardAt.IsZero() {
		out.gauge(peerHeardDesc, float64(p.HeardAt.UnixMilli())/1000)
	}
	if p.Clock != nil {
		out.gauge(peerClockDesc, p.Clock.AheadSeconds)
		out.gauge(peerClockErrDesc, p.Clock.ErrorSeconds)
	}
	out.count(peerRefusedDesc, p.Refused)
	wrong := 0
	for _, d := range p.Drift {
		if d.Wrong {
			wrong++
		}
	}
	out.gauge(peerDriftDesc, float64(len(p.Drift)))
	out.gauge(peerWrongDesc, float64(wrong))
	out.gauge(peerServersDesc, float64(len(p.Servers)))
	out.gauge(peerOrdersDesc, float64(len(p.Orders)))
}
