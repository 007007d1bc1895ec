// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"strings"
	"testing"
)

// router is a virtual router in four lines, and more of it from line 5 on.
func router(more string) string {
	return "[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nvips = [\"192.0.2.100/24\"]\n" + more
}

// service is a service in three lines, and more of it from line 4 on.
func service(more string) string {
	return "[[service]]\nvirtual = \"192.0.2.100:80\"\nserver = [{ address = \"192.0.2.11\" }]\n" + more
}

// A mistaken is a file, and what is wrong with it: one line for each mistake, without the file's name.
type mistaken struct {
	name, text string
	want       []string
}

// run compares the whole report: a row also proves that nothing else is reported.
func run(t *testing.T, rows []mistaken) {
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("t.toml", []byte(tt.text))
			var ms Mistakes
			if !errors.As(err, &ms) {
				t.Fatalf("got %v, want mistakes", err)
			}
			want := "t.toml:" + strings.Join(tt.want, "\nt.toml:")
			if got := ms.Error(); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestMistakesOfForm(t *testing.T) {
	run(t, []mistaken{
		{"misspelt key", router("prioritty = 150"), []string{
			"5: vrrp[0].prioritty: unknown key; did you mean `priority`?",
		}},
		{"abbreviated key", router("advert = \"1s\""), []string{
			"5: vrrp[0].advert: unknown key; did you mean `advert_interval`?",
		}},
		{"key in capitals", router("Priority = 150"), []string{
			"5: vrrp[0].Priority: unknown key; did you mean `priority`?",
		}},
		{"key below the wrong header", service("[service.check]\nscheduler = \"rr\""), []string{
			"5: service[0].check.scheduler: unknown key; it is a key of [[service]]",
		}},
		{"key of several tables", "interval = \"1s\"\nport = 1", []string{
			"1: interval: unknown key; it is a key of [[vrrp.track]] or [check.NAME]",
			"2: port: unknown key; it is a key of [lvs.sync], [check.NAME], [service.tunnel], [service.sorry_server], [service.sorry_server.tunnel], [[service.server]] or [service.server.tunnel]",
		}},
		{"key that the top of the file has", "[log]\nstate = 1", []string{
			"2: log.state: unknown key; it is a key of the top of the file",
		}},
		{"key like no other", "[control]\ncolour = \"red\"", []string{
			"2: control.colour: unknown key; the keys here are socket, group, admin_group",
		}},
		{"quoted key", "\"log.level\" = \"info\"", []string{
			`1: "log.level": unknown key; the keys here are name, include, director, log, control, state, metrics, web, peer, drill, election, vrrp, group, lvs, check, service, hook, realserver`,
		}},
		{"unknown table", "[[vrpp]]\nvrid = 1", []string{
			"1: vrpp: unknown key; did you mean `vrrp`?",
		}},
		{"one table where many may be", "[vrrp]\nvrid = 1", []string{
			"1: vrrp: want an array of tables, not a table; write [[vrrp]]",
		}},
		{"many tables where one may be", "[[log]]\nlevel = \"info\"", []string{
			"1: log: want a table, not an array of tables; write [log]",
		}},
		{"value where a table belongs", "log = \"info\"", []string{
			"1: log: want a table, not the string \"info\"",
		}},
		{"values where tables belong", "service = [1, \"x\"]", []string{
			"1: service[0]: want a table, not 1",
			"1: service[1]: want a table, not the string \"x\"",
		}},
		{"string for an integer", router("priority = \"150\""), []string{
			`5: vrrp[0].priority: want an integer, not the string "150"; remove the quotes`,
		}},
		{"number with a fraction for an integer", router("priority = 1.5"), []string{
			"5: vrrp[0].priority: want an integer, not the number 1.5",
		}},
		{"integer for a string", "name = 5", []string{
			"1: name: want a string, not 5; put it in quotes",
		}},
		{"date for a string", "name = 2026-01-02", []string{
			"1: name: want a string, not a date or time; put it in quotes",
		}},
		{"table for a string", "name = { a = 1 }", []string{
			"1: name: want a string, not a table",
		}},
		{"string for a boolean", router("preempt = \"no\""), []string{
			`5: vrrp[0].preempt: want a boolean, not the string "no"; write true or false, without quotes`,
		}},
		{"integer for a duration", router("advert_interval = 1"), []string{
			`5: vrrp[0].advert_interval: want a duration, not 1; write it in quotes and with its unit, such as "1s"`,
		}},
		{"duration without unit", router("advert_interval = \"1\""), []string{
			`5: vrrp[0].advert_interval: "1" is not a duration; its unit is missing: "1s" or "1ms"?`,
		}},
		{"duration of another spelling", router("advert_interval = \"1 sec\""), []string{
			`5: vrrp[0].advert_interval: "1 sec" is not a duration; a duration is a number with its unit (ns, us, ms, s, m or h), such as "1.5s"`,
		}},
		{"one value for an array", service("[service.check]\ntype = \"http\"\nstatus = \"200-299\""), []string{
			`6: service[0].check.status: want an array of strings, not the string "200-299"; write ["200-299"]`,
		}},
		{"word out of a list", service("scheduler = \"wrrr\"\nmethod = \"masquerade\""), []string{
			"4: service[0].scheduler: unknown value \"wrrr\"; did you mean `wrr`?",
			"5: service[0].method: unknown value \"masquerade\"; want dr, nat or tunnel",
		}},
		{"syntax", "[log]\nlevel = warn\n", []string{
			"2: log.level: not TOML: expected value but found \"warn\" instead",
		}},
		{"key given twice", "[log]\nlevel = \"info\"\nlevel = \"warn\"\n", []string{
			"3: log.level: not TOML: Key 'log.level' has already been defined",
		}},
		{"all at once, by line", "[metrics]\nlisten = 9105\n[[service]]\nname = \"a/b\"\n[[vrrp]]\nvrid = 0\n", []string{
			"2: metrics.listen: want a string, not 9105; put it in quotes",
			"3: service[0].virtual: is missing: want a string, array of strings or table; for example: virtual = \"192.0.2.100:80\"",
			"3: service[0].server: is missing: want an array of tables; add [[service.server]]",
			"4: service[0].name: \"a/b\" has the character '/'; use letters, digits and any of . - _ :",
			"5: vrrp[0].interface: is missing: want a string; for example: interface = \"eth0\"",
			"6: vrrp[0].vrid: 0 is out of range: want 1 to 255",
		}},
	})
}

func TestMistakesOfTheDaemon(t *testing.T) {
	run(t, []mistaken{
		{"name", "name = \"\"", []string{"1: name: is empty"}},
		{"long name", "name = \"" + strings.Repeat("ä", 65) + "\"", []string{"1: name: is longer than 64 characters"}},
		{"name with white space", "name = \"lb\\u00a01\"", []string{
			`1: name: "lb\u00a01" has the character '\u00a0'; use letters, digits and any of . - _ :`,
		}},
		{"log level", "[log]\nlevel = \"warning\"", []string{
			"2: log.level: unknown value \"warning\"; did you mean `warn`?",
		}},
		{"socket", "[control]\nsocket = \"tandem.sock\"", []string{
			`2: control.socket: "tandem.sock" is not an absolute path`,
		}},
		{"long socket", "[control]\nsocket = \"/" + strings.Repeat("x", 107) + "\"", []string{
			"2: control.socket: is a path of 108 bytes: want at most 96, because another socket has a longer path",
		}},
		{"group", "[control]\ngroup = \"load balancers\"\nadmin_group = \"\"", []string{
			`2: control.group: "load balancers" is not the name of a group: use at most 32 letters, digits and any of . - _`,
			"3: control.admin_group: is empty: leave it out",
		}},
		{"one group for two", "[control]\nadmin_group = \"ops\"\ngroup = \"ops\"", []string{
			"3: control.group: is the same as admin_group; leave it out: the members of admin_group may read too",
		}},
		{"directory", "[state]\ndir = \"/var/lib/tan\\u0000dem\"", []string{
			`2: state.dir: "/var/lib/tan\x00dem" has a control character`,
		}},
		{"port alone", "[metrics]\nlisten = \"9105\"", []string{
			`2: metrics.listen: "9105" is not host:port; write "127.0.0.1:9105", "[::1]:9105" or ":9105"`,
		}},
		{"port out of range", "[metrics]\nlisten = \":0\"", []string{
			`2: metrics.listen: "0" is not a port: want 1 to 65535; write "127.0.0.1:9105", "[::1]:9105" or ":9105"`,
		}},
		{"no host", "[metrics]\nlisten = \"a b:9105\"", []string{
			`2: metrics.listen: "a b" is neither an address nor a host name; write "127.0.0.1:9105", "[::1]:9105" or ":9105"`,
		}},
		{"a page on a port alone", "[web]\nlisten = \"9106\"", []string{
			`2: web.listen: "9106" is not host:port; write "127.0.0.1:9106", "[::1]:9106" or ":9106"`,
		}},
		{"a page for a URL", "[web]\nhosts = [\"lb1.example.com\", \"https://lb1.example.com/\"]", []string{
			`2: web.hosts[1]: "https://lb1.example.com/" is not a host name; write "lb1.example.com"`,
		}},
		{"a page for too many", "[web]\nhosts = [" + strings.Repeat("\"a.b\", ", 33) + "]", []string{
			"2: web.hosts: has 33 elements: want 0 to 32",
		}},
		{"a page at the address of the metrics", "[web]\nlisten = \"10.0.0.1:9105\"\n[metrics]\nlisten = \":9105\"", []string{
			"2: web.listen: 10.0.0.1:9105 is the address of metrics.listen too; choose another port",
		}},
		{"metrics at the address of a page", "[metrics]\nlisten = \"LB1:9105\"\n[web]\nlisten = \"lb1:9105\"", []string{
			"4: web.listen: lb1:9105 is the address of metrics.listen too; choose another port",
		}},
		{"at the stop", "[lvs]\non_stop = \"flush\"", []string{
			`2: lvs.on_stop: unknown value "flush"; want keep or remove`,
		}},
	})
}
