// SPDX-License-Identifier: Apache-2.0

package report

import (
	"reflect"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// TestStatusOfSyncWaits: the status says what a virtual router waits for, or why that is not known.
func TestStatusOfSyncWaits(t *testing.T) {
	begin := time.Unix(1_800_000_000, 0)
	router := func(name string, limit time.Duration) configs.Router {
		return configs.Router{Config: vrrp.Config{Name: name, Interface: "eth0", Preempt: true}, PreemptSyncLimit: limit}
	}
	shot := &core.Snapshot{
		Config:       &configs.Config{Routers: []configs.Router{router("web", time.Minute), router("mail", time.Minute), router("dns", time.Minute), router("ftp", 0)}},
		SyncOverruns: map[string]uint64{"web": 2},
		SyncWaits: []core.SyncWait{
			{Router: "web", Since: begin, Until: begin.Add(time.Minute), Known: true, Have: 180, Of: 200, Missing: "180 of 200 connections"},
			{Router: "mail", Since: begin, Until: begin.Add(time.Minute), Missing: "lb2 does not tell its connections", Blind: true},
			{Router: "dns", Since: begin, Until: begin.Add(time.Minute), Missing: "they are not counted yet"},
		},
	}
	rows := routerStatus(shot.Config.Routers, shot.Report)
	showSyncWaits(rows, shot)
	wait := api.SyncWait{Since: begin, Until: begin.Add(time.Minute)}
	web, mail, dns := wait, wait, wait
	web.Known, web.Have, web.Of, web.Text = true, 180, 200, "waits for connections: 180 of 200"
	mail.Text = "waits for connections: lb2 does not tell its connections: only preempt_sync_limit counts"
	dns.Text = "waits for connections: they are not counted yet"
	for i, want := range []struct {
		limit    string
		overruns uint64
		waits    *api.SyncWait
	}{{"1m0s", 2, &web}, {"1m0s", 0, &mail}, {"1m0s", 0, &dns}, {"", 0, nil}} {
		if r := rows[i]; r.PreemptSyncLimit != want.limit || r.PreemptSyncOverruns != want.overruns || !reflect.DeepEqual(r.Waits, want.waits) {
			t.Errorf("%s: limit %q, overruns %d, %+v", r.Name, r.PreemptSyncLimit, r.PreemptSyncOverruns, r.Waits)
		}
	}
}
