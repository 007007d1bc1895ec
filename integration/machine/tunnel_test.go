// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// settings returns the host's settings of its interfaces, to the byte.
func settings(h *lab.Host) map[string]string {
	return h.ReadFiles("/proc/sys/net/ipv[46]/conf/*/*", "stable_secret") // which cannot be read before it is set
}

func realServer(t *testing.T, h *lab.Host, args ...string) string {
	t.Helper()
	out, err := h.TryRun(lab.Tandem.Path(), append(append([]string{"realserver"}, args...), "--state-dir", h.Dir()+"/realserver")...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTunnelModules: a machine without tunnels is prepared for tunnels of both families. Afterwards it is as before, without
// the modules. A module that another host of this kernel uses by then stays.
func TestTunnelModules(t *testing.T) {
	l := lab.New(t)
	web := l.Host("web1", "192.0.2.11/24", "2001:db8::11/64")
	unload(t, l, "ipip")
	unload(t, l, "ip6_tunnel")
	before := settings(web)
	args := []string{"--vip", "192.0.2.100", "--vip", "2001:db8::100", "--mode", "tunnel"}
	wantFindings(l, "at first", web, args, "no-tunnel", "not-silent", "vip-missing")
	if code := wantFindings(l, "after --fix", web, append(args, "--fix")); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if again := realServer(t, web, append([]string{"apply"}, args...)...); again != "" {
		t.Errorf("the second time it did\n%s", again)
	}
	l.Logf("removed by\n%s", realServer(t, web, "remove"))
	for _, module := range []string{"ipip", "ip6_tunnel"} {
		if rest := loaded(t, module); len(rest) > 0 {
			t.Errorf("%v stayed in the kernel", rest)
		}
	}
	if after := settings(web); !maps.Equal(before, after) {
		t.Errorf("the settings were\n%v\nand are\n%v", before, after)
	}

	realServer(t, web, append([]string{"apply"}, args...)...)
	other := l.Host("web2", "192.0.2.12/24")
	other.Start("/usr/bin/busybox", "sleep", "1000")
	other.Run("ip", "link", "set", "tunl0", "up")
	realServer(t, web, "remove")
	if len(loaded(t, "ipip")) == 0 || len(loaded(t, "ip6_tunnel")) > 0 {
		t.Error("ipip, which another uses, should have stayed, and ip6_tunnel gone")
	}
}

const overIPv6 = `
name = "director"
[[vrrp]]
name = "web"
interface = "eth0"
vrid = 51
advert_interval = "100ms"
vips = ["fe80::100/64", "2001:db8:1::100/64"]

[[service]]
name = "www"
virtual = "[2001:db8:1::100]:80"
scheduler = "rr"
method = "tunnel"
  [[service.server]]
  address = "2001:db8:f::11"
  [[service.server]]
  address = "2001:db8:f::12"
`

// TestTunnelOverIPv6: web servers in another network, behind a router, serve clients through tunnels of IPv6 in IPv6.
func TestTunnelOverIPv6(t *testing.T) {
	const vip = "2001:db8:1::100"
	l := lab.New(t)
	client := l.Host("client", "2001:db8:1::1/64")
	router := l.Host("router", "2001:db8:1::ff/64")
	router.Join("farm", "2001:db8:f::ff/64")
	router.Sysctl(map[string]string{"net.ipv6.conf.all.forwarding": "1"})
	director := l.Director("director", "2001:db8:1::2/64", overIPv6)
	for _, h := range []*lab.Host{client, director.Host} {
		h.Run("ip", "-6", "route", "add", "2001:db8:f::/64", "via", "2001:db8:1::ff")
	}
	for i, name := range []string{"web1", "web2"} {
		web := l.Host(name)
		web.Join("farm", fmt.Sprintf("2001:db8:f::%d/64", 11+i))
		web.Run("ip", "link", "set", "eth0", "down")
		web.Run("ip", "-6", "route", "add", "default", "via", "2001:db8:f::ff")
		l.Logf("%s:\n%s", name, realServer(t, web, "apply", "--vip", vip, "--mode", "tunnel"))
		web.HTTPServer(name)
	}
	director.Launch()
	director.AwaitState(20*time.Second, "master")
	l.Eventually(20*time.Second, "the client is served", func() error {
		_, err := client.Get("http://[" + vip + "]/")
		return err
	})
	seen := director.Capture("eth0", func(f lab.Frame) bool { return f.EtherType() == 0x86dd && len(f.Data) >= 54 })
	var turns []string
	for range 6 {
		body, err := client.Get("http://[" + vip + "]/")
		if err != nil {
			t.Fatal(err)
		}
		turns = append(turns, body)
	}
	if one, two := turns[0], turns[1]; one == two || !slices.Equal(turns, []string{one, two, one, two, one, two}) {
		t.Errorf("answered by %s, want two servers by turns", strings.Join(turns, " "))
	}
	wrapped := 0
	for _, f := range seen.Frames() {
		const ipv6, tcp = 41, 6
		next, source, target := f.Data[20], netip.AddrFrom16([16]byte(f.Data[22:38])), netip.AddrFrom16([16]byte(f.Data[38:54]))
		switch {
		case source.String() == vip && next == tcp:
			t.Errorf("an answer crossed the director: % x", f.Data[:54])
		case next == ipv6 && f.Source().String() == director.MAC() && strings.HasPrefix(target.String(), "2001:db8:f::"):
			wrapped++
		}
	}
	if wrapped < 6 {
		t.Errorf("%d packets went to a web server in a tunnel, want one a request at least", wrapped)
	}
}
