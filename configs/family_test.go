// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/vrrp"
)

const dualStack = `
[[vrrp]]
name = "web"
interface = "eth0"
vrid = 51
checksum = "packet"
vips = ["2001:db8::100/64", "192.0.2.100/24"]
excluded_vips = ["192.0.2.101", "2001:db8::101"]
virtual_mac = true
unicast_peers = ["192.0.2.3", "fe80::3"]
unicast_source = "192.0.2.2"
unicast_ttl_min = 254
sync_group = "web"
track = [{ interface = "eth1" }, { file = "/run/x" }, { script = "/bin/check" }]
route = [{ to = "default" }, { to = "2001:db8:1::/48", via = "fe80::1" }, { to = "default", via = "192.0.2.1", table = 100 }]
rule = [{ from = "192.0.2.100", table = 100, priority = 1000 }, { fwmark = 1, table = 100, priority = 1001 },
  { to = "192.0.2.0/24", table = 100, priority = 1002 }]
`

func TestBothFamiliesMakeTwoVirtualRouters(t *testing.T) {
	prefixes := func(texts ...string) (ps []netip.Prefix) {
		for _, s := range texts {
			ps = append(ps, netip.MustParsePrefix(s))
		}
		return ps
	}
	addr := netip.MustParseAddr
	ipv4 := vrrp.Config{
		Name: "web", Interface: "eth0", VRID: 51, Version: 3, Priority: 100, AdvertInterval: time.Second, Preempt: true, SyncGroup: "web",
		DownAdverts: 3, Carrier: vrrp.CarrierTrack,
		VIPs: prefixes("192.0.2.100/24"), ExcludedVIPs: prefixes("192.0.2.101/32"),
		Checksum: vrrp.ChecksumPacket, VirtualMAC: true, VirtualMACInterface: "vrrp.51",
		UnicastPeers: []netip.Addr{addr("192.0.2.3")}, Source: addr("192.0.2.2"), UnicastTTLMin: 254,
		TrackInterfaces: []vrrp.TrackInterface{{Interface: "eth1"}},
		Routes: []vrrp.Route{
			{To: netip.MustParsePrefix("0.0.0.0/0"), Table: 254},
			{To: netip.MustParsePrefix("0.0.0.0/0"), Via: addr("192.0.2.1"), Table: 100},
		},
		Rules: []vrrp.Rule{
			{Family: 4, From: netip.MustParsePrefix("192.0.2.100/32"), Table: 100, Priority: 1000},
			{Family: 4, FWMark: 1, Table: 100, Priority: 1001},
			{Family: 4, To: netip.MustParsePrefix("192.0.2.0/24"), Table: 100, Priority: 1002},
		},
	}
	ipv6 := ipv4
	ipv6.Name, ipv6.VirtualMACInterface, ipv6.Checksum = "web-ipv6", "vrrp6.51", vrrp.ChecksumPseudoHeader
	ipv6.VIPs, ipv6.ExcludedVIPs = prefixes("2001:db8::100/64"), prefixes("2001:db8::101/128")
	ipv6.UnicastPeers, ipv6.Source = []netip.Addr{addr("fe80::3")}, netip.Addr{}
	ipv6.Routes = []vrrp.Route{
		{To: netip.MustParsePrefix("::/0"), Table: 254},
		{To: netip.MustParsePrefix("2001:db8:1::/48"), Via: addr("fe80::1"), Table: 254},
	}
	ipv6.Rules = []vrrp.Rule{{Family: 6, FWMark: 1, Table: 100, Priority: 1001}}

	c := parse(t, dualStack)
	for i, want := range []vrrp.Config{ipv4, ipv6} {
		if i >= len(c.Routers) || !reflect.DeepEqual(c.Routers[i].Config, want) {
			t.Errorf("router %d of\n%s\nwant\n%s", i, written(t, c.Routers), written(t, want))
		}
	}
	var tracks []string
	for _, track := range c.Tracks {
		tracks = append(tracks, track.Router+": "+track.Name)
	}
	want := []string{"web: file /run/x", "web: script /bin/check", "web-ipv6: file /run/x", "web-ipv6: script /bin/check"}
	if !slices.Equal(tracks, want) || c.Warnings != nil {
		t.Errorf("tracks %q, want %q; warnings %v", tracks, want, c.Warnings)
	}
}

func written(t *testing.T, v any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestHalvesShareNothing(t *testing.T) {
	c := parse(t, dualStack)
	c.Routers[0].TrackInterfaces[0].Weight = -1
	c.Routers[0].Announce.Repeat[0] = time.Hour
	c.Tracks[1].Check.Command[0] = "/bin/other"
	c.Tracks[1].Check.Rise = 9
	if c.Routers[1].TrackInterfaces[0].Weight != 0 || c.Routers[1].Announce.Repeat[0] != 0 ||
		c.Tracks[3].Check.Command[0] != "/bin/check" || c.Tracks[3].Check.Rise != 1 {
		t.Error("a change to the IPv4 router changed the IPv6 router")
	}
}

func TestOneFamilyHasWhatIsOfTheOther(t *testing.T) {
	r := parse(t, router("excluded_vips = [\"2001:db8::1/64\", \"192.0.2.101\"]\n"+
		"route = [{ to = \"default\", via = \"fe80::1\" }]\nrule = [{ to = \"2001:db8::/32\", table = 1, priority = 1 }]")).Routers
	if len(r) != 1 || len(r[0].ExcludedVIPs) != 2 || len(r[0].Rules) != 1 || r[0].Rules[0].Family != 6 ||
		len(r[0].Routes) != 1 || r[0].Routes[0].To.String() != "::/0" {
		t.Errorf("got %s", written(t, r))
	}
}

func TestNamesOfVirtualRouters(t *testing.T) {
	const v4, v6 = `"192.0.2.1"`, `"2001:db8::1"`
	for _, tt := range []struct {
		vips, more string
		want       []string // names, and those of their interfaces
	}{
		{v4, "", []string{"eth0-51", "vrrp.51"}},
		{v6, "", []string{"eth0-51-ipv6", "vrrp6.51"}},
		{v6 + "," + v4, "", []string{"eth0-51", "vrrp.51", "eth0-51-ipv6", "vrrp6.51"}},
		{v4, "name = \"web\"\nvirtual_mac_interface = \"vip\"", []string{"web", "vip"}},
		{v6, "name = \"web\"\nvirtual_mac_interface = \"vip\"", []string{"web", "vip"}},
		{v4 + "," + v6, "name = \"web\"\nvirtual_mac_interface = \"vip\"", []string{"web", "vip", "web-ipv6", "vip-6"}},
	} {
		c := parse(t, "[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nvirtual_mac = true\nvips = ["+tt.vips+"]\n"+tt.more)
		var got []string
		for _, r := range c.Routers {
			got = append(got, r.Name, r.VirtualMACInterface)
			if no := validInterface(r.VirtualMACInterface); no != nil {
				t.Error(no.Problem)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("VIPs %s, %q: got %q, want %q", tt.vips, tt.more, got, tt.want)
		}
	}
}

func TestOneIDForTwoFamilies(t *testing.T) {
	text := router("[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nvips = [\"2001:db8::1\"]")
	if n := len(parse(t, text).Routers); n != 2 {
		t.Errorf("%d routers, want 2: one a family", n)
	}
}

func TestOneLinkLocalAddressOnTwoInterfaces(t *testing.T) {
	text := "[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nvips = [\"fe80::1/64\"]\n[[vrrp]]\ninterface = \"eth1\"\nvrid = 51\nvips = [\"fe80::1/64\"]"
	if n := len(parse(t, text).Routers); n != 2 {
		t.Errorf("%d routers, want 2", n)
	}
}

func TestVersion2(t *testing.T) {
	r := parse(t, router("version = 2\nauth_pass = \"a b~!\"\nadvert_interval = \"40s\"")).Routers[0]
	if r.Version != 2 || r.Password != "a b~!" || r.AdvertInterval != 40*time.Second || r.Checksum != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestAdvertisementsListAsManyVIPsAsTheyCan(t *testing.T) {
	r := parse(t, "[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nvips = ["+many(255)+"\"2001:db8::1\"]\nexcluded_vips = [\"192.0.2.1\"]").Routers
	if len(r) != 2 || len(r[0].VIPs) != 255 || len(r[1].VIPs) != 1 {
		t.Errorf("%d routers", len(r))
	}
}

func TestDelaysAndTheElectionProcess(t *testing.T) {
	c := parse(t, router("preempt_delay = \"1h\"\nstartup_delay = \"90s\"\nnoprefixroute = true\n[election]\nrealtime = true\norphan_grace = \"0s\""))
	r := c.Routers[0]
	if r.PreemptDelay != time.Hour || r.StartupDelay != 90*time.Second || !r.NoPrefixRoute || c.Election != (Election{Realtime: true}) {
		t.Errorf("got %+v and %+v", r, c.Election)
	}
}
