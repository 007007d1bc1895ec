// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/vrrp"
)

func TestHMAC(t *testing.T) {
	const file = "[[vrrp]]\nname = \"web\"\ninterface = \"eth0\"\nvrid = 51\nvips = [\"192.0.2.100/24\", \"2001:db8::100/64\"]\nadvert_interval = \"2s\"\n[vrrp.hmac]\n"
	c := parse(t, file+"key = [{ id = 7, file = \"/k\" }]")
	want := vrrp.HMAC{Mode: vrrp.HMACEnforce, AntiReplay: vrrp.AntiReplayTime, Window: 6 * time.Second, ActiveKey: 7, Keys: []vrrp.Key{{ID: 7}}}
	for _, r := range c.Routers {
		if !r.HMAC.SameAs(&want) {
			t.Errorf("%s: %+v", r.Name, r.HMAC)
		}
	}
	if len(c.KeyFiles) != 2 || c.KeyFiles[1].Router != "web-ipv6" || c.KeyFiles[0].Path != "/k" || c.KeyFiles[0].Place.Line != 8 || c.KeyFiles[0].Place.Key != "vrrp[0].hmac.key[0].file" {
		t.Errorf("%+v", c.KeyFiles)
	}
	c.SetSecret("web", 7, vrrp.NewSecret(make([]byte, 40)))
	if a, b := c.Routers[0].HMAC.Keys[0].Secret.Len(), c.Routers[1].HMAC.Keys[0].Secret.Len(); a != 40 || b != 0 {
		t.Errorf("secrets of %d and %d octets", a, b)
	}
	c = parse(t, file+"mode = \"receive-only\"\nanti_replay = \"monotonic\"\nactive_key = 2\nkey = [{ id = 1, file = \"/a\" }, { id = 2, file = \"/b\" }]")
	want = vrrp.HMAC{Mode: vrrp.HMACReceiveOnly, AntiReplay: vrrp.AntiReplayMonotonic, ActiveKey: 2, Keys: []vrrp.Key{{ID: 1}, {ID: 2}}}
	if !c.Routers[0].HMAC.SameAs(&want) {
		t.Errorf("%+v", c.Routers[0].HMAC)
	}
	if parse(t, router("")).Routers[0].HMAC.On() {
		t.Error("on without keys")
	}
}

func TestMistakesOfHMAC(t *testing.T) {
	const keys = "hmac.key = [{ id = 1, file = \"/a\" }, { id = 2, file = \"/b\" }]\n"
	run(t, []mistaken{
		{"no key", router("hmac.mode = \"enforce\""), []string{
			"5: vrrp[0].hmac.key: is missing: want an array of tables; add [[vrrp.hmac.key]]",
		}},
		{"mode", router(keys + "hmac.active_key = 1\nhmac.mode = \"enforced\""), []string{
			"7: vrrp[0].hmac.mode: unknown value \"enforced\"; did you mean `enforce`?",
		}},
		{"who signs", router(keys), []string{
			"5: vrrp[0].hmac: has 2 keys, and does not say which one signs; write active_key, the id of the key that signs",
		}},
		{"a key that is not there", router(keys + "hmac.active_key = 3"), []string{
			"6: vrrp[0].hmac.active_key: there is no key 3; write the id of one of the keys",
		}},
		{"an id twice", router("hmac.key = [{ id = 1, file = \"/a\" },\n{ id = 1, file = \"/b\" }]\nhmac.active_key = 1"), []string{
			"6: vrrp[0].hmac.key[1].id: 1 is already the id of vrrp[0].hmac.key[0] (line 5); give each key its own id",
		}},
		{"id and file", router("hmac.key = [{ id = 256, file = \"a\" }]"), []string{
			"5: vrrp[0].hmac.key[0].id: 256 is out of range: want 1 to 255",
			"5: vrrp[0].hmac.key[0].file: \"a\" is not an absolute path",
		}},
		{"window", router("hmac.key = [{ id = 1, file = \"/a\" }]\nhmac.time_window = \"301s\""), []string{
			"6: vrrp[0].hmac.time_window: \"301s\" is out of range: want 1s to 5m in whole seconds",
		}},
		{"window without clocks", router("hmac.key = [{ id = 1, file = \"/a\" }]\nhmac.time_window = \"5s\"\nhmac.anti_replay = \"monotonic\""), []string{
			"6: vrrp[0].hmac.time_window: has no meaning with anti_replay = \"monotonic\"; remove it",
		}},
		{"password", router("version = 2\nauth_pass = \"x\"\nhmac.key = [{ id = 1, file = \"/a\" }]"), []string{
			"6: vrrp[0].auth_pass: cannot be combined with hmac; remove one of them",
		}},
	})
}
