// SPDX-License-Identifier: Apache-2.0

package report

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

func TestStatusOfRouters(t *testing.T) {
	vips := []netip.Prefix{netip.MustParsePrefix("2001:db8::100/64")}
	excluded := []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")}
	web := configs.Router{Config: vrrp.Config{Name: "web", Interface: "eth0", VIPs: vips, ExcludedVIPs: excluded, Preempt: true,
		TrackInterfaces: []vrrp.TrackInterface{{Interface: "eth1", Weight: -50}, {Interface: "eth2"}, {Interface: "eth3"}}}}
	web.VIPInterfaces = map[netip.Addr]string{excluded[0].Addr(): "eth4"}
	mail := configs.Router{Config: vrrp.Config{Name: "mail", Interface: "eth1", Carrier: vrrp.CarrierIgnore, DownAdverts: 6}}
	said := vrrp.Status{Name: "web", Interface: "eth0", State: vrrp.Master, Counters: vrrp.Counters{
		AdvertsSent: 7, AdvertsReceived: 3, SendErrors: 2, BecameMaster: 1, LongestGap: 1_500_000_000,
		Drops: vrrp.Drops{vrrp.DropWrongTTL: 4},
	}}
	at := time.Unix(1e9, 0)
	key := vrrp.Key{ID: 3, Secret: vrrp.NewSecret(make([]byte, 32))}
	web.HMAC = vrrp.HMAC{Mode: vrrp.HMACEnforce, AntiReplay: vrrp.AntiReplayTime, Window: 5 * time.Second, ActiveKey: 3, Keys: []vrrp.Key{key}}
	mail.HMAC = vrrp.HMAC{Mode: vrrp.HMACReceiveOnly, AntiReplay: vrrp.AntiReplayMonotonic, ActiveKey: 3, Keys: []vrrp.Key{key}}
	said.HMAC, said.Refusals = web.HMAC.Public(), []vrrp.Refusal{{Reason: "replayed", Count: 4, Last: at, From: excluded[0].Addr()}}
	// A router of the same name on another interface: this is the router before it moved.
	moved := vrrp.Status{Name: "mail", Interface: "eth0", State: vrrp.Master, Counters: vrrp.Counters{AdvertsSent: 9}}
	links := map[string]string{"eth1": "interface eth1 has no carrier", "eth2": ""}
	rows := routerStatus([]configs.Router{web, mail}, message.Report{Routers: []vrrp.Status{said, moved}, Links: links})
	if len(rows) != 2 {
		t.Fatalf("%d rows for 2 routers", len(rows))
	}
	want := api.Counters{AdvertsSent: 7, AdvertsReceived: 3, AdvertsDropped: map[string]uint64{"wrong_ttl": 4}, SendErrors: 2,
		BecameMaster: 1, LongestGapSeconds: 1.5}
	if got := rows[0]; got.State != "master" || got.Family != 6 || !got.Preempt ||
		!reflect.DeepEqual(got.Counters, want) || !reflect.DeepEqual(got.ExcludedVIPs, excluded) {
		t.Errorf("web: %+v", got)
	}
	tracks := []api.Track{
		{Name: "interface eth1", Reason: "has no carrier"},
		{Name: "interface eth2", OK: true, Reason: "is up"},
		{Name: "interface eth3", OK: true, Reason: "not seen yet"},
		{Name: "interface eth4", OK: true, Reason: "not seen yet"},
	}
	if w, m := rows[0], rows[1]; !reflect.DeepEqual(w.VIPInterfaces, web.VIPInterfaces) || w.DownAdverts != 3 || w.Carrier != "track" ||
		m.VIPs == nil || m.DownAdverts != 6 || m.Carrier != "ignore" {
		t.Errorf("places and waits: %+v and %+v", w, m)
	}
	if !reflect.DeepEqual(rows[0].Track, tracks) || rows[1].Track == nil {
		t.Errorf("tracks %+v and %+v", rows[0].Track, rows[1].Track)
	}
	signing := &api.HMAC{Mode: "enforce", Keys: []int{3}, ActiveKey: 3, AntiReplay: "time", TimeWindow: "5s",
		Refused: []api.Refusal{{Reason: "replayed", Count: 4, Last: at, From: excluded[0].Addr()}}}
	if !reflect.DeepEqual(rows[0].HMAC, signing) {
		t.Errorf("web signs %+v, want %+v", rows[0].HMAC, signing)
	}
	signing = &api.HMAC{Mode: "receive-only", Keys: []int{3}, AntiReplay: "monotonic", Refused: []api.Refusal{}}
	if !reflect.DeepEqual(rows[1].HMAC, signing) {
		t.Errorf("mail signs %+v, want %+v", rows[1].HMAC, signing)
	}
	none := api.Counters{AdvertsDropped: map[string]uint64{}}
	if got := rows[1]; got.State != "initialize" || !reflect.DeepEqual(got.Counters, none) {
		t.Errorf("mail: %+v", got)
	}
}

// The status has a warning about a router that is master in spite of a fault, and only about such a router.
func TestLastResortIsAWarning(t *testing.T) {
	failing := vrrp.Tracking{Fault: "script /bin/uplink: exit code 2", LastResort: true}
	for _, tt := range []struct {
		is   vrrp.Status
		want int
	}{
		{vrrp.Status{Name: "web", State: vrrp.Master, Tracking: failing}, 1},
		{vrrp.Status{Name: "web", State: vrrp.Fault, Tracking: failing}, 0},
		{vrrp.Status{Name: "web", State: vrrp.Master}, 0},
	} {
		got := electionWarnings(message.Report{Routers: []vrrp.Status{tt.is}})
		if len(got) != tt.want || tt.want > 0 && !strings.Contains(got[0], "all directors fail") {
			t.Errorf("%+v: warnings %q, want %d", tt.is, got, tt.want)
		}
	}
}
