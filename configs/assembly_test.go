// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// A folder are files in memory, by name.
type folder map[string]string

// Match returns the names in no useful order.
func (f folder) Match(pattern string) (names []string, err error) {
	defer func() { slices.Reverse(names) }()
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if ok, err := path.Match(pattern, name); err != nil || ok {
			names = append(names, name)
		}
	}
	return names, err
}

func (f folder) Read(name string) ([]byte, error) {
	text, ok := f[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(text), nil
}

// assemble reads /etc/t/t.toml of a folder.
func (f folder) assemble(s Surroundings) (*Config, error) {
	s.Files = f
	return ParseIn(s, "/etc/t/t.toml", []byte(f["/etc/t/t.toml"]))
}

// told returns the mistakes and warnings, without the folder.
func told(c *Config, err error) (all []string) {
	var ms Mistakes
	if errors.As(err, &ms); c != nil {
		ms = c.Warnings
	}
	for _, m := range ms {
		all = append(all, strings.ReplaceAll(m.Error(), "/etc/t/", ""))
	}
	return all
}

const (
	vrrpWeb = "[[vrrp]]\nname = \"web\"\ninterface = \"eth0\"\nvrid = 51\nvips = [\"192.0.2.100/24\"]\n"
	include = "include = [\"services.d/*.toml\"]\n"
)

func serviceNamed(name, port string) string {
	return "[[service]]\nname = \"" + name + "\"\nvirtual = \"192.0.2.100:" + port + "\"\nserver = [{ address = \"192.0.2.11\" }]\n"
}

// TestInclude: tables of all files count, in the order of the files' names; each mistake keeps its file, line and key there.
func TestInclude(t *testing.T) {
	deep := folder{"/etc/t/t.toml": "include = [\"1.toml\"]\n" + vrrpWeb}
	for i := 1; i < 10; i++ {
		deep[fmt.Sprintf("/etc/t/%d.toml", i)] = fmt.Sprintf("include = [\"%d.toml\"]\n", i+1)
	}
	for _, tt := range []struct {
		name  string
		files folder
		names []string // of the services
		told  []string
	}{
		{"in the order of names", folder{
			"/etc/t/t.toml": include + vrrpWeb + serviceNamed("main", "80"), "/etc/t/services.d/b.toml": serviceNamed("b", "82"),
			"/etc/t/services.d/a.toml": serviceNamed("a1", "81") + serviceNamed("a2", "83"), "/etc/t/services.d/c.conf": "not TOML",
			"/etc/t/services.d/.#a.toml": "not TOML",
		}, []string{"main", "a1", "a2", "b"}, nil},
		{"nothing matches", folder{"/etc/t/t.toml": include + vrrpWeb}, nil, []string{"t.toml:1: include[0]: no file matches services.d/*.toml"}},
		{"relative to the file that includes", folder{
			"/etc/t/t.toml": "include = [\"sub/x.toml\"]\n" + vrrpWeb, "/etc/t/sub/x.toml": "include = [\"y.toml\"]\n" + serviceNamed("x", "80"),
			"/etc/t/sub/y.toml": serviceNamed("y", "81"),
		}, []string{"x", "y"}, nil},
		{"a plain name must exist", folder{"/etc/t/t.toml": "include = [\"x.toml\"]\n" + vrrpWeb}, nil,
			[]string{"t.toml:1: include[0]: failed to read it: file does not exist"}},
		{"mistakes in several files", folder{
			"/etc/t/t.toml":            include + vrrpWeb + "weight = 3\n" + serviceNamed("main", "80"),
			"/etc/t/services.d/a.toml": "\n" + serviceNamed("a", "81") + serviceNamed("b", "82") + "scheduler = \"xx\"\n[service.check]\ntimeot = \"1s\"\n",
		}, nil, []string{
			"services.d/a.toml:10: service[1].scheduler: unknown value \"xx\"; want ",
			"services.d/a.toml:12: service[1].check.timeot: unknown key; did you mean `timeout`?",
			"t.toml:7: vrrp[0].weight: unknown key; it is a key of ",
		}},
		{"a mistake about two files names both", folder{
			"/etc/t/t.toml": include + vrrpWeb + serviceNamed("a", "80"), "/etc/t/services.d/a.toml": serviceNamed("a", "81"),
		}, nil, []string{`services.d/a.toml:2: service[0].name: "a" is already the name of service[0] (t.toml:7); names must differ`}},
		{"a mistake about a missing key", folder{
			"/etc/t/t.toml": include + vrrpWeb, "/etc/t/services.d/a.toml": "\n[[service]]\nname = \"a\"\nserver = [{ address = \"192.0.2.11\" }]\n",
		}, nil, []string{"services.d/a.toml:2: service[0].virtual: is missing: "}},
		{"the same table in two files", folder{
			"/etc/t/t.toml":            include + vrrpWeb + "[log]\nlevel = \"info\"\n[check.a]\ntype = \"tcp\"\n",
			"/etc/t/services.d/a.toml": "[log]\nformat = \"json\"\n[check.b]\ntype = \"tcp\"\n[check.a]\ntype = \"http\"\n",
		}, nil, []string{
			"services.d/a.toml:1: log: is already in t.toml:7; write it in one file only",
			"services.d/a.toml:5: check.a: is already in t.toml:9; write it in one file only",
		}},
		{"one table where others have an array", folder{
			"/etc/t/t.toml": include + vrrpWeb + serviceNamed("a", "80"), "/etc/t/services.d/a.toml": "[service.check]\ntype = \"tcp\"\n",
		}, nil, []string{"services.d/a.toml:1: service: is already in t.toml:7; write it in one file only"}},
		{"a cycle", folder{
			"/etc/t/t.toml": "include = [\"a.toml\"]\n" + vrrpWeb, "/etc/t/a.toml": "\ninclude = [\"b.toml\"]\n", "/etc/t/b.toml": "include = [\"../t/a.toml\"]\n",
		}, nil, []string{"b.toml:1: include[0]: a.toml includes itself: t.toml → a.toml → b.toml → a.toml; remove one of the includes"}},
		{"itself", folder{"/etc/t/t.toml": "include = [\"*.toml\"]\n" + vrrpWeb}, nil,
			[]string{"t.toml:1: include[0]: t.toml includes itself: t.toml → t.toml; remove one of the includes"}},
		{"twice", folder{"/etc/t/t.toml": "include = [\n\"a.toml\",\n\"*a.toml\"]\n" + vrrpWeb, "/etc/t/a.toml": serviceNamed("a", "80")}, nil,
			[]string{"t.toml:3: include[1]: a.toml is already included by t.toml:2; include it once"}},
		{"too deep", deep, nil, []string{"8.toml:1: include[0]: 9.toml is included at depth 9: want at most 8"}},
		{"not TOML", folder{"/etc/t/t.toml": include + vrrpWeb + "vip = 1\n", "/etc/t/services.d/a.toml": "\n= 3\n"}, nil,
			[]string{"services.d/a.toml:2: not TOML: ", "t.toml:7: vrrp[0].vip: unknown key; "}},
		{"no pattern", folder{"/etc/t/t.toml": "include = [\"[\", \"\"]\n" + vrrpWeb}, nil,
			[]string{`t.toml:1: include[0]: "[" is not a pattern; `, `t.toml:1: include[1]: "" is not a pattern; `}},
		{"no list", folder{"/etc/t/t.toml": "include = \"x.toml\"\n" + vrrpWeb}, nil,
			[]string{`t.toml:1: include: want an array of strings, not the string "x.toml"; write include = `}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := tt.files.assemble(Surroundings{})
			expect(t, told(c, err), tt.told)
			if c == nil {
				return
			}
			var names []string
			for _, s := range c.Services {
				names = append(names, s.Name)
			}
			if !slices.Equal(names, tt.names) {
				t.Errorf("services %q, want %q", names, tt.names)
			}
		})
	}
}

// expect compares texts with their beginnings.
func expect(t *testing.T, got, want []string) {
	t.Helper()
	same := len(got) == len(want)
	for i := 0; same && i < len(got); i++ {
		same = strings.HasPrefix(got[i], want[i])
	}
	if !same {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestTheSumIsOfAllFiles: a change of an included file changes the sum.
func TestTheSumIsOfAllFiles(t *testing.T) {
	f := folder{"/etc/t/t.toml": include + vrrpWeb, "/etc/t/services.d/a.toml": serviceNamed("a", "80")}
	a, err := f.assemble(Surroundings{})
	f["/etc/t/services.d/a.toml"] += "# more\n"
	b, failed := f.assemble(Surroundings{})
	if err := errors.Join(err, failed); err != nil || a.SHA256 == b.SHA256 || len(a.SHA256) != 64 {
		t.Errorf("%v, %s, %s", err, a.SHA256, b.SHA256)
	}
}

const pairFile = vrrpWeb + `unicast_peers = ["192.0.2.2", "192.0.2.3"]
[[service]]
name = "www"
virtual = "192.0.2.100:80"
  [[service.server]]
  address = "192.0.2.11"
[metrics]
listen = ":9105"
`

// TestDirectors: a director gets its own values, and what is wrong with any director's is told with file, line and key.
func TestDirectors(t *testing.T) {
	lb1 := "[director.lb1]\nvrrp.web.priority = 150\n"
	host := func(name string) func() (string, error) { return func() (string, error) { return name, nil } }
	for _, tt := range []struct {
		name string
		text string
		in   Surroundings
		want string // name, priority, interface, weight, metrics
		told []string
	}{
		{"by --name", pairFile + lb1, Surroundings{Name: "lb1", Host: host("lb2")}, "lb1 150 eth0 1 :9105", nil},
		{"by host name", pairFile + lb1 + "[director.lb2]\n", Surroundings{Host: host("lb2")}, "lb2 100 eth0 1 :9105", nil},
		{"by the first label of the host name", pairFile + lb1, Surroundings{Host: host("lb1.example.net")}, "lb1 150 eth0 1 :9105", nil},
		{"by the file", "name = \"lb1\"\n" + pairFile + lb1, Surroundings{Host: host("lb2")}, "lb1 150 eth0 1 :9105", nil},
		{"by a variable in the file", "name = \"${N}1\"\n" + pairFile + lb1,
			Surroundings{Variable: func(string) (string, bool) { return "lb", true }}, "lb1 150 eth0 1 :9105", nil},
		{"--name before the file", "name = \"lb2\"\n" + pairFile + lb1, Surroundings{Name: "lb1"}, "lb1 150 eth0 1 :9105", nil},
		{"--name without overrides", "name = \"lb2\"\n" + pairFile, Surroundings{Name: "lb1"}, "lb1 100 eth0 1 :9105", nil},
		{"all kinds of values", pairFile + `[director.lb1]
metrics.listen = "127.0.0.1:9106"
lvs.sync = { interface = "eth1", id = 7 }
log.level = "debug"
[director.lb1.vrrp.web]
interface = "eth7"
priority = 150
track = [{ interface = "eth1", weight = -10 }]
[director.lb1.service.www.server."192.0.2.11"]
weight = 7
`, Surroundings{Name: "lb1"}, "lb1 150 eth7 7 127.0.0.1:9106", nil},
		{"not this host", pairFile + lb1, Surroundings{Host: host("lb2")}, "",
			[]string{"t.toml:14: director: no [director.NAME] is for \"lb2\", which is the host name; did you mean `lb1`?"}},
		{"none of many", pairFile + lb1 + "[director.lb2]\n", Surroundings{Name: "router"}, "",
			[]string{"t.toml:14: director: no [director.NAME] is for \"router\", which is the name of --name or TANDEM_NAME; " +
				"choose one of them with --name or TANDEM_NAME: lb1 or lb2"}},
		{"an unknown virtual router, also of the other", pairFile + lb1 + "[director.lb2.vrrp]\nwbe.priority = 3\n", Surroundings{Name: "lb1"}, "",
			[]string{"t.toml:17: director.lb2.vrrp.wbe: no [[vrrp]] has the name \"wbe\"; did you mean `web`?"}},
		{"unknown keys, also of the other", pairFile + lb1 + "vrrp.web.prority = 1\n[director.lb2]\nmetrcs.listen = \"\"\n", Surroundings{Name: "lb1"}, "",
			[]string{
				"t.toml:16: director.lb1.vrrp.web.prority: unknown key; did you mean `priority`?",
				"t.toml:18: director.lb2.metrcs: unknown key; did you mean `metrics`?",
			}},
		{"a wrong value", pairFile + lb1 + "vrrp.web.interface = \"a b\"\nmetrics.listen = 7\n", Surroundings{Name: "lb1"}, "",
			[]string{
				`t.toml:16: director.lb1.vrrp.web.interface: "a b" cannot be the name of an interface`,
				"t.toml:17: director.lb1.metrics.listen: want a string, not 7; put it in quotes",
			}},
		{"a wrong value in a new table", pairFile + lb1 + "lvs.sync.id = 7\n", Surroundings{Name: "lb1"}, "",
			[]string{"t.toml:16: director.lb1.lvs.sync.interface: is missing: "}},
		{"a value that the router below lacks", pairFile + lb1 + "[director.lb1.vrrp.web.announce]\nspacing = \"9s\"\n", Surroundings{Name: "lb1"}, "",
			[]string{"t.toml:17: director.lb1.vrrp.web.announce.spacing: \"9s\" is out of range"}},
		{"no names", pairFile + lb1 + "vrrp.web.track.eth1.weight = 3\n", Surroundings{Name: "lb1"}, "",
			[]string{"t.toml:16: director.lb1.vrrp.web.track: its tables have no names; write an array"}},
		{"a key of what is no table", strings.Replace(pairFile, "[metrics]", "[check.a]\ntype = \"tcp\"\n[metrics]", 1) + lb1 +
			"[director.lb1.service.www.virtual]\nfwmark = 3\n", Surroundings{Name: "lb1"}, "",
			[]string{"t.toml:18: director.lb1.service.www.virtual: service[0].virtual (line 9) is no table; write the whole value"}},
		{"what cannot differ", pairFile + lb1 + "name = \"x\"\ninclude = []\n", Surroundings{Name: "lb1"}, "",
			[]string{
				"t.toml:16: director.lb1.name: cannot differ between directors; ",
				"t.toml:17: director.lb1.include: cannot differ between directors; ",
			}},
		{"a name that cannot be read", "name = \"${N}\"\n" + pairFile + lb1, Surroundings{}, "",
			[]string{"t.toml:1: name: the variable N is not set; "}},
		{"a name that is no text", "name = 3\n" + pairFile + lb1, Surroundings{}, "", []string{"t.toml:1: name: want a string, not 3"}},
		{"a bad name", pairFile, Surroundings{Name: "a b"}, "",
			[]string{`t.toml:1: the name that --name or TANDEM_NAME gives cannot be used: "a b" has the character ' '`}},
		{"no table", "director = 3\n" + pairFile, Surroundings{Name: "lb1"}, "", []string{"t.toml:1: director: want a table, not 3; "}},
		{"no tables", "director = { lb1 = 3 }\n" + pairFile, Surroundings{Name: "lb1"}, "", []string{"t.toml:1: director.lb1: want a table, not 3"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := folder{"/etc/t/t.toml": tt.text}.assemble(tt.in)
			expect(t, told(c, err), tt.told)
			if c == nil {
				return
			}
			r := c.Routers[0]
			if got := fmt.Sprint(c.Name, r.Priority, r.Interface, c.Services[0].Servers[0].Weight, c.Metrics.Listen); strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(tt.want, " ", "") {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// TestVariables: ${NAME} is a variable, $$ is a dollar, and any other dollar is itself.
func TestVariables(t *testing.T) {
	environment := map[string]string{"VIP": "192.0.2.100/24", "EMPTY": "", "A_1": "eth"}
	variable := func(name string) (string, bool) { v, ok := environment[name]; return v, ok }
	text := func(command, more string) folder {
		return folder{"/etc/t/t.toml": "[[vrrp]]\nname = \"web\"\ninterface = \"${A_1}${EMPTY}0\"\nvrid = 51\nvips = [\"${VIP}\"]\n" +
			"[[vrrp.hook]]\non = [\"master\"]\ncommand = [\"/bin/sh\", " + command + "]\n" + more}
	}
	for _, tt := range []struct {
		name    string
		files   folder
		command string
		told    []string
	}{
		{"dollars", text(`"-c", "echo $HOME $$ $${A_1} $$${A_1} 5$"`, ""), "echo $HOME $ ${A_1} $eth 5$", nil},
		{"comments", text(`"-c", "x"`, "# ${NO} ${NO\n"), "x", nil},
		{"not set", text(`"-c", "${NO}"`, ""), "", []string{
			"t.toml:8: vrrp[0].hook[0].command[2]: the variable NO is not set; set it in the environment of tandem (for the units: in /etc/default/tandem, then restart them), or write $${ for a dollar and a brace"}},
		{"no names", text(`"-c", "${NO", "${N-O}", "${}"`, ""), "", []string{
			`t.toml:8: vrrp[0].hook[0].command[2]: "${NO" is not a variable; write ${NAME}`,
			`t.toml:8: vrrp[0].hook[0].command[3]: "${N-O" is not a variable; write ${NAME}`,
			`t.toml:8: vrrp[0].hook[0].command[4]: "${" is not a variable; write ${NAME}`}},
		{"one mistake for one value", text(`"-c", "x"`, "[control]\nsocket = \"${NO}\"\n"), "", []string{"t.toml:10: control.socket: the variable NO is not set; "}},
		{"the value is bad", text(`"-c", "x"`, "[control]\nsocket = \"${A_1}\"\n"), "", []string{`t.toml:10: control.socket: "eth" is not an absolute path`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := tt.files.assemble(Surroundings{Variable: variable})
			expect(t, told(c, err), tt.told)
			if c != nil && (c.Routers[0].Interface != "eth0" || c.Hooks[0].Command[2] != tt.command) {
				t.Errorf("%q, %q", c.Routers[0].Interface, c.Hooks[0].Command)
			}
		})
	}
}
