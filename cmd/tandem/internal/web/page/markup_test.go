// SPDX-License-Identifier: Apache-2.0

package page

import (
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// TestHostileTexts: a name or a text of a server is never more than a text.
func TestHostileTexts(t *testing.T) {
	var none *Edition
	v := pair()
	v.Status.Name, v.Status.Version, v.Missing = hostile, hostile, hostile
	v.Status.VRRP[0].Name, v.Status.VRRP[0].Interface, v.Status.VRRP[0].State = hostile, hostile, hostile
	v.Status.Peer.Name, v.Status.Peer.Version = hostile, hostile
	v.Status.Peer.Routers[0].Name, v.Status.Peer.Routers[0].State = hostile, hostile
	v.Status.Peer.To.Up, v.Status.Peer.To.Problem = false, hostile
	v.Status.Peer.Drift[0].Text, v.Status.Peer.Servers[0].Name = hostile, hostile
	v.Events[0] = api.Event{Time: noon, Director: hostile, Kind: hostile, On: hostile, Name: hostile, What: hostile, Cause: hostile, Old: hostile, New: hostile}
	v.Events = append(v.Events, api.Event{Time: noon, Director: hostile, Kind: api.EventTransition, On: api.OnRouter, Name: hostile, Old: hostile, New: hostile})
	document := none.Next(Render(v)).Document(hostile)
	found := 0
	for _, n := range nodes(t, document) {
		switch _, src := attribute(n, "src"); {
		case n.Data == "img", n.Data == "script" && !src:
			t.Fatalf("the page has an element that a name has made: <%s>", n.Data)
		}
		if n.FirstChild != nil && n.FirstChild.Type == html.TextNode && strings.Contains(n.FirstChild.Data, hostile) {
			found++
		}
	}
	if found < 15 {
		t.Errorf("found %d of the texts", found)
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"a<b>&\"'":               "a&lt;b&gt;&amp;&#34;&#39;",
		"é 雪 …":                  "é 雪 …",
		"turned \u202e round":    "turned ? round",
		"esc \x1b[2J \x00 \x7f":  "esc ?[2J ? ?",
		"not UTF-8 \xff\xc3":     "not UTF-8 ??",
		"lines\nand\ttabulators": "lines\nand\ttabulators",
		"zero\u200bwidth":        "zero?width",
	} {
		var m markup
		if m.text(in); string(m.b) != want {
			t.Errorf("%q: got %q, want %q", in, m.b, want)
		}
	}
}

// TestURLs: the path of a URL can be a secret. Hosts are not.
func TestURLs(t *testing.T) {
	for in, want := range map[string]string{
		"no URL":                        "no URL",
		"https://hooks.example/T0/B1/x": "https://hooks.example/…",
		`Post "https://u:p@hooks.example:8443/T0?x#y": refused`: `Post "https://hooks.example:8443/…": refused`,
		"https://hooks.example":                                 "https://hooks.example",
		"(http://a/) and http://b?secret, end":                  "(http://a/) and http://b/… end",
		"a https://x/1 https://y/2":                             "a https://x/… https://y/…",
		"://":                                                   "://",
		"https://u:p@x":                                         "https://x",
	} {
		if got := hideURLs(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
