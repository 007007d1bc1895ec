// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"net/netip"
	"strings"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// electionWarnings returns sentences about faults that the election finds on the wire and on its interfaces.
func electionWarnings(report message.Report) []string {
	var all []string
	witnesses := witnessWarnings(report)
	if report.Problem != "" {
		all = append(all, "no virtual router runs: "+report.Problem)
	}
	for _, r := range report.Routers {
		if r.State == vrrp.Master && r.Tracking.Fault != "" {
			all = append(all, r.Name+": all directors fail: no other master is heard, so this one is master at priority 1, although "+
				r.Tracking.Fault+"; look for the cause on each director (a script: run it by hand, as its user)")
		}
		if w := witnesses[r.Name]; w != "" {
			all = append(all, w)
		}
		for _, w := range r.Warnings {
			all = append(all, r.Name+": "+w)
		}
	}
	for _, i := range report.Interfaces {
		if i.Trouble != "" {
			all = append(all, i.Name+": "+i.Trouble)
		}
	}
	return all
}

const noWitness = ": no witness answers, so this director does not take over from a silent master: see tandem status for the witnesses, " +
	"and look at the network of this machine"

// witnessWarnings returns the sentence about the witnesses of each router that does not reach them. The members of a sync group have
// one together, which is the first one's.
func witnessWarnings(report message.Report) map[string]string {
	all, groups := make(map[string]string), make(map[string]bool)
	for _, r := range report.Routers {
		switch {
		case !r.Tracking.NoWitness || r.Group != "" && groups[r.Group]:
		case r.Group != "":
			groups[r.Group] = true
			all[r.Name] = "sync group " + r.Group + noWitness
		default:
			all[r.Name] = r.Name + noWitness
		}
	}
	return all
}

// guardWarnings returns those of them that are about paths and witnesses.
func guardWarnings(report message.Report) (all []string) {
	witnesses := witnessWarnings(report)
	for _, r := range report.Routers {
		if w := witnesses[r.Name]; w != "" {
			all = append(all, w)
		}
		for i := range r.Paths {
			if text := r.Paths[i].Warning(); text != "" {
				all = append(all, r.Name+": "+text)
			}
		}
	}
	return all
}

// wireWarnings returns those of them that are about what other routers send.
func wireWarnings(report message.Report) (all []string) {
	for _, r := range report.Routers {
		for _, w := range r.WireWarnings {
			all = append(all, r.Name+": "+w)
		}
	}
	return all
}

// routerStatus returns one row for each configured router, in the order of the file. A router that the election has not
// reported yet has the state initialize.
func routerStatus(routers []configs.Router, report message.Report) []api.Router {
	type id struct{ iface, name string } // a router that moves to another interface is on both for a while
	said := make(map[id]vrrp.Status, len(report.Routers))
	for _, r := range report.Routers {
		said[id{r.Interface, r.Name}] = r
	}
	rows := make([]api.Router, 0, len(routers))
	for _, r := range routers {
		row := api.Router{
			Name: r.Name, Interface: r.Interface, VRID: r.VRID, Version: r.Version,
			State: vrrp.Initialize.String(), Priority: r.Priority, EffectivePriority: r.Priority, VIPs: append([]netip.Prefix{}, r.VIPs...),
			Reason: cmp.Or(report.Problem, "the election is starting"),
			Family: r.Family(), SyncGroup: r.SyncGroup, AdvertInterval: r.AdvertInterval.String(),
			Track:        linkRows(r.AllTrackInterfaces(), report.Links),
			UnicastPeers: r.UnicastPeers, AddressInterface: r.AddressInterface(), ExcludedVIPs: r.ExcludedVIPs, Preempt: r.Preempt,
			VIPInterfaces: r.VIPInterfaces, DownAdverts: uint8(r.DownCount()), Carrier: cmp.Or(r.Carrier, vrrp.CarrierTrack).String(),
			HMAC:     signing(r.HMAC, nil),
			Paths:    pathRows(r.Config, nil),
			Counters: api.Counters{AdvertsDropped: map[string]uint64{}},
		}
		if is, ok := said[id{r.Interface, r.Name}]; ok {
			row.State, row.Since, row.Reason = is.State.String(), is.Since, is.Reason
			row.EffectivePriority = is.EffectivePriority
			row.Standby, row.HandingOver = is.Standby, is.HandingOver
			row.Counters, row.TwoMasters = counters(is.Counters), twoMasters(is.TwoMasters)
			row.HMAC = signing(is.HMAC, is.Refusals)
			row.Paths = pathRows(r.Config, is.Paths)
			row.Asked = askedRow(r.Config, report.Asked)
			if is.Master.IsValid() {
				row.Master = is.Master.String()
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func twoMasters(t vrrp.TwoMasters) api.TwoMasters {
	row := api.TwoMasters{Count: t.Count, TotalSeconds: t.Total.Seconds()}
	if !t.Since.IsZero() {
		row.Since, row.Peer = &t.Since, t.Peer.String()
	}
	if m := t.Last; !m.Began.IsZero() {
		row.Latest = &api.Moment{Began: m.Began, Seconds: m.Length.Seconds(), Peer: m.Peer.String()}
	}
	return row
}

// pathRows returns the paths of a virtual router with a heartbeat. Those that the election has not reported yet are unknown.
func pathRows(c vrrp.Config, reported []vrrp.PathStatus) []api.Path {
	rows := []api.Path{}
	if len(c.Heartbeat) == 0 {
		return rows
	}
	for i := range len(c.Heartbeat) + 1 {
		row := api.Path{Name: c.PathName(i), State: vrrp.PathUnknown.String(), Unicast: i > 0 && c.Heartbeat[i-1].Peer.IsValid()}
		for _, p := range reported {
			if p.Name == row.Name {
				row.State, row.Since, row.Source, row.Master, row.Reason = p.State.String(), p.Since, p.Source, p.Master, p.Fault
				row.Sent, row.Received, row.SendErrors = p.Sent, p.Received, p.SendErrors
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// askedRow returns who still answered for the addresses of a virtual router when its master was silent last.
func askedRow(c vrrp.Config, all []message.Asked) *api.Asked {
	for _, a := range all {
		if a.Interface != c.Interface || a.Name != c.Name {
			continue
		}
		row := &api.Asked{At: a.At, Master: a.Master, Answers: []api.Answer{}, Problem: a.Problem, Count: a.Count, Answered: a.Answered}
		for _, answer := range a.Answers {
			row.Answers = append(row.Answers, api.Answer(answer))
		}
		return row
	}
	return nil
}

// signing returns how advertisements are signed; nil: they are not.
func signing(c vrrp.HMAC, refused []vrrp.Refusal) *api.HMAC {
	if !c.On() {
		return nil
	}
	row := &api.HMAC{Mode: c.Mode.String(), AntiReplay: c.AntiReplay.String(), Refused: []api.Refusal{}}
	for _, id := range c.IDs() {
		row.Keys = append(row.Keys, int(id)) // as []uint8, JSON would have them in base64
	}
	if c.Mode != vrrp.HMACReceiveOnly {
		row.ActiveKey = c.ActiveKey
	}
	if c.AntiReplay == vrrp.AntiReplayTime {
		row.TimeWindow = c.Window.String()
	}
	for _, r := range refused {
		row.Refused = append(row.Refused, api.Refusal(r))
	}
	return row
}

// linkRows returns the status of the interfaces that a virtual router tracks. An interface without a report yet counts as
// good.
func linkRows(tracks []vrrp.TrackInterface, faults map[string]string) []api.Track {
	rows := make([]api.Track, 0, len(tracks))
	for _, t := range tracks {
		row := api.Track{Name: "interface " + t.Interface, OK: true, Reason: "not seen yet"}
		if fault, known := faults[t.Interface]; known {
			row.OK, row.Reason = fault == "", cmp.Or(strings.TrimPrefix(fault, row.Name+" "), "is up")
		}
		rows = append(rows, row)
	}
	return rows
}

func counters(c vrrp.Counters) api.Counters {
	row := api.Counters{
		AdvertsSent: c.AdvertsSent, AdvertsReceived: c.AdvertsReceived, AdvertsDropped: make(map[string]uint64),
		SendErrors: c.SendErrors, AnswersWithheld: c.AnswersWithheld, BecameMaster: c.BecameMaster, LongestGapSeconds: c.LongestGap.Seconds(),
	}
	for reason, n := range c.Drops.All() {
		if n > 0 {
			row.AdvertsDropped[reason.String()] = n
		}
	}
	return row
}
