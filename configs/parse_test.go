// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

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
		Log:      Log{Level: "info", Format: LogText},
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

// seeds adds the shipped files, and unusual texts.
func seeds(f *testing.F) {
	for _, file := range []string{"reference.toml", "minimal.toml", "director-a.toml", "dual-stack.toml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, s := range []string{
		"", "\"a\\nb\" = 1\n\"a\\nb\" = 2", "x = \"\\u0001\"\nname = \"\\n\"", "[[vrrp]]\n[[vrrp]]", "vrrp = [{interface = 'eth0', vrid = 1, vips = ['192.0.2.1']}]", "service.virtual = 1",
		"a = \"\"\"\n\"\"\"\"\n'b'.\"c\\u0041\" = {d = [{}, {e = ''}]}", "[service.check]\ntimeout = '1.s'\n", "x = 1e9\ny = inf\nz = 07:32:00",
		"[[service]]\nvirtual = '[::1%eth0]:80'\nserver = [[]]", "\ufeff[[service]]\r\nvirtual = {fwmark = 0}", "a.b.c = 1\n[a.d]\n",
		"[[service]]\n[service.check]\ninterval = '.5s'\ntimeout = '-0.0000000001h'\nstatus = ['2-3']", "[[vrrp]]\nvips = ['1.2.3.4/33', '::/0', 5, []]",
		dualStack, "[[vrrp]]\ninterface = 'a'\nvrid = 1\nvips = ['fe80::1', '1.2.3.4']\nversion = 2\nauth_pass = '\\u0000'\nvirtual_mac = true",
		"[[vrrp]]\ntrack = [{}, {script = []}, {script = ['', 1]}, {service = ''}, {file = 1, interface = ''}]\n[[vrrp.route]]\nto = 'default'",
		"[[vrrp]]\ninterface = 'a'\nvrid = 1\nvips = ['fe80::1%x']\nunicast_peers = ['::1%x', '0.0.0.0']\nrule = [{from = '::/0', to = '::ffff:1.2.3.4/97'}]",
	} {
		f.Add([]byte(s))
	}
}

func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("t.toml", text)
		if err != nil {
			var ms Mistakes
			if c != nil || !errors.As(err, &ms) || len(ms) == 0 {
				t.Fatalf("got %v and %v: want mistakes alone", c, err)
			}
			sane(t, ms, text)
			return
		}
		sane(t, c.Warnings, text)
		consistent(t, c)
	})
}

// FuzzAssemble: whatever a file and an included file say, there is a consistent configuration, or mistakes of one line each.
func FuzzAssemble(f *testing.F) {
	for _, s := range []string{
		"include = ['*']\n[director.lb1]\nvrrp.web.priority = 3\n[[vrrp]]\nname = 'web'\ninterface = '${A}'\nvrid = 1\nvips = ['192.0.2.1']",
		"include = ['./x.toml', '[', '../x.toml', '\\']\nvrrp = [{name = 'web'}]\n[director.lb2]\nname = 3\n[[hook]]\n",
		"[director.\"a\\nb\"]\n[director.lb3.check.a]\n[check.a]\n", "director = [{lb1 = 3}]\nname = '${lb1}'", "vrrp = [3]\n[director.lb1.vrrp.web]",
		"name = '${'\n[director.x]\nservice.\"a\\u0001b\".server.'${a}' = {}", "[[service]]\nname='a'\nvirtual='1.2.3.4:1'\n[director.lb1.service.a.virtual]\nfwmark=1",
	} {
		f.Add(s, s)
		f.Add(s, "[[vrrp]]\nname = 'web'\n[check.b]\n[log]\n")
	}
	f.Fuzz(func(t *testing.T, text, included string) {
		files := folder{"t.toml": text, "x.toml": included}
		echo := func(name string) (string, bool) { return name, name != "NO" }
		c, err := ParseIn(Surroundings{Name: "lb1", Files: files, Variable: echo}, "t.toml", []byte(text))
		var ms Mistakes
		switch {
		case err == nil:
			ms = c.Warnings
			consistent(t, c)
		case c != nil || !errors.As(err, &ms) || len(ms) == 0:
			t.Fatalf("got %v and %v: want mistakes alone", c, err)
		}
		for _, m := range ms {
			if last := 1 + strings.Count(files[m.File], "\n"); m.Line < 1 || m.Line > last || m.Problem == "" {
				t.Errorf("%+v: the file has %d lines", m, last)
			}
			if strings.ContainsFunc(m.Error(), unicode.IsControl) {
				t.Errorf("%q has control characters", m.Error())
			}
		}
	})
}

// consistent checks what the other packages rely on.
func consistent(t *testing.T, c *Config) {
	names := make(map[string]bool)
	for _, r := range c.Routers {
		if names[r.Name] || len(r.VIPs) > maxVIPs {
			t.Errorf("%s: not unique, or with %d VIPs", r.Name, len(r.VIPs))
		}
		if why := r.Problem(); why != "" && !r.HMAC.On() { // its keys are not read yet
			t.Errorf("package vrrp refuses what was accepted: %s", why)
		}
		names[r.Name] = true
		family := lvs.IPv4
		if r.Family() == 6 {
			family = lvs.IPv6
		}
		for vip, link := range r.VIPInterfaces {
			if r.VirtualMAC || link == r.Interface || validInterface(link) != nil || r.InterfaceOf(vip) != link {
				t.Errorf("%s has %s on %q", r.Name, vip, link)
			}
		}
		for _, vip := range r.VIPs {
			if lvs.FamilyOf(vip.Addr()) != family {
				t.Errorf("%s has VIPs of both families", r.Name)
			}
		}
		for _, a := range append(r.UnicastPeers, r.Source) {
			if a.IsValid() && lvs.FamilyOf(a) != family {
				t.Errorf("%s has the peer or source %s", r.Name, a)
			}
		}
		if r.VirtualMAC != (r.VirtualMACInterface != "") || r.VirtualMAC && validInterface(r.VirtualMACInterface) != nil {
			t.Errorf("%s: %q for the virtual MAC address", r.Name, r.VirtualMACInterface)
		}
	}
	for _, track := range c.Tracks {
		if !names[track.Router] || slices.Contains([]TrackKind{TrackScript, TrackCheck, TrackProcess, TrackUnit}, track.Kind) != track.Probed() {
			t.Errorf("track %+v", track)
		}
		if track.Check != nil && track.Check.Validate() != nil {
			t.Errorf("package healthcheck refuses what was accepted: %v", track.Check.Validate())
		}
	}
	if err := c.LVS.Sync.Validate(); err != nil {
		t.Errorf("package lvs refuses what was accepted: %v", err)
	}
	for name, value := range c.LVS.Sysctl {
		if err := lvs.CheckSysctl(name, value); err != nil {
			t.Errorf("package lvs refuses what was accepted: %v", err)
		}
	}
	for _, s := range c.Services {
		if len(s.Virtuals) == 0 || len(s.Virtuals) > maxVirtuals {
			t.Errorf("%s has %d virtuals", s.Name, len(s.Virtuals))
		}
		for _, v := range s.Virtuals {
			entry := lvs.Entry{Service: v}
			different := make(map[lvs.ServerID]bool)
			for _, server := range s.Servers {
				entry.Servers = append(entry.Servers, server.In(v))
				different[server.In(v).ServerID] = true
			}
			if s.Sorry != nil {
				entry.Servers = append(entry.Servers, s.Sorry.In(v))
				different[s.Sorry.In(v).ServerID] = true
			}
			if err := entry.Validate(); err != nil {
				t.Errorf("package lvs refuses what was accepted: %v", err)
			}
			if len(different) != len(entry.Servers) {
				t.Errorf("%s has a server twice: %v", s.Name, entry)
			}
		}
		for _, server := range s.Servers {
			for _, check := range server.Checks {
				if err := check.Validate(); err != nil {
					t.Errorf("package healthcheck refuses what was accepted: %v", err)
				}
			}
		}
	}
}

// sane checks that the mistakes have lines of the text, in their order, and that each report is one line with a problem.
func sane(t *testing.T, ms Mistakes, text []byte) {
	last := 1
	for _, m := range ms {
		if m.Line < last || m.Line > 1+strings.Count(string(text), "\n") || m.Problem == "" || m.File != "t.toml" {
			t.Errorf("%+v after line %d", m, last)
		}
		if strings.ContainsFunc(m.Error(), unicode.IsControl) {
			t.Errorf("%q has control characters", m.Error())
		}
		last = m.Line
	}
}

func BenchmarkParse(b *testing.B) {
	for _, tt := range []struct {
		name     string
		services int
		from, to string
	}{
		{"right", 1000, "", ""},
		{"right", 10_000, "", ""},
		{"a mistake a service", 1000, "scheduler = \"wrr\"", "schedule = \"wrr\""},
		{"a mistake a service", 10_000, "scheduler = \"wrr\"", "schedule = \"wrr\""},
	} {
		b.Run(fmt.Sprintf("%s/%d", tt.name, tt.services), func(b *testing.B) {
			text := large(tt.services)
			if tt.from != "" {
				text = strings.ReplaceAll(text, tt.from, tt.to)
			}
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				_, _ = Parse("t.toml", []byte(text))
			}
		})
	}
}

func BenchmarkLocate(b *testing.B) {
	text := large(1000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		toml.Locate(text)
	}
}

// large returns a file of n services with ten servers each.
func large(n int) string {
	var b strings.Builder
	b.WriteString("[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nvips = [\"198.51.100.1/24\"]\n")
	for i := range n {
		fmt.Fprintf(&b, "\n[[service]]\nname = \"s%d\"\nvirtual = \"10.%d.%d.1:80\"\nscheduler = \"wrr\"\n", i, i/256, i%256)
		fmt.Fprintf(&b, "  [service.check]\n  type = \"http\"\n  path = \"/health\"\n")
		for j := range 10 {
			fmt.Fprintf(&b, "  [[service.server]]\n  address = \"10.%d.%d.%d\"\n  weight = %d\n", i/256, i%256, 11+j, 1+j)
		}
	}
	return b.String()
}
