// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestHooks(t *testing.T) {
	c := parse(t, `name = "lb1"
[[vrrp]]
name = "web"
interface = "eth0"
vrid = 51
vips = ["192.0.2.100/24", "2001:db8::100/64"]
sync_group = "pair"
  [[vrrp.hook]]
  on = ["master", "backup", "stop"]
  command = ["/usr/local/bin/move", "--now"]
  style = "keepalived"
  user = "nobody"
  timeout = "5s"
  retries = 0
  retry_pause = "10ms"
  [[vrrp.hook]]
  on = ["contested"]
  command = "/usr/local/bin/move"
[[hook]]
on = ["fault"]
sync_group = "pair"
url = "https://alerts.example.net:8443/tandem?x=1"
secret_file = "/etc/tandem/secret"
[[hook]]
name = "mail"
on = ["server_down", "director_stop"]
services = ["www"]
command = "/bin/send"
[[service]]
name = "www"
virtual = "192.0.2.100:80"
server = [{ address = "192.0.2.11" }]
`)
	web := []string{"web", "web-ipv6"}
	want := []Hook{
		{Name: "web/move", On: []HookEvent{HookMaster, HookBackup, HookStop}, Command: []string{"/usr/local/bin/move", "--now"}, User: "nobody",
			Style: HookKeepalived, Timeout: 5 * time.Second, RetryPause: 10 * time.Millisecond, Routers: web},
		{Name: "web/move #2", On: []HookEvent{HookContested}, Command: []string{"/usr/local/bin/move"}, User: "root", Style: HookPlain,
			Timeout: 30 * time.Second, Retries: 2, RetryPause: time.Second, Routers: web},
		{Name: "alerts.example.net:8443", On: []HookEvent{HookFault}, URL: "https://alerts.example.net:8443/tandem?x=1",
			SecretFile: "/etc/tandem/secret", Timeout: 30 * time.Second, Retries: 2, RetryPause: time.Second, Group: "pair"},
		{Name: "mail", On: []HookEvent{HookServerDown, HookDirectorStop}, Command: []string{"/bin/send"}, User: "root", Style: HookPlain,
			Timeout: 30 * time.Second, Retries: 2, RetryPause: time.Second, Services: []string{"www"}},
	}
	for i := range max(len(want), len(c.Hooks)) {
		if i >= len(c.Hooks) || i >= len(want) || !reflect.DeepEqual(c.Hooks[i], want[i]) {
			t.Fatalf("hook %d of %+v,\nwant %+v", i, c.Hooks, want)
		}
	}
	if c.Warnings != nil {
		t.Error(c.Warnings)
	}
}

func TestNotesOnHooks(t *testing.T) {
	c := parse(t, router("[[vrrp.hook]]\non = [\"master\", \"backup\"]\ncommand = \"/bin/x\"\n"+
		"[[vrrp.hook]]\non = [\"master\", \"backup\", \"stop\"]\nurl = \"http://x\"\nsecret_file = \"/x\""))
	notes := slices.DeleteFunc(c.Notes(), func(n string) bool { return !strings.HasPrefix(n, "hook ") })
	if len(notes) != 2 || !strings.Contains(notes[0], `add "stop" to on`) || !strings.Contains(notes[1], "write https in url") {
		t.Errorf("%q", notes)
	}
}

func TestMistakesOfHooks(t *testing.T) {
	hook := func(lines string) string { return router("[[vrrp.hook]]\n" + lines) }
	run(t, []mistaken{
		{"nothing", hook(""), []string{
			`5: vrrp[0].hook[0].on: is missing: want an array of strings; for example: on = ["master", "backup", "fault", "stop"]`,
			"5: vrrp[0].hook[0]: does not say what to do; add command or url",
		}},
		{"unknown event", hook("on = [\"mastr\"]\ncommand = \"/x\""), []string{"6: vrrp[0].hook[0].on[0]: unknown value \"mastr\"; did you mean `master`?"}},
		{"event twice", hook("on = [\"fault\", \"fault\"]\ncommand = \"/x\""), []string{"6: vrrp[0].hook[0].on[1]: fault is repeated"}},
		{"event of a service", hook("on = [\"server_up\"]\ncommand = \"/x\""), []string{
			`6: vrrp[0].hook[0].on[0]: unknown value "server_up"; want master, backup, fault, stop, contested, contest_over or takeover`}},
		{"both", hook("on = [\"fault\"]\ncommand = \"/x\"\nurl = \"http://x\""), []string{
			"8: vrrp[0].hook[0].url: cannot be combined with command; use a hook for each"}},
		{"relative program", hook("on = [\"fault\"]\ncommand = \"x\""), []string{
			`7: vrrp[0].hook[0].command: "x" is not an absolute path; write the absolute path, which ` + "`command -v x` shows"}},
		{"program that a hook cannot replace", hook("on = [\"fault\"]\ncommand = \"killall -0 x\""), []string{
			`7: vrrp[0].hook[0].command: "killall -0 x" has white space; write the absolute path, which ` + "`command -v killall` shows"}},
		{"keys of the other kind", hook("on = [\"fault\"]\nurl = \"http://x\"\nuser = \"a\"\nstyle = \"plain\""), []string{
			"8: vrrp[0].hook[0].user: has no meaning without command; remove it",
			"9: vrrp[0].hook[0].style: has no meaning without command; remove it"}},
		{"secret of a command", hook("on = [\"fault\"]\ncommand = \"/x\"\nsecret_file = \"/y\""), []string{
			"8: vrrp[0].hook[0].secret_file: has no meaning without url; remove it"}},
		{"URLs", hook("on = [\"fault\"]\nurl = \"ftp://x\"\n[[vrrp.hook]]\non = [\"fault\"]\nurl = \"https://a:b@x\"\n" +
			"[[vrrp.hook]]\non = [\"fault\"]\nurl = \"https://x#y\""), []string{
			`7: vrrp[0].hook[0].url: "ftp://x" is not an http or https URL; write "https://host/path"`,
			"10: vrrp[0].hook[1].url: has a user or password; remove it, and use secret_file",
			"13: vrrp[0].hook[2].url: has a fragment (#y), which is not sent; remove it"}},
		{"two of one name", hook("name = \"a\"\non = [\"fault\"]\ncommand = \"/x\"\n[[hook]]\nname = \"a\"\non = [\"fault\"]\ncommand = \"/x\""), []string{
			`10: hook[0].name: "a" is already the name of vrrp[0].hook[0] (line 5); names must differ`}},
		{"keepalived's arguments for a server", service("[[hook]]\non = [\"server_up\"]\ncommand = \"/x\"\nstyle = \"keepalived\""), []string{
			"7: hook[0].style: keepalived has arguments for the events of virtual routers only; use a hook of its own for the other events"}},
		{"references to nothing", router("sync_group = \"pair\"\n") + service("name = \"www\"\n[[hook]]\non = [\"fault\"]\ncommand = \"/x\"\nsync_group = \"pear\"\n"+
			"[[hook]]\non = [\"server_up\"]\ncommand = \"/x\"\nservices = [\"www\", \"ww\"]"), []string{
			"13: hook[0].sync_group: there is no [[vrrp]] with the sync_group \"pear\"; did you mean `pair`?",
			"17: hook[1].services[1]: there is no [[service]] with the name \"ww\"; did you mean `www`?"}},
		{"no event of a group", router("sync_group = \"pair\"\n[[hook]]\non = [\"contested\"]\ncommand = \"/x\"\nsync_group = \"pair\""), []string{
			"7: hook[0].on[0]: contested is not an event of a sync group; use a hook of its own for it"}},
		{"services without their events", router(service("name = \"www\"\n[[hook]]\non = [\"fault\"]\ncommand = \"/x\"\nservices = [\"www\"]")), []string{
			"12: hook[0].services: has no meaning without an event of services; remove it"}},
	})
}

func TestWarningsOfHooks(t *testing.T) {
	c := parse(t, "[[hook]]\non = [\"master\", \"server_up\"]\ncommand = \"/x\"\n")
	var got []string
	for _, w := range c.Warnings {
		got = append(got, w.Problem)
	}
	want := []string{"has neither [[vrrp]] nor [[service]]: there is nothing to do",
		"has events of virtual routers, but there is no [[vrrp]]", "has events of services, but there is no [[service]]"}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// The shipped hooks do what their comments say.
func TestShippedHooks(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/sendmail", []byte("#!/bin/sh\necho \"$@\"; cat\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		hook, event, want string
	}{
		{"mail", "master", `-i -- a@example.net b@example.net
To: a@example.net, b@example.net
Subject: [lb1] router web: master
Content-Type: text/plain; charset=utf-8

startup

TANDEM_DIRECTOR=lb1
TANDEM_EVENT=master
TANDEM_KIND=router
TANDEM_NAME=web
TANDEM_REASON=startup
TANDEM_VIPS=192.0.2.100/24 2001:db8::1/64
`},
		{"move-address", "contested", "would move 192.0.2.100 to a@example.net\nwould move 2001:db8::1 to a@example.net\n"},
		{"move-address", "backup", ""},
	} {
		cmd := exec.Command("./hooks/"+tt.hook, "a@example.net", "b@example.net")
		cmd.Env = []string{"PATH=/usr/bin:/bin", "SENDMAIL=" + dir + "/sendmail", "TANDEM_EVENT=" + tt.event, "TANDEM_KIND=router", "TANDEM_NAME=web",
			"TANDEM_DIRECTOR=lb1", "TANDEM_REASON=startup", "TANDEM_VIPS=192.0.2.100/24 2001:db8::1/64"}
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != tt.want {
			t.Errorf("%s: %v, %q, want %q", tt.hook, err, out, tt.want)
		}
	}
}
