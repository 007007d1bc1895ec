// SPDX-License-Identifier: Apache-2.0

//go:build browser

package web

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/integration/lab/chromium"
)

// A changing is a director whose state changes while browsers show it.
type changing struct {
	mu     sync.Mutex
	status api.Status
	events []api.Event
}

func (c *changing) Status() api.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

func (c *changing) History(q api.HistoryQuery) (all []api.Event, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ev := range c.events {
		if q.Matches(ev) {
			all = append(all, ev)
		}
	}
	return all, nil
}

func (c *changing) PeerHistory(context.Context, api.HistoryQuery) ([]api.Event, error) {
	return nil, nil
}

// change makes the director master or backup, and its first real server healthy or not. The words are those of the server's reason.
func (c *changing) change(state, health, words string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was, now := c.status.VRRP[0].State, time.Now()
	router, service := c.status.VRRP[0], c.status.Services[0]
	router.State, router.Since = state, now
	service.Servers = append([]api.Server(nil), service.Servers...)
	service.Servers[0].Health, service.Servers[0].Reason, service.Servers[0].Since = health, words, now
	// The old slices may be read now.
	c.status.VRRP, c.status.Services = []api.Router{router}, []api.Service{service}
	if was != state {
		c.events = append(c.events, api.Event{Time: now, Director: "lb1", Kind: api.EventTransition, On: api.OnRouter, Name: "web",
			What: "became " + state, Old: was, New: state, Cause: words})
	}
}

func newChanging() *changing {
	server := func(last byte) api.Server {
		return api.Server{Address: netip.AddrFrom4([4]byte{192, 0, 2, last}), Port: 80, Weight: 1, EffectiveWeight: 1, Health: "healthy",
			Reason: "status 200", Since: time.Now()}
	}
	return &changing{status: api.Status{
		Name: "lb1", Version: "1.2.0", Config: api.Config{File: "/etc/tandem/tandem.toml", LoadedAt: time.Now()},
		VRRP: []api.Router{{Name: "web", Interface: "eth0", VRID: 51, Family: 4, State: "master", Priority: 150, EffectivePriority: 150,
			Master: "192.0.2.2", Since: time.Now(), VIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")}}},
		Services: []api.Service{{Name: "www", Virtual: "192.0.2.100:80", Protocol: "tcp", Scheduler: "wrr", Method: "dr", Up: 2,
			Servers: []api.Server{server(11), server(12)}}},
	}}
}

// soon is how soon a reader sees a change.
const soon = time.Second

// TestBrowserPage: Chromium shows what changes within a second, to two readers at a time, in both themes, and finds nothing wrong with
// the page.
func TestBrowserPage(t *testing.T) {
	director := newChanging()
	site := New(hclog.NewNullLogger(), director)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = site.Run(ctx) })
	server := httptest.NewServer(site.Handler())
	t.Cleanup(func() {
		server.Close()
		cancel()
		running.Wait()
	})
	b := chromium.Start(t)
	var tabs []*chromium.Tab
	for _, theme := range chromium.Themes {
		tabs = append(tabs, b.Open(server.URL, theme))
	}
	var latest time.Duration
	late := 0
	for i := range 20 {
		time.Sleep(time.Duration(i) * 37 * time.Millisecond) // at any time between two questions of the page
		state, health := "backup", "unhealthy"
		if i%2 == 1 {
			state, health = "master", "healthy"
		}
		words := fmt.Sprintf("change %d", i)
		director.change(state, health, words)
		took, stalled := awaitShown(t, tabs, words, strings.ToUpper(state), health)
		if latest = max(latest, took); took > soon+stalled {
			t.Errorf("change %d was shown after %s, want %s at most (the machine stood still for %s)", i, took, soon, stalled)
			late++
		}
	}
	t.Logf("20 changes, the slowest shown after %s, %d of them late", latest, late)
	for i, theme := range chromium.Themes {
		picture := tabs[i].Picture("page-" + string(theme))
		if bright := chromium.Brightness(picture); bright > 0.8 != (theme == chromium.Light) || bright < 0.1 != (theme == chromium.Dark) {
			t.Errorf("%s: the page's brightness is %.2f", theme, bright)
		}
		if wrong := tabs[i].Problems(); len(wrong) > 0 {
			t.Errorf("%s: Chromium finds %q", theme, wrong)
		}
	}
	checkSilence(t, server, tabs[0])
}

// awaitShown waits until all tabs show a change, in the table of the servers, in that of the virtual routers and among the events. It
// returns how long the last one took, and for how long the machine kept this goroutine from running meanwhile.
func awaitShown(t *testing.T, tabs []*chromium.Tab, words, state, health string) (took, stalled time.Duration) {
	t.Helper()
	began := time.Now()
	shown := fmt.Sprintf(`["services", %q, "services", %q, "routers", %q, "timeline", %q].every((text, i, all) =>
		i %% 2 === 0 || document.getElementById(all[i-1]).textContent.includes(text))`, words, health, state, words)
	for _, tab := range tabs {
		for {
			is := false
			if tab.Ask(shown, &is); is {
				break
			}
			if time.Since(began) > 20*soon {
				page := ""
				tab.Ask(`document.body.innerText`, &page)
				t.Fatalf("%q is not shown after %s: %s", words, 20*soon, page)
			}
			const pause = 5 * time.Millisecond
			before := time.Now()
			time.Sleep(pause)
			if late := time.Since(before) - pause; late > pause {
				stalled += late
			}
		}
	}
	return time.Since(began), stalled
}

// checkSilence: a page whose director is gone says so, instead of showing an old state as the present one.
func checkSilence(t *testing.T, server *httptest.Server, tab *chromium.Tab) {
	t.Helper()
	server.Close()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		text := ""
		if tab.Ask(`document.getElementById("silent").innerText`, &text); strings.Contains(text, "has not answered since") {
			return
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("the director is gone for 10 s, and the page says %q", text)
		}
	}
}
