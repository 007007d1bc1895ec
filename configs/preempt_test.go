// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"testing"
	"time"
)

const (
	syncTableText = "[lvs]\nsync = { interface = \"eth0\", id = 51 }\n"
	peerTableText = "[peer]\naddress = \"10.0.0.2:8474\"\nkey = \"" + peerKeyText + "\"\n"
)

// TestPreempt: the values of preempt, and what they mean together with preempt_sync_limit.
func TestPreempt(t *testing.T) {
	for text, want := range map[string]struct {
		preempt bool
		limit   time.Duration
	}{
		"":                     {true, 0},
		"preempt = true":       {true, 0},
		"preempt = false":      {false, 0},
		"preempt = \"synced\"": {true, time.Minute},
		"preempt = \"synced\"\npreempt_sync_limit = \"90s\"\npreempt_delay = \"1s\"": {true, 90 * time.Second},
	} {
		r := parse(t, router(text+"\n"+syncTableText+peerTableText)).Routers[0]
		if r.Preempt != want.preempt || r.PreemptSyncLimit != want.limit {
			t.Errorf("%q: preempt %t, limit %s", text, r.Preempt, r.PreemptSyncLimit)
		}
	}
}

// TestMistakesOfPreempt: what cannot be synced is refused.
func TestMistakesOfPreempt(t *testing.T) {
	run(t, []mistaken{
		{"synced without anything", router("preempt = \"synced\""), []string{
			`5: vrrp[0].preempt: is "synced", but there is neither connection sync nor a channel to the other director: no connections come, ` +
				"and nobody tells how many there are; add sync to [lvs], and [peer] (see tandem peer init); or write preempt = true",
		}},
		{"synced without sync", router("preempt = \"synced\"\n" + peerTableText), []string{
			`5: vrrp[0].preempt: is "synced", but there is no connection sync: this director would wait for connections that never come; ` +
				"add sync to [lvs], or write preempt = true",
		}},
		{"synced without a channel", router("preempt = \"synced\"\n" + syncTableText), []string{
			`5: vrrp[0].preempt: is "synced", but there is no channel to the other director: nobody tells how many connections it has; ` +
				"add [peer] (see tandem peer init), or write preempt = true",
		}},
		{"a mistake in the channel is told once", router("preempt = \"synced\"\n" + syncTableText + "[peer]\naddress = 1\n"), []string{
			"9: peer.address: want a string, not 1; put it in quotes",
		}},
		{"synced at priority 255", router("preempt = \"synced\"\npriority = 255\n" + syncTableText + peerTableText), []string{
			`5: vrrp[0].preempt: is "synced", but priority 255 never waits: it always takes over (RFC 9568, section 6.1); write preempt = true, or another priority`,
		}},
		{"nearly synced", router("preempt = \"sync\""), []string{
			`5: vrrp[0].preempt: unknown value "sync": want true, false or "synced"; did you mean ` + "`synced`?",
		}},
		{"a limit without synced", router("preempt = true\npreempt_sync_limit = \"5s\""), []string{
			`6: vrrp[0].preempt_sync_limit: has no meaning without preempt = "synced"; write preempt = "synced", or remove it`,
		}},
		{"no limit", router("preempt = \"synced\"\npreempt_sync_limit = \"0s\"\n" + syncTableText + peerTableText), []string{
			`6: vrrp[0].preempt_sync_limit: "0s" is out of range: want 1s to 1h`,
		}},
	})
}
