// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/porttest"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober/ask"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober/remote"
)

var probeKey = []byte("0123456789abcdef0123456789abcdef")

// newProber runs a prober that asks a web server, and returns where it listens.
func newProber(t *testing.T, target string) string {
	t.Helper()
	return newProberWith(t, target, 0)
}

// newProberWith is newProber with connections that stay open.
func newProberWith(t *testing.T, target string, flows int) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &remote.Listener{Log: func(string) {}, Probe: ask.Probe{
		Target:  ask.Target{Protocol: ask.HTTP, Addr: netip.MustParseAddrPort(target), Host: "x", Path: "/"},
		Options: prober.Options{Every: 10 * time.Millisecond, For: time.Hour, Timeout: 20 * time.Second, Slow: 20 * time.Second},
		Flows:   flows, FlowEvery: 30 * time.Millisecond,
	}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(ctx, l, probeKey) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// TestClientsWatch: the probers ask from before the failure until all is as before, and the report has what they saw.
func TestClientsWatch(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer web.Close()
	d, _ := newDrill(t, new(fakePair))
	d.ProbeKey = probeKey
	d.Probes = []string{newProber(t, web.Listener.Addr().String()), newProber(t, web.Listener.Addr().String())}
	for range 2 { // the probers are free again afterwards
		r, err := d.Run(t.Context())
		if err != nil || !r.Passed || len(r.Clients) != 2 || r.ClientsOutage == nil || *r.ClientsOutage != 0 {
			t.Fatalf("%v, %q, %s", err, r.Refused, r.Text())
		}
		for i, c := range r.Clients {
			if c.Address != d.Probes[i] || c.Answered == 0 || c.Problem != "" || c.Target == "" {
				t.Errorf("%+v", c)
			}
		}
	}
}

// TestConnectionsAreKnownFirst: the failure is made when the other director has the connections that the probers keep open, of which the
// pre-checks know nothing.
func TestConnectionsAreKnownFirst(t *testing.T) {
	const flows, looksUntilKnown = 3, 4
	var asked atomic.Int32
	web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if !r.Close {
			asked.Add(1)
		}
	}))
	defer web.Close()
	p := new(fakePair)
	looks, early := 0, false
	p.pool.on = true
	p.broken = func(here, there *control.Status) {
		here.Sync, there.Sync = []control.Sync{{Role: "master", ID: 51}}, []control.Sync{{Role: "backup", ID: 51}}
		if asked.Load() > 0 {
			here.Services[0].Servers[0].Active = flows
			looks++
		}
		if looks >= looksUntilKnown {
			there.Services[0].Servers[0].Active = flows
		}
		early = early || p.away && looks < looksUntilKnown
	}
	d, told := newDrill(t, p)
	d.ProbeKey, d.Probes = probeKey, []string{newProber(t, web.Listener.Addr().String()), newProberWith(t, web.Listener.Addr().String(), flows)}
	r, err := d.Run(t.Context())
	if err != nil || !r.Passed || len(r.Clients) != 2 || r.Clients[1].Flows != flows || r.Clients[1].Broken != 0 {
		t.Fatalf("%v, %q, %s", err, r.Refused, r.Text())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if early || looks < looksUntilKnown || !slices.Contains(*told, "waiting until lb2 has the connections of the clients") {
		t.Errorf("%d looks at connections, handed over before the other director had them: %t; told %q", looks, early, *told)
	}
}

// TestClientsWithoutAnswers: nothing is done if a prober cannot be used, or gets no answer.
func TestClientsWithoutAnswers(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer web.Close()
	p := new(fakePair)
	d, _ := newDrill(t, p)
	d.FirstAnswer, d.ProbeKey = 300*time.Millisecond, probeKey
	for want, address := range map[string]string{
		"cannot be used: ": porttest.Reserve(t).String(), "get no answer from the service": newProber(t, porttest.Reserve(t).String()),
	} {
		d.Probes = []string{newProber(t, web.Listener.Addr().String()), address}
		r, err := d.Run(t.Context())
		if err != nil || len(r.Refused) == 0 || !strings.Contains(r.Refused[len(r.Refused)-1], want) || !strings.Contains(r.Refused[len(r.Refused)-1], address) || len(p.there) > 0 {
			t.Errorf("%s: %v, %q", want, err, r.Refused)
		}
	}
	d.Probes, d.ProbeKey = d.Probes[:1], []byte("another key of 32 octets, or so.")
	if r, err := d.Run(t.Context()); err != nil || len(r.Refused) != 1 || !strings.Contains(r.Refused[0], "another key") {
		t.Errorf("with another key: %v, %q", err, r.Refused)
	}
	if len(p.news) > 0 {
		t.Errorf("the director was told %+v", p.news)
	}
}
