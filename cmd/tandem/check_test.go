// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

func TestCheckListsEveryMistakeOfEveryFile(t *testing.T) {
	good := writeConfig(t, "name = \"lb1\"\n")
	bad := writeConfig(t, "nam = \"lb1\"\n\n[log]\nlevel = \"loud\"\n")
	if out, _, err := execute(t, "check", good); err != nil || !strings.Contains(out, "ok") {
		t.Errorf("a good file: %q, %v", out, err)
	}
	out, _, err := execute(t, "check", bad, good)
	if err == nil {
		t.Fatal("a bad file passes")
	}
	for _, want := range []string{bad + ":1: nam", "`name`", bad + ":4: log.level"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the report:\n%v", want, err)
		}
	}
	if !strings.Contains(out, good+": ok") {
		t.Errorf("the good file beside it is not reported: %q", out)
	}
}

func TestCheckNamesSchedulersThatTheKernelLacks(t *testing.T) {
	cfg := &configs.Config{File: "t.toml", Services: []configs.Service{
		{Name: "a", Virtuals: []lvs.Service{{Scheduler: "rr"}}},
		{Name: "b", Virtuals: []lvs.Service{{Scheduler: "twos"}}},
	}}
	err := missingSchedulers(cfg, []string{"rr", "wrr"})
	want := "t.toml: service b: this kernel has no scheduler twos; install the module ip_vs_twos, or choose one of rr, wrr"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A check that the director cannot run is reported before it runs.
func TestCheckNamesWhatChecksLack(t *testing.T) {
	file := writeConfig(t, `
name = "lb1"
[check.gone]
type = "exec"
command = ["/no/such/program"]
user = "nobody"
[check.nobody]
type = "exec"
command = ["/bin/true"]
user = "no-such-user"
[check.secured]
type = "https"
tls_ca = "/no/such/ca.pem"
[[service]]
name = "www"
virtual = "192.0.2.100:80"
scheduler = "rr"
method = "dr"
check = ["gone", "nobody", "secured"]
[[service.server]]
address = "192.0.2.11"
[[service.server]]
address = "192.0.2.12"
`)
	_, warnings, err := execute(t, "check", file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"no such file: /no/such/program", "no such user: no-such-user", "open /no/such/ca.pem"} {
		if strings.Count(warnings, want) != 1 || !strings.Contains(warnings, "service www: this machine cannot run the check of type") {
			t.Errorf("%q is not once in %q", want, warnings)
		}
	}
}

// Root runs each tracked script once, as its user, who has no capabilities. A failure is a warning. Other users cannot do this.
func TestCheckTriesScripts(t *testing.T) {
	failing := 0
	if os.Geteuid() == 0 {
		failing = 1
	}
	file := writeConfig(t, `
name = "lb1"
[[vrrp]]
name = "web"
interface = "eth0"
vrid = 51
vips = ["192.0.2.100/24"]
track = [
  { script = ["/bin/cat", "/etc/shadow"] },
  { script = ["/bin/cat", "-u", "/etc/shadow"], user = "root", weight = -10 },
  { script = "/bin/true" },
]
`)
	out, warnings, err := execute(t, "check", file)
	if err != nil || !strings.Contains(out, "ok") {
		t.Fatalf("%v: %s", err, out)
	}
	const want = "virtual router web: script /bin/cat /etc/shadow fails as user nobody: exit code 1: "
	if strings.Count(warnings, "warning:") != failing || strings.Count(warnings, want) != failing {
		t.Errorf("got %q, want %d warnings with %q", warnings, failing, want)
	}
}

// A hook that this machine cannot run is a warning, which names the cause. No hook is run.
func TestCheckExaminesHooks(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\ntouch "+dir+"/ran\n"), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain, program, open := file("plain", 0o644), file("program", 0o755), file("open", 0o644)
	var text strings.Builder
	text.WriteString("name = \"lb1\"\n[[vrrp]]\nname = \"web\"\ninterface = \"eth0\"\nvrid = 51\nvips = [\"192.0.2.100/24\"]\n")
	for _, does := range []string{
		`command = "/no/such/program"`,
		`command = "` + plain + `"`,
		`command = "` + program + `"` + "\nuser = \"no-such-user\"",
		`command = "/etc"`,
		`url = "https://192.0.2.1/"` + "\nsecret_file = \"" + open + `"`,
		`url = "https://192.0.2.1/"` + "\nsecret_file = \"/no/such/secret\"",
		`command = "/bin/true"`,
	} {
		fmt.Fprintf(&text, "[[vrrp.hook]]\non = [\"master\"]\n%s\n", does)
	}
	_, warnings, err := execute(t, "check", writeConfig(t, text.String()))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"hook web/program: this machine cannot run it: no such file: /no/such/program",
		"hook web/plain: this machine cannot run it: " + plain + " is not executable (chmod +x " + plain + ")",
		"hook web/program #2: this machine cannot run it: no such user: no-such-user",
		"hook web/etc: this machine cannot run it: /etc is a directory",
		"hook web/192.0.2.1: this machine cannot run it: " + open + " is open to others than its owner (mode 0644): chmod 600 " + open,
		"hook web/192.0.2.1 #2: this machine cannot run it: failed to read the secret: open /no/such/secret: no such file or directory",
	} {
		if strings.Count(warnings, want) != 1 {
			t.Errorf("%q is not once in\n%s", want, warnings)
		}
	}
	if n := strings.Count(warnings, "warning: "); n != 6 {
		t.Errorf("%d warnings, want 6:\n%s", n, warnings)
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("a hook was run")
	}
}

// TestCheckComparesThePair: what a pair must have in common is a mistake if it differs, in two files as in one.
func TestCheckComparesThePair(t *testing.T) {
	const text = `name = "NAME"
[[vrrp]]
name = "web"
interface = "eth0"
vrid = VRID
priority = PRIORITY
vips = ["192.0.2.100/24"]
`
	file := func(name, vrid, priority string) string {
		return writeConfig(t, strings.NewReplacer("NAME", name, "VRID", vrid, "PRIORITY", priority).Replace(text))
	}
	shared := strings.NewReplacer("name = \"NAME\"\n", "", "VRID", "51", "PRIORITY", "100").Replace(text)
	lb1 := file("lb1", "51", "150")
	for _, c := range []struct {
		why       string
		args      []string
		out, said string
		err       string
	}{
		{"a pair", []string{lb1, file("lb2", "51", "100")}, "pair: ok (lb1 and lb2)", "", ""},
		{"one file alone", []string{lb1}, ": ok (virtual routers: 1", "", ""},
		{"another vrid", []string{lb1, file("lb2", "52", "100")}, "", "", "pair: virtual router web: vrid is 51 in lb1 and 52 in lb2"},
		{"the same priority", []string{lb1, file("lb2", "51", "150")}, "pair: ok", "warning: pair: virtual router web: both directors have priority 150", ""},
		{"a mistake comes first", []string{lb1, file("lb2", "52", "1000")}, "", "", ":6: vrrp[0].priority: 1000 is out of range: want 1 to 255"},
		{"one file for both", []string{writeConfig(t, shared+"[director.lb1]\nvrrp.web.priority = 150\n[director.lb2]\n")},
			"(lb2: virtual routers: 1, services: 0)\npair: ok (lb1 and lb2)", "", ""},
		{"one file for both, another vrid", []string{writeConfig(t, shared+"[director.lb1]\nvrrp.web.priority = 150\n[director.lb2]\nvrrp.web.vrid = 52\n")},
			"", "", "pair: virtual router web: vrid is 51 in lb1 and 52 in lb2"},
		{"for one of them", []string{"--name", "lb2", writeConfig(t, shared+"[director.lb1]\n[director.lb2]\nvrrp.web.vrid = 52\n")}, ": ok (lb2: ", "", ""},
		{"for none of them", []string{"--name", "lb", writeConfig(t, shared+"[director.lb1]\n")}, "", "",
			":7: director: no [director.NAME] is for \"lb\", which is the name of --name or TANDEM_NAME; did you mean `lb1`?"},
		{"the shipped one", []string{"../../configs/pair.toml"}, "pair: ok (lb1 and lb2)", "", ""},
	} {
		out, said, err := execute(t, append([]string{"check"}, c.args...)...)
		if !strings.Contains(out, c.out) || !strings.Contains(said, c.said) || c.said == "" && strings.Contains(said, "pair:") ||
			(c.err == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), c.err) || strings.Contains(out, "pair: ok")) {
			t.Errorf("%s: %q, %q, %v", c.why, out, said, err)
		}
	}
	// A mistake of both directors is told once.
	_, _, err := execute(t, "check", writeConfig(t, shared+"wrong = 1\n[director.lb1]\n[director.lb2]\n"))
	if err == nil || strings.Count(err.Error(), "wrong: unknown key") != 1 {
		t.Errorf("got %v", err)
	}
}
