// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
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
