// SPDX-License-Identifier: Apache-2.0

package director

import (
	"cmp"
	"net/netip"
	"strings"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

var _ control.Director = (*Director)(nil)

// Status is what the director is and does now.
func (d *Director) Status() control.Status {
	d.elections.Refresh()
	d.mu.Lock()
	cfg, v, report := d.config, d.view(), d.report
	s := control.Status{
		Name:     cfg.Name,
		Version:  d.version,
		Config:   control.Config{File: cfg.File, SHA256: cfg.SHA256, LoadedAt: d.loadedAt},
		VRRP:     routerStatus(cfg.Routers, report),
		Sync:     []control.Sync{},
		Warnings: []string{},
	}
	d.mu.Unlock()
	for _, w := range cfg.Warnings {
		s.Warnings = append(s.Warnings, w.Error())
	}
	tracks, standings := d.standings()
	rows := trackRows(tracks, standings)
	for i, r := range s.VRRP {
		s.VRRP[i].Track = append(s.VRRP[i].Track, rows[r.Name]...)
	}
	if v.cutOff = v.isolated(cfg.Services); v.cutOff {
		s.Warnings = append(s.Warnings, "no real server answers this director in any way: it seems to be cut off from them, so it leaves them all at their weights and stands back at priority 1; look at its own cable, interface and addresses")
	}
	if p := d.metrics.problem(); p != "" {
		s.Warnings = append(s.Warnings, p)
	}
	s.Warnings = append(s.Warnings, electionWarnings(report)...)
	s.Warnings = append(s.Warnings, rivalWarnings(report, cfg.Services)...)
	found := d.find(cfg)
	s.Warnings = append(s.Warnings, found.warnings...)
	s.Sync = found.syncs
	s.Services = make([]control.Service, 0, len(cfg.Services))
	for _, svc := range cfg.Services {
		s.Services = append(s.Services, serviceStatus(svc, v, found))
		s.Warnings = append(s.Warnings, poolWarnings(svc, found.pools[svc.Name])...)
	}
	s.Warnings = append(s.Warnings, departedWarnings(cfg.Services, v.leavers)...)
	return s
}

// electionWarnings are what the election finds amiss on the wire and on its interfaces.
func electionWarnings(report message.Report) []string {
	var all []string
	if report.Problem != "" {
		all = append(all, "no virtual router runs: "+report.Problem)
	}
	for _, r := range report.Routers {
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

// routerStatus is one row for each configured router, in the order of the file; one that the election has not
// reported yet is in initialize.
func routerStatus(routers []configs.Router, report message.Report) []control.Router {
	type id struct{ iface, name string } // a router that moves is on both interfaces for a while
	said := make(map[id]vrrp.Status, len(report.Routers))
	for _, r := range report.Routers {
		said[id{r.Interface, r.Name}] = r
	}
	rows := make([]control.Router, 0, len(routers))
	for _, r := range routers {
		row := control.Router{
			Name: r.Name, Interface: r.Interface, VRID: r.VRID, Version: r.Version,
			State: vrrp.Initialize.String(), Priority: r.Priority, EffectivePriority: r.Priority, VIPs: r.VIPs,
			Reason: cmp.Or(report.Problem, "the election is starting"),
			Family: family(r.VIPs), SyncGroup: r.SyncGroup, AdvertInterval: r.AdvertInterval.String(),
			Track:        linkRows(r.TrackInterfaces, report.Links),
			UnicastPeers: r.UnicastPeers, AddressInterface: r.AddressInterface(), ExcludedVIPs: r.ExcludedVIPs, Preempt: r.Preempt,
			Counters: control.Counters{AdvertsDropped: map[string]uint64{}},
		}
		if is, ok := said[id{r.Interface, r.Name}]; ok {
			row.State, row.Since, row.Reason = is.State.String(), is.Since, is.Reason
			row.EffectivePriority = is.EffectivePriority
			row.Standby, row.HandingOver = is.Standby, is.HandingOver
			row.Counters = counters(is.Counters)
			if is.Master.IsValid() {
				row.Master = is.Master.String()
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// linkRows is the status of the interfaces that a virtual router tracks; those that nothing is known of yet are well.
func linkRows(tracks []vrrp.TrackInterface, faults map[string]string) []control.Track {
	rows := make([]control.Track, 0, len(tracks))
	for _, t := range tracks {
		row := control.Track{Name: "interface " + t.Interface, OK: true, Reason: "not seen yet"}
		if fault, known := faults[t.Interface]; known {
			row.OK, row.Reason = fault == "", cmp.Or(strings.TrimPrefix(fault, row.Name+" "), "is up")
		}
		rows = append(rows, row)
	}
	return rows
}

func counters(c vrrp.Counters) control.Counters {
	row := control.Counters{
		AdvertsSent: c.AdvertsSent, AdvertsReceived: c.AdvertsReceived, AdvertsDropped: make(map[string]uint64),
		SendErrors: c.SendErrors, BecameMaster: c.BecameMaster, LongestGapSeconds: c.LongestGap.Seconds(),
	}
	for reason, n := range c.Drops.All() {
		if n > 0 {
			row.AdvertsDropped[reason.String()] = n
		}
	}
	return row
}

// family is that of a virtual router's addresses, which are all of one.
func family(vips []netip.Prefix) uint8 {
	if len(vips) > 0 && vips[0].Addr().Is6() {
		return 6
	}
	return 4
}
