// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/screen"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/summary"
	"github.com/tandem-lvs/tandem/vrrp"
)

// paths tells about the paths of the routers' advertisements. Unless verbose, only about those that are silent or down.
func (p *statusPage) paths(routers []control.Router) {
	t := screen.Table{Header: []string{"ROUTER", "PATH", "STATE", "FOR", "MASTER", "SENT FROM", "SENT", "RECEIVED", "ERRORS", "REASON"}}
	address := func(a netip.Addr) string {
		if !a.IsValid() {
			return "-"
		}
		return a.String()
	}
	for _, r := range routers {
		for _, path := range r.Paths {
			bad := path.State == vrrp.PathSilent.String() || path.State == vrrp.PathDown.String()
			if !p.verbose && !bad {
				continue
			}
			is := cell(path.State)
			if bad {
				is.Style = screen.Red
			}
			t.Row(cell(r.Name), cell(path.Name), is, cell(ago(p.now, path.Since)), cell(address(path.Master)), cell(address(path.Source)),
				cell(path.Sent), cell(path.Received), cell(path.SendErrors), cell(summary.Dash(path.Reason)))
		}
	}
	p.table(t)
}

// asked tells who still answered for the VIPs when a master was silent. Unless verbose, only answers of the last hour.
func (p *statusPage) asked(routers []control.Router) {
	t := screen.Table{Header: []string{"ROUTER", "ASKED", "SILENT MASTER", "WHO STILL HAD ITS VIPS"}}
	for _, r := range routers {
		if r.Asked == nil || !p.verbose && (len(r.Asked.Answers) == 0 || p.now.Sub(r.Asked.At) > time.Hour) {
			continue
		}
		var who []string
		for _, a := range r.Asked.Answers {
			is := "another machine"
			if a.Peer {
				is = "the silent master itself"
			}
			who = append(who, fmt.Sprintf("%s at %s (%s)", a.Address, a.Hardware, is))
		}
		t.Row(cell(r.Name), cell(ago(p.now, r.Asked.At)+" ago"), cell(r.Asked.Master), cell(cmp.Or(strings.Join(who, ", "), r.Asked.Problem, "nobody")))
	}
	p.table(t)
}

// twoMasters tells the times with two masters, as the routers that have heard another master saw them.
func (p *statusPage) twoMasters(routers []control.Router) {
	t := screen.Table{Header: []string{"ROUTER", "TWO MASTERS", "TOGETHER", "LATEST"}}
	for _, r := range routers {
		m := r.TwoMasters
		if m.Count == 0 {
			continue
		}
		latest := "-"
		switch {
		case m.Since != nil:
			latest = fmt.Sprintf("now, for %s: %s", ago(p.now, *m.Since), m.Peer)
		case m.Latest != nil:
			latest = fmt.Sprintf("%s ago, for %.3fs: %s", ago(p.now, m.Latest.Began), m.Latest.Seconds, m.Latest.Peer)
		}
		t.Row(cell(r.Name), cell(m.Count), cell(fmt.Sprintf("%.3fs", m.TotalSeconds)), cell(latest))
	}
	p.table(t)
}

// peer tells about the channel to the other director.
func (p *statusPage) peer(is *control.Peer) {
	if is == nil {
		return
	}
	var b bytes.Buffer
	writePeerLine(&b, is, p.now)
	p.blank()
	p.add(strings.TrimSpace(b.String()), screen.Plain, 2)
}
