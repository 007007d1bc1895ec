// SPDX-License-Identifier: Apache-2.0

package page

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

func TestEditions(t *testing.T) {
	v := many(40, 10)
	var none *Edition
	first := none.Next(Render(v))
	if news := first.After(0); first.Number != 1 || len(news.Parts) != 5+4 || len(news.Services) != 4 {
		t.Errorf("the first: %d, %d parts, services %q", first.Number, len(news.Parts), news.Services)
	}
	v.At = v.At.Add(time.Second)
	same := first.Next(Render(v))
	if news := same.After(1); same.Number != 1 || len(news.Parts) > 0 || news.Services != nil || same.At != "12:00:01" {
		t.Errorf("no change: %d, %+v, as of %s", same.Number, news, same.At)
	}
	v.Status.Services[2].Servers[0].Active += 1000
	third := same.Next(Render(v))
	// The sums change too.
	if news := third.After(1); third.Number != 2 || len(news.Parts) != 2 || news.Parts["service-service2"] == "" || news.Parts["overview"] == "" || news.Services != nil {
		t.Errorf("a change: %d, %+v", third.Number, news)
	}
	v.Status.Services = slices.Delete(slices.Clone(v.Status.Services), 0, 1)
	fourth := third.Next(Render(v))
	if news := fourth.After(2); news.Edition != 3 || len(news.Services) != 3 || len(news.Parts) != 1 {
		t.Errorf("a service less: %+v", news)
	}
	v.Status.Services[0], v.Status.Services[1] = v.Status.Services[1], v.Status.Services[0]
	fifth := fourth.Next(Render(v))
	if news := fifth.After(3); news.Edition != 4 || len(news.Parts) != 0 || !slices.Equal(news.Services, []string{"service-service2", "service-service1", "service-service3"}) {
		t.Errorf("another order: %+v", news)
	}
	if news := fifth.After(1); len(news.Parts) != 2 || len(news.Services) != 3 {
		t.Errorf("all since the first: %+v", news)
	}
	if news := fifth.After(99); len(news.Parts) != 5+3 || len(news.Services) != 3 {
		t.Errorf("after an edition that was never told: %+v", news)
	}
	v.Status.Services = nil
	if news := fifth.Next(Render(v)).After(4); news.Services == nil || len(news.Services) != 0 {
		t.Errorf("no service any more: %+v", news)
	}
}

// many is a director with many servers in services of that size.
func many(servers, size int) View {
	v := pair()
	v.Status.Services = nil
	for i := range servers / size {
		svc := api.Service{Name: fmt.Sprintf("service%d", i), Virtual: "192.0.2.100:80", Protocol: "tcp", Scheduler: "wrr", Method: "dr", Up: size}
		for j := range size {
			svc.Servers = append(svc.Servers, api.Server{
				Address: netip.AddrFrom4([4]byte{10, byte(i), byte(j / 250), byte(j % 250)}), Port: 80, Weight: 10, EffectiveWeight: 10,
				Health: "healthy", Reason: "status 200", Since: noon, Active: i + j, Inactive: j,
			})
		}
		v.Status.Services = append(v.Status.Services, svc)
	}
	return v
}

// TestManyServers: 10,000 servers are a page of a few megabytes, and one that changes is a small part of it.
func TestManyServers(t *testing.T) {
	for _, size := range []int{10, 10000} {
		v := many(10000, size)
		var none *Edition
		first := none.Next(Render(v))
		if n := len(first.Document("x")); n > 5<<20 {
			t.Errorf("services of %d: the page has %d bytes", size, n)
		}
		v.Status.Services[0].Servers[5].Inactive++
		news := first.Next(Render(v)).After(first.Number)
		sum := 0
		for _, text := range news.Parts {
			sum += len(text)
		}
		if len(news.Parts) != 1 || news.Services != nil || sum > 64<<10 {
			t.Errorf("services of %d: one changed server is %d parts of %d bytes", size, len(news.Parts), sum)
		}
		if allocated := testing.AllocsPerRun(1, func() { Render(v) }); allocated > 30*10000 {
			t.Errorf("services of %d: a rendering allocates %.0f times", size, allocated)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	v := many(10000, 10)
	for b.Loop() {
		Render(v)
	}
}
