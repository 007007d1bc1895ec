// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/vrrp"
)

func TestTracks(t *testing.T) {
	check := func(command ...string) *healthcheck.Config {
		return &healthcheck.Config{
			Type: healthcheck.Exec, Command: command, User: "nobody", Interval: 2 * time.Second, Timeout: time.Second, Rise: 1, Fall: 1,
		}
	}
	every := check("/bin/check", "--fast", "two words")
	every.User, every.Interval, every.Timeout, every.Rise, every.Fall = "1000", 5*time.Second, 2*time.Second, 2, 3
	proxy := func(interval time.Duration, fall int) *healthcheck.Config {
		return &healthcheck.Config{
			Type: healthcheck.Process, Process: "haproxy", Interval: interval, IntervalDown: time.Second, Timeout: interval, Rise: 1, Fall: fall,
		}
	}
	page := func(addr string) *healthcheck.Config {
		c := healthcheck.DefaultConfig(healthcheck.HTTP)
		c.Address, c.Port, c.Path = netip.MustParseAddr(addr), 8080, "/healthz"
		return &c
	}
	uplink := func() *healthcheck.Config {
		c := healthcheck.DefaultConfig(healthcheck.Ping)
		c.Address = netip.MustParseAddr("192.0.2.254")
		return &c
	}
	for _, tt := range []struct {
		track string
		want  Track
	}{
		{`script = "/bin/check"`, Track{Kind: TrackScript, Name: "script /bin/check", Check: check("/bin/check")}},
		{`script = ["/bin/check"], weight = -253`, Track{Kind: TrackScript, Name: "script /bin/check", Check: check("/bin/check"), Weight: -253}},
		{
			`script = ["/bin/check", "--fast", "two words"], interval = "5s", timeout = "2s", rise = 2, fall = 3, user = "1000"`,
			Track{Kind: TrackScript, Name: `script /bin/check --fast "two words"`, Check: every},
		},
		{`file = "/run/x", weight = 253`, Track{Kind: TrackFile, Name: "file /run/x", File: "/run/x", Weight: 253}},
		{`service = "192.0.2.100:80"`, Track{Kind: TrackService, Name: "service 192.0.2.100:80", Service: "192.0.2.100:80"}},
		{`unit = "haproxy@web.service"`, Track{Kind: TrackUnit, Name: "unit haproxy@web.service", Check: &healthcheck.Config{
			Type: healthcheck.Unit, Unit: "haproxy@web.service", Interval: 500 * time.Millisecond, Timeout: 500 * time.Millisecond, Rise: 1, Fall: 1,
		}}},
		{`process = "haproxy"`, Track{Kind: TrackProcess, Name: "process haproxy", Check: proxy(200*time.Millisecond, 1)}},
		{
			`process = "haproxy", interval = "1s", fall = 3, weight = -20`,
			Track{Kind: TrackProcess, Name: "process haproxy", Check: proxy(time.Second, 3), Weight: -20},
		},
		{
			`check = { type = "http", port = 8080, path = "/healthz" }`,
			Track{Kind: TrackCheck, Name: "check http 127.0.0.1:8080/healthz", Check: page("127.0.0.1")},
		},
		{
			`check = { type = "http", address = "192.0.2.7", port = 8080, path = "/healthz" }`,
			Track{Kind: TrackCheck, Name: "check http 192.0.2.7:8080/healthz", Check: page("192.0.2.7")},
		},
		{`check = "proxy", weight = 5`, Track{Kind: TrackCheck, Name: "check proxy", Check: page("127.0.0.1"), Weight: 5}},
		{
			`check = { type = "ping", address = "192.0.2.254" }`,
			Track{Kind: TrackCheck, Name: "check ping 192.0.2.254", Check: uplink()},
		},
	} {
		c := parse(t, router("track = [{ "+tt.track+" }]\n"+service("")+"\n[check.proxy]\ntype = \"http\"\nport = 8080\npath = \"/healthz\"\n"))
		tt.want.Router = "eth0-51"
		if len(c.Tracks) != 1 || !reflect.DeepEqual(c.Tracks[0], tt.want) {
			t.Errorf("%s\ngot  %+v\nwant %+v", tt.track, c.Tracks, tt.want)
		}
	}
}

func TestTrackedInterfacesAreTheElections(t *testing.T) {
	c := parse(t, router("track = [{ interface = \"eth1\" }, { interface = \"eth2\", weight = -50 }]"))
	want := []vrrp.TrackInterface{{Interface: "eth1"}, {Interface: "eth2", Weight: -50}}
	if got := c.Routers[0].TrackInterfaces; !reflect.DeepEqual(got, want) || c.Tracks != nil {
		t.Errorf("got %v and %v, want %v and none", got, c.Tracks, want)
	}
}

func TestMinUp(t *testing.T) {
	text := router("track = [{ service = \"www\" }]\n") + "[[service]]\nname = \"www\"\nvirtual = \"192.0.2.100:80\"\nmin_up = 2\n" +
		"server = [{ address = \"192.0.2.11\" }, { address = \"192.0.2.12\" }]\ncheck = {}"
	c := parse(t, text)
	if got := c.Services[0].MinUp; got != 2 || c.Warnings != nil {
		t.Errorf("min_up is %d (%v), want 2", got, c.Warnings)
	}
}

func TestMistakesOfTracks(t *testing.T) {
	// More begins in line 6.
	track := func(more string) string { return router("[[vrrp.track]]\n" + more) }
	script := func(more string) string { return track("script = \"/bin/check\"\n" + more) }
	run(t, []mistaken{
		{"nothing", track("weight = -5"), []string{
			"5: vrrp[0].track[0]: does not say what is tracked; add interface, script, file, service, check, process or unit",
		}},
		{"two at once", track("file = \"/run/x\"\ninterface = \"eth1\""), []string{
			"6: vrrp[0].track[0].file: cannot be combined with interface; use a table for each",
		}},
		{"the same twice", track("file = \"/run/x\"\n[[vrrp.track]]\nfile = \"/run/x\"\nweight = 5"), []string{
			"7: vrrp[0].track[1]: file /run/x is already vrrp[0].track[0] (line 5)",
		}},
		{"weight", track("file = \"/run/x\"\nweight = 254"), []string{
			"7: vrrp[0].track[0].weight: 254 is out of range: want -253 to 253",
		}},
		{"script in one string", track("script = \"/bin/check --fast 1\""), []string{
			`6: vrrp[0].track[0].script: "/bin/check --fast 1" has white space; write ["/bin/check", "--fast", "1"]`,
		}},
		{"script by a relative path", track("script = \"check\""), []string{
			`6: vrrp[0].track[0].script: "check" is not an absolute path; write the absolute path, which ` + "`command -v check` shows",
		}},
		{"script that only looks for a process", track("script = \"killall -0 haproxy\""), []string{
			`6: vrrp[0].track[0].script: "killall -0 haproxy" has white space; write process = "haproxy"`,
		}},
		{"the same as an array", track("script = [\"pidof\", \"haproxy\"]"), []string{
			`6: vrrp[0].track[0].script[0]: "pidof" is not an absolute path; write process = "haproxy"`,
		}},
		{"script that only looks for a unit", track("script = \"systemctl is-active --quiet bird\""), []string{
			`6: vrrp[0].track[0].script: "systemctl is-active --quiet bird" has white space; write unit = "bird.service"`,
		}},
		{"script that only connects", track("script = \"nc -z localhost 80\""), []string{
			`6: vrrp[0].track[0].script: "nc -z localhost 80" has white space; write check = { address = "127.0.0.1", port = 80 }`,
		}},
		{"script with a pipe", track("script = \"ps ax | grep -q nginx\""), []string{
			`6: vrrp[0].track[0].script: "ps ax | grep -q nginx" has white space; it needs a shell: write ["/bin/sh", "-c", "ps ax | grep -q nginx"]`,
		}},
		{"script in PATH, with arguments", track("script = \"check-all now\""), []string{
			`6: vrrp[0].track[0].script: "check-all now" has white space; write the absolute path, which ` + "`command -v check-all` shows",
		}},
		{"script by a relative path, with arguments", track("script = [\"check\", \"1\"]"), []string{
			`6: vrrp[0].track[0].script[0]: "check" is not an absolute path; write the absolute path, which ` + "`command -v check` shows",
		}},
		{"script of no word", track("script = []"), []string{
			"6: vrrp[0].track[0].script: has 0 elements: want 1 to 100",
		}},
		{"argument that is no string", track("script = [\"/bin/check\", 1]"), []string{
			"6: vrrp[0].track[0].script[1]: want a string, not 1; put it in quotes",
		}},
		{"argument that no program can get", track("script = [\"/bin/check\", \"a\\u0000\"]"), []string{
			`6: vrrp[0].track[0].script[1]: "a\x00" has a NUL byte: an argument cannot have one`,
		}},
		{"script of another type", track("script = true"), []string{
			"6: vrrp[0].track[0].script: want a string or array of strings, not true",
		}},
		{"service that only a master checks", track("service = \"www\"") + "\n" + service("name = \"www\"\ncheck = \"web\"\ncheck_when = \"master\"") + "\n[check.web]\n", []string{
			`6: vrrp[0].track[0].service: www is checked by the master only: after a handover this director would count it as healthy at once; write check_when = "always" there, or track something else`,
		}},
		{"timeout above the interval", script("interval = \"500ms\""), []string{
			"5: vrrp[0].track[0].timeout: 1s is longer than the interval, 500ms; set both so that a probe ends before the next begins",
		}},
		{"counts", script("rise = 0\nfall = 101"), []string{
			"7: vrrp[0].track[0].rise: 0 is out of range: want 1 to 100",
			"8: vrrp[0].track[0].fall: 101 is out of range: want 1 to 100",
		}},
		{"user", script("user = \"no body\""), []string{`7: vrrp[0].track[0].user: "no body" is not a valid user`}},
		{"script's keys without a script", track("interface = \"eth1\"\nuser = \"root\"\nrise = 2"), []string{
			"7: vrrp[0].track[0].user: has no meaning without script, process or unit; remove it",
			"8: vrrp[0].track[0].rise: has no meaning without script, process or unit; remove it",
		}},
		{"program with its directory", track("process = \"/usr/sbin/haproxy\""), []string{
			`6: vrrp[0].track[0].process: "/usr/sbin/haproxy" has a directory; write "haproxy"`,
		}},
		{"program with an argument", track("process = \"haproxy -W\""), []string{
			`6: vrrp[0].track[0].process: "haproxy -W" has white space; only the program is named, without arguments`,
		}},
		{"program without a name", track("process = \"\""), []string{`6: vrrp[0].track[0].process: "" is not a file name`}},
		{"process with keys of scripts", track("process = \"x\"\ntimeout = \"1s\"\nuser = \"root\""), []string{
			"7: vrrp[0].track[0].timeout: has no meaning without script; remove it",
			"8: vrrp[0].track[0].user: has no meaning without script; remove it",
		}},
		{"unit without its type", track("unit = \"haproxy\""), []string{
			`6: vrrp[0].track[0].unit: "haproxy" has no type; write "haproxy.service"`,
		}},
		{"unit that is none", track("unit = \"a b.service\""), []string{`6: vrrp[0].track[0].unit: "a b.service" is not the name of a unit`}},
		{"unit with a timeout", track("unit = \"a.service\"\ntimeout = \"1s\""), []string{
			"7: vrrp[0].track[0].timeout: has no meaning without script; remove it",
		}},
		{"check without a port", track("check = { type = \"http\" }"), []string{
			"6: vrrp[0].track[0].check.port: is missing: there is no real server whose port could be used",
		}},
		{"check that pings nobody", track("check = { type = \"ping\" }"), []string{
			"6: vrrp[0].track[0].check.address: is missing: a tracked ping needs the address of another machine",
		}},
		{"check that runs a program", track("check = { type = \"exec\", command = [\"/bin/true\"] }"), []string{
			"6: vrrp[0].track[0].check: a check of type exec cannot be tracked; write script = [...] instead of check",
		}},
		{"check of an agent", track("check = { type = \"agent\", port = 9 }"), []string{
			"6: vrrp[0].track[0].check: a check of type agent cannot be tracked: it reports the weight of a real server; use another type",
		}},
		{"check through a VIP", track("check = { via = \"vip\", port = 80 }"), []string{
			`6: vrrp[0].track[0].check: a tracked check has no real server that it could ask through the VIP; remove via = "vip"`,
		}},
		{"check from another family", track("check = { source = \"2001:db8::1\", port = 80 }"), []string{
			"6: vrrp[0].track[0].check: the probes cannot come from 2001:db8::1 and go to 127.0.0.1, which is of another family",
		}},
		{"no such check", track("check = \"wev\"\n[check.web]\ntype = \"tcp\""), []string{
			"6: vrrp[0].track[0].check: there is no [check.wev]; did you mean `web`?",
		}},
		{"interval beside a check", track("check = { port = 80 }\ninterval = \"1s\""), []string{
			"7: vrrp[0].track[0].interval: has no meaning without script, process or unit; the check has a table of its own; remove it",
		}},
		{"no such service", track("service = \"ww\"\n[[service]]\nname = \"www\"\nvirtual = \"192.0.2.100:80\"\nserver = [{ address = \"192.0.2.11\" }]"), []string{
			"6: vrrp[0].track[0].service: there is no [[service]] with the name \"ww\"; did you mean `www`?",
		}},
		{"no service at all", track("service = \"www\""), []string{
			`6: vrrp[0].track[0].service: there is no [[service]] with the name "www"`,
		}},
		{"a service that may be the one", track("service = \"www\"\n[[service]]\nname = \"w w\"\nvirtual = \"192.0.2.100:80\"\nserver = [{ address = \"192.0.2.11\" }]"), []string{
			`8: service[0].name: "w w" has the character ' '; use letters, digits and any of . - _ :`,
		}},
		{"a service that may have the name, once it is right", track("service = \"192.0.2.100:80\"\n[[service]]\nvirtual = \"192.0.2.100\"\nserver = [{ address = \"192.0.2.11\" }]"), []string{
			`8: service[0].virtual: "192.0.2.100" is not an address with a port; its port is missing: write 192.0.2.100:80`,
		}},
		{"services that are none", "service = 1\n" + track("service = \"www\""), []string{
			"1: service: want an array of tables, not 1",
		}},
		{"more than all", service("min_up = 2"), []string{
			"4: service[0].min_up: 2 is more than the number of servers, 1",
		}},
		{"no servers needed", service("min_up = 0"), []string{
			"4: service[0].min_up: 0 is out of range: want 1 to 65535",
		}},
	})
}
