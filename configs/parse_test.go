// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// parse parses a text, which must have no mistakes.
func parse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("t.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	got := parse(t, router(service("[service.check]")))
	want := &Config{
		File:     "t.toml",
		SHA256:   got.SHA256,
		Log:      Log{Level: "info", Format: LogAuto},
		Control:  Control{Socket: DefaultSocket},
		State:    State{Dir: "/var/lib/tandem"},
		Election: Election{OrphanGrace: 10 * time.Second},
		Routers: []Router{{
			Config: vrrp.Config{
				Name: "eth0-51", Interface: "eth0", VRID: 51, Version: 3, Priority: 100, AdvertInterval: time.Second, Preempt: true,
				VIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")}, Checksum: vrrp.ChecksumPseudoHeader,
				DownAdverts: 3, Carrier: vrrp.CarrierTrack,
			},
			Announce: garp.DefaultConfig(),
		}},
		LVS: LVS{OnStop: OnStopKeep, Manage: ManageOwn, ProbeMark: 0x7400_0000},
		Services: []Service{{
			Name: "192.0.2.100:80",
			Virtuals: []lvs.Service{{
				ServiceID: lvs.ServiceID{Protocol: lvs.TCP, Addr: netip.MustParseAddr("192.0.2.100"), Port: 80},
				Scheduler: "wlc",
			}},
			Method:    lvs.DR,
			OnFailure: lvs.Remove,
			MinUp:     1,
			Quorum:    1,
			Servers: []Server{{
				Server: lvs.Server{
					ServerID: lvs.ServerID{Addr: netip.MustParseAddr("192.0.2.11"), Port: 80},
					Method:   lvs.DR,
					Weight:   1,
				},
				Checks: []healthcheck.Config{{
					Type: healthcheck.TCP, Interval: 2 * time.Second, Timeout: time.Second, Rise: 2, Fall: 3, Jitter: 5,
					Flap: healthcheck.Flap{Changes: 6, Window: 5 * time.Minute},
				}},
				Pass: PassAll,
			}},
			Pass:      PassAll,
			CheckWhen: CheckAlways, Outlier: OutlierWarn,
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestNamesUnlessGiven(t *testing.T) {
	for _, tt := range []struct{ virtual, server, protocol, want string }{
		{`"192.0.2.100:53"`, "192.0.2.11", `"tcp"`, "192.0.2.100:53"},
		{`"192.0.2.100:53"`, "192.0.2.11", `"udp"`, "192.0.2.100:53-udp"},
		{`"[2001:db8::100]:53"`, "2001:db8::11", `"tcp"`, "[2001:db8::100]:53"},
		{`{ fwmark = 7 }`, "192.0.2.11", "", "fwmark-7"},
		{`{ fwmark = 7, family = "ipv6" }`, "2001:db8::11", "", "fwmark-7-ipv6"},
	} {
		text := fmt.Sprintf("[[service]]\nvirtual = %s\nserver = [{ address = %q }]\n", tt.virtual, tt.server)
		if tt.protocol != "" {
			text += "protocol = " + tt.protocol
		}
		got := parse(t, text).Services[0].Name
		if got != tt.want {
			t.Errorf("a service at %s is called %q, want %q", tt.virtual, got, tt.want)
		}
		if no := validName(got); no != nil {
			t.Errorf("%q could not be given as a name: %s", got, no.Problem)
		}
	}
}

func TestAddressesOfRouters(t *testing.T) {
	text := "[[vrrp]]\ninterface = \"eth0\"\nvrid = 1\nvips = [\"192.0.2.100/24\", \"192.0.2.7\", \"192.0.2.6/31\", \"198.51.100.255/23\"]"
	var got []string
	for _, vip := range parse(t, text).Routers[0].VIPs {
		got = append(got, vip.String())
	}
	if want := []string{"192.0.2.100/24", "192.0.2.7/32", "192.0.2.6/31", "198.51.100.255/23"}; !slices.Equal(got, want) {
		// 198.51.100.255 is in the middle of its /23.
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestOneIDOnTwoInterfaces(t *testing.T) {
	text := router("") + "[[vrrp]]\ninterface = \"eth1\"\nvrid = 51\nvips = [\"198.51.100.1\"]"
	if n := len(parse(t, text).Routers); n != 2 {
		t.Errorf("%d routers, want 2", n)
	}
}

func TestServersInheritFromTheirService(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"[[service]]\nvirtual = \"192.0.2.100:80\"\nserver = [{ address = \"192.0.2.11\" }]", "192.0.2.11:80 (dr, weight 1)"},
		{"[[service]]\nvirtual = \"192.0.2.100:80\"\nserver = [{ address = \"192.0.2.11\", port = 80, weight = 0 }]", "192.0.2.11:80 (dr, weight 0)"},
		{"[[service]]\nvirtual = \"192.0.2.100:80\"\nmethod = \"nat\"\nserver = [{ address = \"10.0.0.1\", port = 8080 }]", "10.0.0.1:8080 (nat, weight 1)"},
		{"[[service]]\nvirtual = \"[2001:db8::1]:80\"\nmethod = \"tunnel\"\nserver = [{ address = \"2001:db8::2\" }]", "[2001:db8::2]:80 (tunnel, weight 1)"},
		{"[[service]]\nvirtual = { fwmark = 1 }\nserver = [{ address = \"192.0.2.11\" }]", "192.0.2.11:0 (dr, weight 1)"},
		{"[[service]]\nvirtual = { fwmark = 1 }\nserver = [{ address = \"192.0.2.11\", port = 0 }]", "192.0.2.11:0 (dr, weight 1)"},
		{"[[service]]\nvirtual = { fwmark = 1 }\nmethod = \"nat\"\nserver = [{ address = \"192.0.2.11\", port = 80 }]", "192.0.2.11:80 (nat, weight 1)"},
	} {
		s := parse(t, tt.text).Services[0]
		if got := s.Servers[0].String(); got != tt.want {
			t.Errorf("%s\n%s, want %s", tt.text, got, tt.want)
		}
		if err := (lvs.Entry{Service: s.Virtuals[0], Servers: []lvs.Server{s.Servers[0].Server}}).Validate(); err != nil {
			t.Errorf("the table refuses it: %v", err)
		}
	}
}

func TestFirewallMarksHaveAFamilyAndNothingElse(t *testing.T) {
	text := "[[service]]\nvirtual = { fwmark = 1 }\nserver = [{ address = \"192.0.2.11\" }]"
	got, want := parse(t, text).Services[0].Virtuals[0].ServiceID, lvs.ServiceID{FWMark: 1, Family: lvs.IPv4}
	if got != want {
		t.Errorf("got %#v, want %#v", got, want)
	}
}

func TestPortMappedTwice(t *testing.T) {
	text := "[[service]]\nvirtual = \"192.0.2.100:80\"\nmethod = \"nat\"\n" +
		"server = [{ address = \"10.0.0.1\", port = 8080 }, { address = \"10.0.0.1\", port = 8081 }]"
	if n := len(parse(t, text).Services[0].Servers); n != 2 {
		t.Errorf("%d servers, want 2: they differ in their port", n)
	}
}

func TestChecks(t *testing.T) {
	http := healthcheck.DefaultConfig(healthcheck.HTTP)
	all := http
	all.Interval, all.Timeout, all.Rise, all.Fall, all.Port = time.Minute, 1500*time.Millisecond, 1, 100, 8080
	all.Method, all.Path, all.Host = "HEAD", "/health?full=1", "[2001:db8::1]:8080"
	all.Status = []healthcheck.StatusRange{{First: 200, Last: 299}, {First: 304, Last: 304}}
	for _, tt := range []struct {
		text string
		want []healthcheck.Config
	}{
		{"", nil},
		{"[service.check]\ntype = \"http\"", []healthcheck.Config{http}},
		{"check = { type = \"http\", interval = \"1m\", timeout = \"1s500ms\", rise = 1, fall = 100, port = 8080, method = \"HEAD\", " +
			"path = \"/health?full=1\", host = \"[2001:db8::1]:8080\", status = [\"200-299\", \"304\"] }", []healthcheck.Config{all}},
	} {
		if got := parse(t, service(tt.text)).Services[0].Servers[0].Checks; !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s\ngot %+v, want %+v", tt.text, got, tt.want)
		}
	}
	for _, host := range []string{"www", "www.example.org:8080", "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]", "my_host"} {
		if got := parse(t, service(fmt.Sprintf("check = { type = \"http\", host = %q }", host))).Services[0].Servers[0].Checks[0].Host; got != host {
			t.Errorf("host %q became %q", host, got)
		}
	}
}

func TestListen(t *testing.T) {
	for _, listen := range []string{"", ":9105", "127.0.0.1:9105", "[::1]:9105", "[fe80::1%eth0]:9105", "lb1.example.org:65535"} {
		if got := parse(t, fmt.Sprintf("[metrics]\nlisten = %q", listen)).Metrics.Listen; got != listen {
			t.Errorf("%q became %q", listen, got)
		}
	}
}

func TestNoRefresh(t *testing.T) {
	if got := parse(t, router("announce.refresh = \"0s\"")).Routers[0].Announce.Refresh; got != 0 {
		t.Errorf("refresh is %s, want none", got)
	}
}

func TestRoutersDoNotShareTheirDefaults(t *testing.T) {
	c := parse(t, router("")+"[[vrrp]]\ninterface = \"eth1\"\nvrid = 51\nvips = [\"198.51.100.1\"]")
	c.Routers[0].Announce.Repeat[0] = time.Hour
	if c.Routers[1].Announce.Repeat[0] == time.Hour {
		t.Error("a change to one router's announcements changed the other's")
	}
}

func TestFilesThatAreNotTOML(t *testing.T) {
	run(t, []mistaken{
		{"binary", "\x7fELF\x01\n\xf0\x00", []string{"2: is not a text file in UTF-8: it has the byte 0xf0"}},
		{"UTF-16", "\xff\xfe[\x00", []string{"1: is not a text file in UTF-8: it has the byte 0xff; it looks like UTF-16, save it as UTF-8"}},
		{"NUL", "name = 'a\x00'", []string{"1: name: not TOML: TOML files cannot contain control characters: '0x00'"}},
		{"too large", strings.Repeat("#", toml.MaxSize+1), []string{"1: is larger than 16 MiB"}},
		{"deep", "a = " + strings.Repeat("[", 1<<20), []string{"1: has arrays or tables nested 1048576 deep: want at most 1000"}},
	})
}

func TestTheLargestDirectorsFit(t *testing.T) {
	if n := len(large(10_000)); n > toml.MaxSize {
		t.Fatalf("10,000 services of ten servers take %d bytes: want at most %d", n, toml.MaxSize)
	}
	c := parse(t, large(500))
	if len(c.Services) != 500 || len(c.Services[499].Servers) != 10 || c.Services[499].Servers[9].Weight != 10 {
		t.Errorf("%d services, the last is %+v", len(c.Services), c.Services[len(c.Services)-1])
	}
}
