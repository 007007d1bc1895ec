// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/vrrp"
)

// telling is another director that tells this of its virtual routers: "web backup 100", and with "waits" that it has preempt = false.
func telling(routers ...string) *core.Peer {
	p := &core.Peer{View: &message.View{}, Preempts: make(map[string]bool)}
	p.Channel.Name = "lb2"
	for _, r := range routers {
		is := strings.Fields(r)
		priority := 0
		for _, digit := range is[2] {
			priority = 10*priority + int(digit-'0')
		}
		p.View.Routers = append(p.View.Routers, message.Router{Name: is[0], Family: 4, State: is[1], Priority: uint8(priority)})
		p.Preempts[is[0]] = len(is) < 4
	}
	return p
}

// two are the configurations of a sync group of two, before and after.
var two = []string{"vrid = 51", "vrid = 51\nsync_group = \"pair\"", "[lvs.sync]",
	"[[vrrp]]\nname = \"second\"\ninterface = \"eth1\"\nvrid = 52\npriority = 150\nsync_group = \"pair\"\nvips = [\"198.51.100.9/24\"]\n[lvs.sync]"}

// TestOutlook: what the other director tells decides what a line says about a move.
func TestOutlook(t *testing.T) {
	falls, rises := []string{"priority = 150", "priority = 90"}, []string{"priority = 150", "priority = 200"}
	lost := telling("web backup 100")
	lost.Lost = "it fell silent"
	older := telling("web backup 100")
	older.Preempts = nil
	v6 := telling("web backup 100")
	v6.View.Routers[0].Family = 6
	for _, c := range []struct {
		why     string
		role    vrrp.State
		peer    *core.Peer
		replace []string
		want    string // of the first line, from its harm
	}{
		// A master whose priority falls.
		{"the peer has more", vrrp.Master, telling("web backup 100"), falls,
			"moves: … priority 150 → 90 — moves VIP, because lb2 has priority 100: hand-over, 0 ms"},
		{"the peer has less", vrrp.Master, telling("web backup 80"), falls, "none: … priority 150 → 90 — stays master: lb2 has priority 80"},
		{"the peer has the same: a backup takes over from a lower priority only", vrrp.Master, telling("web backup 90"), falls,
			"none: … priority 150 → 90 — stays master: lb2 has priority 90"},
		{"the peer stands by", vrrp.Master, telling("web backup 1"), falls, "none: … priority 150 → 90 — stays master: lb2 has priority 1"},
		{"the peer does not preempt", vrrp.Master, telling("web backup 100 waits"), falls, "none: … priority 150 → 90 — stays master: lb2 has preempt = false"},
		{"the peer has less and does not preempt", vrrp.Master, telling("web backup 80 waits"), falls, "none: … priority 150 → 90 — stays master: lb2 has priority 80"},
		{"the owner preempts in any case", vrrp.Master, telling("web backup 255 waits"), falls,
			"moves: … priority 150 → 90 — moves VIP, because lb2 has priority 255: hand-over, 0 ms"},
		{"the peer is faulty", vrrp.Master, telling("web fault 100"), falls, "none: … priority 150 → 90 — stays master: lb2 is in state fault"},
		{"the peer has just started", vrrp.Master, telling("web initialize 100"), falls, "none: … priority 150 → 90 — stays master: lb2 is in state initialize"},
		{"no connection sync", vrrp.Master, telling("web backup 100"), append([]string{"[lvs.sync]\ninterface = \"eth0\"\nid = 51\n", ""}, falls...),
			"interrupts: … priority 150 → 90 — moves VIP, because lb2 has priority 100: hand-over, 0 ms; established connections end, because there is no connection sync"},
		{"an owner gives up", vrrp.Master, telling("web backup 100"), []string{"priority = 150", "priority = 255", "priority = 255", "priority = 90"},
			"moves: … priority 255 → 90 — moves VIP, because lb2 has priority 100: hand-over, 0 ms"},
		{"an owner at last", vrrp.Master, telling("web backup 100"), []string{"priority = 150", "priority = 255"}, "none: … priority 150 → 255"},

		// What is not known keeps its "if".
		{"two masters", vrrp.Master, telling("web master 100"), falls, "moves: … priority 150 → 90 — moves VIP if the peer's priority is above 90: hand-over"},
		{"another router", vrrp.Master, telling("front backup 80"), falls, "moves: … priority 150 → 90 — moves VIP if the peer's priority is above 90: hand-over"},
		{"another family", vrrp.Master, v6, falls, "moves: … priority 150 → 90 — moves VIP if the peer's priority is above 90: hand-over"},
		{"a lost channel", vrrp.Master, lost, falls, "moves: … priority 150 → 90 — moves VIP if the peer's priority is above 90: hand-over"},
		{"not told whether it preempts", vrrp.Master, older, falls, "moves: … priority 150 → 90 — moves VIP if the peer's priority is above 90: hand-over"},
		{"a channel without a view yet", vrrp.Master, &core.Peer{}, falls, "moves: … priority 150 → 90 — moves VIP if the peer's priority is above 90: hand-over"},

		// A backup whose priority rises, or that preempts from now on.
		{"the peer is master with less", vrrp.Backup, telling("web master 180"), rises,
			"moves: … priority 150 → 200 — moves VIP to this director, because lb2 is master with priority 180: hand-over, 0 ms"},
		{"the peer is master with more", vrrp.Backup, telling("web master 210"), rises, "none: … priority 150 → 200 — stays backup: lb2 is master with priority 210"},
		{"the peer is master with the same", vrrp.Backup, telling("web master 200"), rises, "none: … priority 150 → 200 — stays backup: lb2 is master with priority 200"},
		{"a third director is master", vrrp.Backup, telling("web backup 100"), rises,
			"moves: … priority 150 → 200 — moves VIP if 200 is above the master's priority: this director takes over"},
		{"synced", vrrp.Backup, telling("web master 180"),
			[]string{"[lvs.sync]", peerTable + "[lvs.sync]", "priority = 150", "priority = 150\npreempt = \"synced\"", "priority = 150", "priority = 200"},
			"moves: … priority 150 → 200 — moves VIP to this director, because lb2 is master with priority 180, when it has the connections of the other director, " +
				"or after 1m (preempt_sync_limit): hand-over, 0 ms"},
		{"a delay", vrrp.Backup, telling("web master 180"), []string{"priority = 150", "priority = 150\npreempt_delay = \"5m\"", "priority = 150", "priority = 200"},
			"moves: … priority 150 → 200 — moves VIP to this director, because lb2 is master with priority 180, after 5m (preempt_delay): hand-over, 0 ms"},
		{"an owner, not known of whom", vrrp.Backup, nil, []string{"priority = 150", "priority = 255"},
			"moves: … priority 150 → 255 — moves VIP: priority 255 is for the owner of the addresses, which is always master"},
		{"an owner that does not preempt", vrrp.Backup, telling("web master 200"), []string{"priority = 150", "priority = 150\npreempt = false", "priority = 150", "priority = 255"},
			"moves: … priority 150 → 255 — moves VIP to this director, because lb2 is master with priority 200: hand-over, 0 ms"},
		{"no preemption", vrrp.Backup, telling("web master 180"), []string{"priority = 150", "priority = 150\npreempt = false", "priority = 150", "priority = 200"},
			"none: … priority 150 → 200 — no effect while there is a master: preempt is false"},
		{"it waits for connections from now on", vrrp.Backup, telling("web master 100"),
			[]string{"[lvs.sync]", peerTable + "[lvs.sync]", "priority = 150", "priority = 150\npreempt = \"synced\""},
			"none: … preempt true → \"synced\" — it takes over from a master when it has its connections, or after 1m"},
		{"it waits no longer", vrrp.Backup, telling("web master 100"), []string{"[lvs.sync]", peerTable + "[lvs.sync]",
			"priority = 150", "priority = 150\npreempt = \"synced\"", "preempt = \"synced\"", "preempt = true"},
			"none: … preempt \"synced\" → true — it takes over from a master without waiting for its connections"},
		{"it waits for longer", vrrp.Backup, telling("web master 100"), []string{"[lvs.sync]", peerTable + "[lvs.sync]",
			"priority = 150", "priority = 150\npreempt = \"synced\"", "preempt = \"synced\"", "preempt = \"synced\"\npreempt_sync_limit = \"5m\""},
			"none: … preempt_sync_limit 1m → 5m"},
		{"it preempts from now on, when it is synced", vrrp.Backup, telling("web master 100"), []string{"[lvs.sync]", peerTable + "[lvs.sync]",
			"priority = 150", "priority = 150\npreempt = false", "preempt = false", "preempt = \"synced\""},
			"moves: … preempt false → \"synced\" — moves VIP to this director, because lb2 is master with priority 100, " +
				"when it has the connections of the other director, or after 1m (preempt_sync_limit): hand-over, 0 ms"},
		{"it preempts from now on, and outranks the peer", vrrp.Backup, telling("web master 100"), []string{"priority = 150", "priority = 150\npreempt = false", "\npreempt = false", ""},
			"moves: … preempt false → true — moves VIP to this director, because lb2 is master with priority 100: hand-over, 0 ms"},
		{"it preempts from now on, and does not outrank the peer", vrrp.Backup, telling("web master 160"), []string{"priority = 150", "priority = 150\npreempt = false", "\npreempt = false", ""},
			"none: … preempt false → true — stays backup: lb2 is master with priority 160"},
		{"it preempts from now on, not known whom", vrrp.Backup, nil, []string{"priority = 150", "priority = 150\npreempt = false", "\npreempt = false", ""},
			"moves: … preempt false → true — moves VIP if 150 is above the master's priority: this director takes over"},
		{"it preempts from now on, as master", vrrp.Master, nil, []string{"priority = 150", "priority = 150\npreempt = false", "\npreempt = false", ""}, "none: … preempt false → true"},
		{"the backup's priority falls", vrrp.Backup, telling("web master 200"), falls, "none: … priority 150 → 90"},
		{"a priority in a fault", vrrp.Fault, telling("web master 200"), rises, "none: … priority 150 → 200"},

		// A router that leaves, or starts anew.
		{"another interface", vrrp.Master, telling("web backup 100"), []string{"interface = \"eth0\"\nvrid", "interface = \"eth1\"\nvrid"},
			`moves: … interface "eth0" → "eth1" — moves VIP to lb2: hand-over, 0 ms; it starts anew here`},
		{"another interface, and nobody takes over", vrrp.Master, telling("web fault 100"), []string{"interface = \"eth0\"\nvrid", "interface = \"eth1\"\nvrid"},
			`interrupts: … interface "eth0" → "eth1" — clients of its VIPs get no answer: lb2 is in state fault, until this director has started it anew`},
	} {
		t.Run(c.why, func(t *testing.T) {
			before, after := inForce, inForce
			for i := 0; i < len(c.replace); i += 2 {
				if i+2 < len(c.replace) { // the last change is the reload's
					before = strings.Replace(before, c.replace[i], c.replace[i+1], 1)
				}
				after = strings.Replace(after, c.replace[i], c.replace[i+1], 1)
			}
			in := situation{role: c.role, peer: c.peer}.input(t, before, after)
			got, _, _ := strings.Cut(lines(Of(in)), "\n")
			if got = strings.Replace(got, "change virtual router web:", "…", 1); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestOutlookOfDepartures: the cost of a router that is removed.
func TestOutlookOfDepartures(t *testing.T) {
	without := strings.Replace(inForce, inForce[strings.Index(inForce, "[[vrrp]]"):strings.Index(inForce, "[lvs.sync]")], "", 1)
	for _, c := range []struct {
		peer *core.Peer
		want string
	}{
		{telling("web backup 100"), "moves: remove virtual router web — moves VIP to lb2: hand-over, 0 ms; this director is no longer a standby for it"},
		{telling("web fault 100"), "interrupts: remove virtual router web — clients of its VIPs get no answer: lb2 is in state fault"},
		{telling("front backup 100"), "moves: remove virtual router web — moves VIP: it hands over to the peer; without a peer that has it, clients of its VIPs get no answer"},
	} {
		if got, _, _ := strings.Cut(lines(Of(situation{role: vrrp.Master, peer: c.peer}.input(t, inForce, without))), "\n"); got != c.want {
			t.Errorf("got\n%s\nwant\n%s", got, c.want)
		}
	}
	got := lines(Of(situation{role: vrrp.Backup, peer: telling("web master 200")}.input(t, inForce, without)))
	if !strings.HasPrefix(got, "none: remove virtual router web\n") {
		t.Error(got)
	}
}

// TestOutlookOfGroups: the members of a sync group move together, or not at all.
func TestOutlookOfGroups(t *testing.T) {
	before := replaced(t, two...)
	after := strings.ReplaceAll(before, "priority = 150", "priority = 90")
	one := strings.Replace(before, "priority = 150", "priority = 90", 1)
	grown := replaced(t, "vrid = 51", "vrid = 51\nsync_group = \"pair\"")
	for _, c := range []struct {
		why           string
		peer          *core.Peer
		before, after string
		want          string
	}{
		{"both fall", telling("web backup 100", "second backup 100"), before, after, "moves: … moves VIP, because lb2 has priority 100: hand-over, 0 ms"},
		{"one falls, and holds the other back", telling("web backup 100", "second backup 100"), before, one,
			"none: … stays master: sync group pair moves as one, and for second lb2 has priority 100"},
		{"the peer does not tell the other one", telling("web backup 100"), before, after, "moves: … moves VIP if the peer's priority is above 90: hand-over"},
		{"a new member", telling("web backup 100", "second backup 100"), grown, after, "moves: … moves VIP if the peer's priority is above 90: hand-over"},
		{"neither can move", telling("web backup 80", "second backup 80"), before, after, "none: … stays master: lb2 has priority 80"},
	} {
		got := ""
		for _, l := range Of(situation{role: vrrp.Master, peer: c.peer}.input(t, c.before, c.after)) {
			if l.Object == "virtual router web" && strings.HasPrefix(l.Change, "priority") {
				got += string(l.Harm) + ": … " + l.Cost
			}
		}
		if got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.why, got, c.want)
		}
	}
}

// TestOutlookOfFaults: the cost of a track that fails as soon as it is configured.
func TestOutlookOfFaults(t *testing.T) {
	for _, c := range []struct {
		peer       *core.Peer
		lastResort bool
		want       string
	}{
		{nil, false, "moves: moves VIP: hand-over, because f"},
		{telling("web master 100"), false, "moves: moves VIP: hand-over, because f"},
		{telling("web backup 1 waits"), false, "moves: moves VIP to lb2, because f: hand-over, 0 ms"},
		{telling("web fault 100"), true, "none: stays master at priority 1: f; lb2 is in state fault"},
		{telling("web fault 100"), false, "interrupts: clients of its VIPs get no answer: f, and lb2 is in state fault"},
	} {
		in := situation{role: vrrp.Master, peer: c.peer}.input(t, inForce, inForce)
		in.After.Tracking = map[string]vrrp.Tracking{"web": {Fault: "f", LastResort: c.lastResort}}
		all := Of(in)
		if len(all) != 1 || string(all[0].Harm)+": "+all[0].Cost != c.want {
			t.Errorf("%+v, want %s", all, c.want)
		}
	}
}

// While the election uses another priority than the configuration and the tracks give, or both directors will drop each other's
// advertisements, nothing is promised.
func TestOutlookIsNotKnown(t *testing.T) {
	in := situation{role: vrrp.Master, peer: telling("web backup 80")}.input(t, inForce, replaced(t, "priority = 150", "priority = 90"))
	in.Routers[0].EffectivePriority = 1 // master as the last resort
	if got := lines(Of(in)); !strings.Contains(got, "moves VIP if the peer's priority is above 90") {
		t.Error(got)
	}
	in.Routers[0].EffectivePriority = 150
	if got := lines(Of(in)); !strings.Contains(got, "stays master: lb2 has priority 80") {
		t.Error(got)
	}
	for _, other := range []string{"priority = 90\nversion = 2", "priority = 90\nhmac.key = [{ id = 1, file = \"/k\" }]"} {
		in := situation{role: vrrp.Master, peer: telling("web backup 80")}.input(t, inForce, replaced(t, "priority = 150", other))
		if got := lines(Of(in)); !strings.Contains(got, "moves VIP if the peer's priority is above 90") {
			t.Error(got)
		}
	}
	if got := lines(Of(situation{role: vrrp.Backup, connections: nil}.input(t, inForce, replaced(t, web1, web3, web2, "")))); !strings.Contains(got,
		"none: change service www: no server takes new clients — clients come here only after a failover: until a check passes, new clients get no answer\n") {
		t.Error(got)
	}
}

// TestPreempts: what the other director tells of itself says whether it preempts.
func TestPreempts(t *testing.T) {
	cfg := parse(t, replaced(t, two...))
	cfg.Routers[1].Preempt = false
	if got := Preempts(Facts(cfg)); len(got) != 2 || !got["web"] || got["second"] {
		t.Errorf("%v", got)
	}
	if got := Preempts(&message.Facts{All: []message.Fact{{Object: "service web", Key: "preempt", Value: "true"}}}); len(got) > 0 {
		t.Errorf("%v", got)
	}
}
