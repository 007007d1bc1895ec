// SPDX-License-Identifier: Apache-2.0

package page

import (
	"flag"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/history"
)

var update = flag.Bool("update", false, "write the golden file")

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// hostile is a name that is an element, an end of an attribute and a script at once.
const hostile = `<img/src=x>"'&</td><script>alert(1)</script>`

// pair is a director that is master, whose peer is backup, and where not all is well.
func pair() View {
	addr := netip.MustParseAddr
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	outage := 0.0123
	v := View{At: noon, Status: api.Status{
		Name: "lb1", Version: "1.2.0", Config: api.Config{File: "/etc/tandem/tandem.toml", LoadedAt: ago(50 * time.Hour)},
		Warnings: []string{"the clock of lb2 is 1.5s ahead (± 200µs): run NTP on both directors", "two\nlines"},
		VRRP: []api.Router{
			{Name: "web", Interface: "eth0", VRID: 51, Family: 4, State: "master", Priority: 150, EffectivePriority: 150, Master: "192.0.2.2", Since: ago(time.Hour),
				Reason: "startup", VIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24"), netip.MustParsePrefix("192.0.2.101/24")},
				ExcludedVIPs: []netip.Prefix{netip.MustParsePrefix("203.0.113.1/32")}, VIPInterfaces: map[netip.Addr]string{addr("203.0.113.1"): "eth1"},
				Track: []api.Track{{Name: "interface eth1", OK: true}, {Name: "script /bin/uplink", Reason: "exit code 1"}}},
			{Name: "db", Interface: "eth0", VRID: 52, Family: 4, State: "backup", Priority: 100, EffectivePriority: 1, Standby: true, Since: ago(30 * time.Hour)},
		},
		Services: []api.Service{
			{Name: "www", Virtual: "192.0.2.100:80", Protocol: "tcp", Scheduler: "wrr", Method: "dr", Up: 1, Stats: api.Stats{ConnectionRate: 12}, Servers: []api.Server{
				{Address: addr("192.0.2.11"), Port: 80, Weight: 2, EffectiveWeight: 2, Health: "healthy", Reason: "status 200", Since: ago(2 * time.Hour), Active: 40, Inactive: 7,
					Stats: api.Stats{ConnectionRate: 12}},
				{Address: addr("192.0.2.12"), Port: 80, Weight: 1, Health: "unhealthy", Reason: "status 503: " + hostile, Since: ago(time.Minute), Active: 1},
				{Address: addr("192.0.2.13"), Port: 80, Weight: 1, Health: "healthy", Reason: "status 200", Drained: true, Note: "drained by command", Since: ago(time.Hour)},
			}},
			{Name: "dns" + hostile, Virtual: "192.0.2.100:53", Protocol: "udp", Scheduler: "rr", Method: "dr", QuorumLost: true, Servers: []api.Server{
				{Address: addr("2001:db8::11"), Port: 53, Weight: 1, Health: "unhealthy", Reason: "timeout", Since: ago(time.Hour)},
			}},
		},
		Sync:   []api.Sync{{Role: "master", Interface: "eth0", ID: 51}},
		Drills: []api.Drill{{Kind: "failover", Ended: ago(26 * time.Hour), Result: "passed", OutageSeconds: &outage}},
		Peer: &api.Peer{
			Address: "10.0.0.2:8474", Name: "lb2", Version: "1.1.0", Can: api.Questions(), HeardAt: ago(time.Second),
			To: api.PeerHalf{Up: true, Since: ago(time.Hour)}, From: api.PeerHalf{Since: ago(time.Minute), Problem: "no answer"},
			Clock:   &api.Clock{AheadSeconds: -1.5},
			Routers: []api.PeerRouter{{Name: "web", Family: 4, State: "backup", Priority: 100}, {Name: "mail", Family: 4, State: "fault", Priority: 100, Since: ago(time.Hour)}},
			Drift:   []api.PeerDrift{{Wrong: true, Text: "virtual router web: vrid 51 here, 52 there"}, {Text: "service www: scheduler"}},
			Servers: []api.PeerServer{{Name: "www/192.0.2.12:80", Here: "unhealthy: status 503", There: "healthy"}},
			Orders:  []api.PeerOrder{{Name: "www/192.0.2.13:80", Here: "drained by command", There: "none", Why: "--local on lb1", Meant: true}},
		},
	}}
	event := func(d time.Duration, director, kind, on, name, what, cause string) api.Event {
		return api.Event{Time: ago(d), Director: director, Kind: api.EventKind(kind), On: on, Name: name, What: what, Cause: cause}
	}
	became := func(d time.Duration, director, was, is string) api.Event {
		ev := event(d, director, "transition", api.OnRouter, "web", "became "+is, "higher priority heard")
		ev.Old, ev.New = was, is
		return ev
	}
	v.Events = []api.Event{
		became(20*time.Hour, "lb2", "backup", "master"), became(20*time.Hour, "lb1", "master", "backup"),
		event(2*time.Hour, "lb2", "director", api.OnDirector, "lb2", history.Stopped, ""),
		became(time.Hour, "lb1", "backup", "master"),
		event(time.Minute, "lb1", "hook", api.OnRouter, "web", "hook slack failed", `failed to post: Post "https://u:p@hooks.example/T0/secret?x=1": dial tcp: refused`),
		event(time.Minute, "lb1", "verdict", api.OnServer, "www/192.0.2.12:80", "is down", "status 503: "+hostile),
	}
	return v
}

// TestDocument: the page is what the golden file has. With -update it is written.
func TestDocument(t *testing.T) {
	var none *Edition
	got := none.Next(Render(pair())).Document("instance")
	const golden = "testdata/page.html"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || string(want) != string(got) {
		t.Errorf("the page is not that of %s (%v): look at the difference, then give go test the flag -update", golden, err)
	}
}

// nodes returns the elements of a page.
func nodes(t *testing.T, text []byte) (all []*html.Node) {
	t.Helper()
	top, err := html.Parse(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for n := range top.Descendants() {
		if n.Type == html.ElementNode {
			all = append(all, n)
		}
	}
	return all
}

func attribute(n *html.Node, name string) (value string, ok bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

// TestStructure: a keyboard and a reader of screens find their way, and nothing on the page needs more than its Content-Security-Policy
// allows.
func TestStructure(t *testing.T) {
	var none *Edition
	v := pair()
	count, ids, targets := make(map[string]int), make(map[string]int), []string{}
	for _, n := range nodes(t, none.Next(Render(v)).Document("instance")) {
		count[n.Data]++
		if id, ok := attribute(n, "id"); ok {
			ids[id]++
		}
		for _, a := range n.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("<%s> has the attribute %s", n.Data, a.Key)
			}
			if a.Key == "aria-labelledby" {
				targets = append(targets, a.Val)
			}
		}
		switch n.Data {
		case "script":
			if src, _ := attribute(n, "src"); src != "script.js" || textOf(n) != "" {
				t.Errorf("a script other than script.js: %q", textOf(n))
			}
		case "style", "img", "iframe", "object", "base":
			t.Errorf("the page has a <%s>", n.Data)
		case "th":
			if scope, _ := attribute(n, "scope"); scope != "col" && scope != "row" {
				t.Errorf("the header %q has no scope", textOf(n))
			}
		case "table", "section":
			by, _ := attribute(n, "aria-labelledby")
			if label, _ := attribute(n, "aria-label"); by+label == "" {
				t.Errorf("a <%s> has no name", n.Data)
			}
		case "a":
			href, _ := attribute(n, "href")
			if target, err := unescapeFragment(href); err != nil {
				t.Errorf("%s: %v", href, err)
			} else {
				targets = append(targets, target)
			}
		}
	}
	for _, landmark := range []string{"header", "nav", "main", "footer", "h1", "title"} {
		// The drawing has titles of its own.
		if count[landmark] != 1 && landmark != "title" || count[landmark] == 0 {
			t.Errorf("the page has %d <%s>, want 1", count[landmark], landmark)
		}
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("%d elements have the ID %q", n, id)
		}
	}
	for _, target := range targets {
		if ids[target] == 0 {
			t.Errorf("no element has the ID %q, to which another one leads", target)
		}
	}
	if len(targets) < 15 || count["tr"] < 10 {
		t.Errorf("found %d targets and %d rows: too few to be all", len(targets), count["tr"])
	}
}

// TestTitle: the name of the window says how bad it is.
func TestTitle(t *testing.T) {
	v := pair()
	if got := Render(v).Title; got != "1 critical fault: lb1 · tandem" {
		t.Errorf("%q", got)
	}
	v.Status.Services = v.Status.Services[:1]
	if got := Render(v).Title; got != "3 warnings: lb1 · tandem" {
		t.Errorf("%q", got)
	}
	v.Status.Services, v.Status.Warnings = nil, nil
	p := Render(v)
	if p.Title != "lb1 · tandem" || !strings.Contains(p.Wrong.HTML, "Nothing is wrong.") {
		t.Errorf("%q, %s", p.Title, p.Wrong.HTML)
	}
}

// TestAlone: a director without a peer, and one that starts, have a page too.
func TestAlone(t *testing.T) {
	v := pair()
	v.Status.Peer = nil
	if p := Render(v); strings.Contains(p.Routers.HTML, "State on lb2") || !strings.Contains(p.Other.HTML, "no [peer]") || !strings.Contains(p.Routers.HTML, "MASTER") {
		t.Errorf("alone: %s\n%s", p.Routers.HTML, p.Other.HTML)
	}
	p := Render(View{At: noon, Status: api.Status{Name: "lb1", Warnings: []string{"this director is starting or leaving"}}})
	if !strings.Contains(p.Wrong.HTML, "starting or leaving") || len(p.Services) != 0 || !strings.Contains(p.Timeline.HTML, "No event is known.") {
		t.Errorf("starting: %+v", p)
	}
}

// TestManyProblems: the list of what is wrong stays readable.
func TestManyProblems(t *testing.T) {
	v := View{At: noon}
	for i := range 1000 {
		v.Status.Services = append(v.Status.Services, api.Service{Name: fmt.Sprintf("s%d", i), Servers: []api.Server{{Health: "unhealthy"}}})
	}
	p := Render(v)
	if n := strings.Count(p.Wrong.HTML, "<li"); n != maxProblems || !strings.Contains(p.Wrong.HTML, "and 1950 other problems") {
		t.Errorf("%d problems are listed", n)
	}
	if n := strings.Count(p.Wrong.HTML, "<a "); n != maxTroubled || !strings.Contains(p.Wrong.HTML, "and 980 others") {
		t.Errorf("%d services are linked", n)
	}
}

func unescapeFragment(href string) (string, error) {
	u, err := url.Parse(href)
	if err != nil {
		return "", err
	}
	return u.Fragment, nil
}
