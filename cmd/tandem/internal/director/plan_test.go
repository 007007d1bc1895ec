// SPDX-License-Identifier: Apache-2.0

package director

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

// www is a service with two servers of weights 3 and 5.
func www(checked bool, onFailure lvs.OnFailure) configs.Service {
	svc := configs.Service{Name: "www", OnFailure: onFailure, Quorum: 1, Virtuals: []lvs.Service{{
		ServiceID: lvs.ServiceID{Protocol: lvs.TCP, Addr: netip.MustParseAddr("192.0.2.100"), Port: 80},
		Scheduler: "wrr",
	}}}
	for i, weight := range []int{3, 5} {
		addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)})
		svc.Servers = append(svc.Servers, configs.Server{Server: lvs.Server{
			ServerID: lvs.ServerID{Addr: addr, Port: 80}, Method: lvs.DR, Weight: weight,
		}})
	}
	if checked {
		check := healthcheck.DefaultConfig(healthcheck.TCP)
		for i := range svc.Servers {
			svc.Servers[i].Checks = []healthcheck.Config{check}
		}
	}
	return svc
}

func health(first, second healthcheck.Health) map[string]healthcheck.TargetStatus {
	all := make(map[string]healthcheck.TargetStatus)
	for id, h := range map[string]healthcheck.Health{"www/192.0.2.11:80": first, "www/192.0.2.12:80": second} {
		if h != healthcheck.Unknown {
			all[id] = healthcheck.TargetStatus{Health: h}
		}
	}
	return all
}

// weights writes the only service of a table as "11=3 12=5".
func weights(table []lvs.Entry) string {
	var all []string
	for _, srv := range table[0].Servers {
		all = append(all, fmt.Sprintf("%d=%d", srv.Addr.As4()[3], srv.Weight))
	}
	return strings.Join(all, " ")
}

func TestPlan(t *testing.T) {
	const up, down, unknown = healthcheck.Healthy, healthcheck.Unhealthy, healthcheck.Unknown
	for _, c := range []struct {
		why       string
		svc       configs.Service
		health    map[string]healthcheck.TargetStatus
		inherited string // weights in the kernel's table at the start
		want      string
	}{
		{"without a check, servers are in", www(false, lvs.WeightZero), nil, "", "11=3 12=5"},
		{"new servers wait for their first check", www(true, lvs.WeightZero), health(unknown, unknown), "", "11=0 12=0"},
		{"one has passed", www(true, lvs.WeightZero), health(up, unknown), "", "11=3 12=0"},
		{"one has failed", www(true, lvs.WeightZero), health(up, down), "", "11=3 12=0"},
		{"one has failed and is to be removed", www(true, lvs.Remove), health(up, down), "", "11=3"},
		{"after a restart the kernel's weights stand", www(true, lvs.WeightZero), health(unknown, unknown), "11=3 12=5", "11=3 12=5"},
		{"whatever they were", www(true, lvs.WeightZero), health(unknown, unknown), "11=1 12=0", "11=1 12=0"},
		{"until the checks have spoken", www(true, lvs.WeightZero), health(down, up), "11=3 12=0", "11=0 12=5"},
	} {
		v := view{health: c.health}
		v.inherited = inherit([]configs.Service{c.svc}, v, tableOf(c.svc, c.inherited))
		if got := weights(plan([]configs.Service{c.svc}, v).entries); got != c.want {
			t.Errorf("%s: got %s, want %s", c.why, got, c.want)
		}
	}
}

func TestPlanOfADirectorThatIsCutOff(t *testing.T) {
	silent := func(ids ...string) map[string]healthcheck.TargetStatus {
		all := health(healthcheck.Unhealthy, healthcheck.Unhealthy)
		for _, id := range ids {
			all[id] = healthcheck.TargetStatus{Health: healthcheck.Unhealthy, Silent: true}
		}
		return all
	}
	const first, second = "www/192.0.2.11:80", "www/192.0.2.12:80"
	lone := www(true, lvs.WeightZero)
	lone.Servers = lone.Servers[:1]
	half := silent(first)
	half[second] = healthcheck.TargetStatus{Health: healthcheck.Healthy, Silent: true} // one lost probe is no failure
	for _, c := range []struct {
		why    string
		svc    configs.Service
		health map[string]healthcheck.TargetStatus
		want   string
	}{
		{"all are silent: it is the director", www(true, lvs.WeightZero), silent(first, second), "11=3 12=5"},
		{"one refuses: it is the servers", www(true, lvs.WeightZero), silent(first), "11=0 12=0"},
		{"one is healthy still", www(true, lvs.WeightZero), half, "11=0 12=5"},
		{"one server cannot tell", lone, silent(first), "11=0"},
		{"also where servers are removed", www(true, lvs.Remove), silent(first, second), "11=3 12=5"},
	} {
		if got := weights(plan([]configs.Service{c.svc}, view{health: c.health}).entries); got != c.want {
			t.Errorf("%s: got %s, want %s", c.why, got, c.want)
		}
	}
	if unchecked := www(false, lvs.WeightZero); (view{}).isolated([]configs.Service{unchecked}) {
		t.Error("servers without a check say that the director is cut off")
	}
}

// tableOf is the inverse of weights, for a service's own servers.
func tableOf(svc configs.Service, text string) []lvs.Entry {
	entry := lvs.Entry{Service: svc.Virtuals[0]}
	for _, word := range strings.Fields(text) {
		var last byte
		var srv lvs.Server
		if _, err := fmt.Sscanf(word, "%d=%d", &last, &srv.Weight); err != nil {
			panic(err)
		}
		srv.ServerID = lvs.ServerID{Addr: netip.AddrFrom4([4]byte{192, 0, 2, last}), Port: 80}
		entry.Servers = append(entry.Servers, srv)
	}
	return []lvs.Entry{entry}
}

func TestInheritForgetsWhatIsKnownOrGone(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	services := []configs.Service{svc}
	v := view{}
	v.inherited = inherit(services, v, tableOf(svc, "11=3 12=5"))

	// A verdict ends the inheritance for good: when a reload makes the server unknown again, the table decides.
	v.health = health(healthcheck.Unhealthy, healthcheck.Unknown)
	v.inherited = inherit(services, v, nil)
	v.health = nil
	if got := weights(plan(services, v).entries); got != "11=0 12=5" {
		t.Errorf("after a verdict on the first: %s", got)
	}
	// A check that a reload puts on a server which serves leaves it serving until the check has spoken.
	v.inherited = inherit(services, view{}, plan([]configs.Service{www(false, lvs.WeightZero)}, view{}).entries)
	if got := weights(plan(services, v).entries); got != "11=3 12=5" {
		t.Errorf("after a check was added: %s", got)
	}
	if left := inherit(nil, v, nil); len(left) != 0 {
		t.Errorf("a service that is gone leaves %v", left)
	}
}
