// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/vrrp"
)

func TestLabels(t *testing.T) {
	cfg, err := Parse("t.toml", []byte(`
[[vrrp]]
interface = "eth0"
vrid = 51
vips = [{ address = "192.0.2.100/24", label = "eth0:web" }, "2001:db8::100/64", { address = "192.0.2.101", interface = "eth1", label = "eth1" }]
`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[netip.Addr]string{netip.MustParseAddr("192.0.2.100"): "eth0:web", netip.MustParseAddr("192.0.2.101"): "eth1"}
	if got := cfg.Routers[0].VIPLabels; !maps.Equal(got, want) || cfg.Routers[1].VIPLabels != nil {
		t.Errorf("%v and %v", got, cfg.Routers[1].VIPLabels)
	}
}

func TestMistakesOfLabels(t *testing.T) {
	vip := func(more string) string {
		return "[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nvips = [{ address = " + more + " }]\n"
	}
	run(t, []mistaken{
		{"IPv6", vip(`"2001:db8::1", label = "eth0:web"`), []string{
			"4: vrrp[0].vips[0].label: has no meaning for 2001:db8::1: only IPv4 addresses have labels; remove it",
		}},
		{"too long", vip(`"192.0.2.1", label = "eth0:sixteen-byte"`), []string{
			`4: vrrp[0].vips[0].label: "eth0:sixteen-byte" is longer than the 15 bytes of a label`,
		}},
		{"of another interface", vip(`"192.0.2.1", interface = "eth1", label = "eth0:web"`), []string{
			`4: vrrp[0].vips[0].label: "eth0:web" does not begin with eth1:, the interface that gets the address; write "eth1:web"`,
		}},
		{"of the interface below a macvlan", vip(`"192.0.2.1", label = "eth0:web"`) + "virtual_mac = true\n", []string{
			`4: vrrp[0].vips[0].label: "eth0:web" does not begin with vrrp.51:, the interface that gets the address; write "vrrp.51:web"`,
		}},
		{"nothing", vip(`"192.0.2.1", label = ""`), []string{`4: vrrp[0].vips[0].label: "" cannot be a label`}},
	})
}

func TestDebounce(t *testing.T) {
	cfg, err := Parse("t.toml", []byte(router("track = [{ interface = \"eth1\", down_delay = \"200ms\" }]\n[vrrp.debounce]\nup_delay = \"2s\"")))
	if err != nil {
		t.Fatal(err)
	}
	r := cfg.Routers[0]
	if r.Debounce != (vrrp.Debounce{UpDelay: 2 * time.Second}) || r.TrackInterfaces[0].Debounce != (vrrp.Debounce{DownDelay: 200 * time.Millisecond}) {
		t.Errorf("%+v, %+v", r.Debounce, r.TrackInterfaces)
	}
	run(t, []mistaken{
		{"of a script", router("track = [{ script = \"/bin/true\", up_delay = \"1s\" }]"), []string{
			"5: vrrp[0].track[0].up_delay: has no meaning without interface; remove it",
		}},
		{"too long", router("[vrrp.debounce]\ndown_delay = \"11m\""), []string{
			"6: vrrp[0].debounce.down_delay: \"11m\" is out of range: want 0s to 10m",
		}},
	})
}
