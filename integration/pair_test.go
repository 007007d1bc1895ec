// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestPairServes: one director is master, both hold the same table, and a client is served by the real servers in turn.
func TestPairServes(t *testing.T) {
	t.Parallel()
	p := lab.NewPair(t, patient)
	p.Launch()

	var got []string
	for range 6 {
		body, err := p.Client.Get(vipURL)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, body)
	}
	if turn := got[0] + got[1]; got[0] == got[1] || strings.Join(got, "") != turn+turn+turn {
		t.Errorf("six requests were answered by %v, want two servers by turns", got)
	}
	a, b := p.A.Table(), p.B.Table()
	if a != b || !strings.Contains(a, "TCP 192.0.2.100:80 wrr\n  -> 192.0.2.11:80 Route 1\n  -> 192.0.2.12:80 Route 1\n") {
		t.Errorf("ipvsadm -Ln on director-a:\n%son director-b:\n%s", a, b)
	}
	if who := p.Client.WhoHas(vip); len(who) != 1 || who[0] != p.A.MAC() {
		t.Errorf("%v answer for the VIP, want director-a alone, %s", who, p.A.MAC())
	}
	wantStatus(t, p.A, "master", "192.0.2.2")
	wantStatus(t, p.B, "backup", "192.0.2.2")
}

// wantStatus asks for the status as an operator does, and checks the documented members.
func wantStatus(t *testing.T, d *lab.Director, state, master string) {
	t.Helper()
	var s lab.Status
	text := d.Run(lab.Tandem.Path(), "status", "--json", "--socket", d.Socket)
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatalf("status of %s: %v\n%s", d.Name, err, text)
	}
	if s.Name != d.Name || s.Version == "" || s.Config.File != d.File || len(s.Config.SHA256) != 64 || s.Config.LoadedAt.IsZero() {
		t.Errorf("status of %s: %+v", d.Name, s)
	}
	if len(s.VRRP) != 1 || len(s.Services) != 2 {
		t.Fatalf("status of %s: %d routers and %d services, want 1 and 2", d.Name, len(s.VRRP), len(s.Services))
	}
	r := s.VRRP[0]
	if r.State != state || r.Master != master || r.VRID != 51 || r.Version != 3 || r.Interface != "eth0" ||
		r.Since.IsZero() || fmt.Sprint(r.VIPs) != "[192.0.2.100/24]" || r.Priority != r.EffectivePriority {
		t.Errorf("virtual router of %s: %+v, want it %s, with %s master", d.Name, r, state, master)
	}
	www := s.Services[0]
	if www.Virtual != vip+":80" || www.Protocol != "tcp" || www.Scheduler != "wrr" || www.Method != "dr" || len(www.Servers) != 2 {
		t.Errorf("service of %s: %+v", d.Name, www)
	}
	for _, server := range www.Servers {
		if server.Health != "healthy" || server.EffectiveWeight != 1 || server.Port != 80 {
			t.Errorf("real server of %s: %+v", d.Name, server)
		}
	}
	table := d.Run(lab.Tandem.Path(), "status", "--socket", d.Socket)
	for _, want := range []string{state, vip, "192.0.2.11", "192.0.2.12"} {
		if !strings.Contains(strings.ToLower(table), want) {
			t.Errorf("the table of status does not show %q:\n%s", want, table)
		}
	}
}

// TestServerFails: the web server of a real server stops. Within interval × fall + timeout, both directors set the server's
// weight to 0, or remove it, as configured. After enough successes they undo this.
func TestServerFails(t *testing.T) {
	quick := lab.PairSettings{Interval: 500 * time.Millisecond, Timeout: 300 * time.Millisecond}
	quickRemove := quick
	quickRemove.OnFailure = "remove"
	for _, tt := range []struct {
		name     string
		settings lab.PairSettings
		fail     func(p *lab.Pair)
		mend     func(p *lab.Pair)
		reason   string // in status
	}{
		{
			name:     "refused, weight zero",
			settings: quick,
			fail:     func(p *lab.Pair) { p.HTTP[0].Stop() },
			mend:     func(p *lab.Pair) { p.Webs[0].HTTPServer("web1") },
			reason:   "connection refused",
		},
		{
			name:     "status 404, remove",
			settings: quickRemove,
			fail:     func(p *lab.Pair) { p.Webs[0].RemoveHealthPage() },
			mend:     func(p *lab.Pair) { p.Webs[0].WriteFile("www/health", "web1") },
			reason:   "status 404",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := lab.NewPair(t, tt.settings)
			p.Launch()
			removed := tt.settings.OnFailure == "remove"
			watch, failed := p.WatchStalls(), time.Now()
			tt.fail(p)
			p.Logf("the web server of web1 fails")
			down := awaitWeb1(p, 0, removed)
			stall, limit := watch.Stop(), p.ChecksFail()
			p.Logf("out on both directors %s after it failed; the bound is %s", down.Sub(failed).Round(time.Millisecond), limit)
			if took := down.Sub(failed); took > limit+observing+stall {
				t.Errorf("web1 was out after %s, want at most %s; the machine itself stalled for %s", took, limit, stall)
			}
			for _, d := range []*lab.Director{p.A, p.B} {
				s, err := d.Status()
				if err != nil {
					t.Fatal(err)
				}
				if got, err := s.Server("192.0.2.11"); err != nil || got.Health != "unhealthy" || !strings.Contains(got.Reason, tt.reason) {
					t.Errorf("status of %s: %+v, %v, want unhealthy with %q", d.Name, got, err, tt.reason)
				}
			}
			for range 4 {
				if body, err := p.Client.Get(vipURL); err != nil || body != "web2" {
					t.Errorf("answered by %q, %v, want web2", body, err)
				}
			}
			tt.mend(p)
			mended := time.Now()
			up := awaitWeb1(p, 1, false)
			p.Logf("back on both directors %s after it was mended", up.Sub(mended).Round(time.Millisecond))
		})
	}
}

// observing is the time that the lab needs to see a change in two tables.
const observing = 150 * time.Millisecond

// awaitWeb1 waits until both directors' kernels have web1 at a weight, or not at all, and returns when.
func awaitWeb1(p *lab.Pair, weight int, removed bool) time.Time {
	p.Eventually(20*time.Second, fmt.Sprintf("web1 at weight %d", weight), func() error {
		for _, d := range []*lab.Director{p.A, p.B} {
			got, there := d.Weights()["tcp 192.0.2.11"]
			if there == removed || got != weight {
				return fmt.Errorf("%s has it at %d, in the table: %t", d.Name, got, there)
			}
		}
		return nil
	})
	return time.Now()
}
