// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

// notRun are the commands of the pages that TestGuideCommandsRun only parses, with the reason. A word that follows is a part of it.
var notRun = map[string]string{
	"doctor":                      "it asks the network of this machine",
	"probe":                       "it asks the network for as long as it says",
	"drill":                       "it breaks a director; integration/native has drills",
	"top":                         "it draws in a terminal",
	"peer init":                   "it writes to /etc/tandem",
	"check --live":                "it compares with the kernel of this machine",
	"realserver apply":            "it changes this machine",
	"realserver check":            "it looks at this machine",
	"realserver remove":           "it changes this machine",
	"events":                      "it ends with Ctrl-C",
	"history --follow":            "it ends with Ctrl-C",
	"apply --pair":                "it waits for the health of both directors; apply_pair_test.go",
	"drain www/192.0.2.11 --wait": "it waits for connections; drain_test.go",
}

// A guideDirector is a healthy director of a pair, as the pages of the guide have it.
type guideDirector struct {
	*twin
	servers jsonDirector
}

func (d *guideDirector) Status() control.Status {
	s := d.twin.Status()
	s.Services = []control.Service{{Name: "www", Up: 1, Servers: []control.Server{
		{Address: netip.MustParseAddr("192.0.2.11"), Port: 80, Health: "healthy", Weight: 1, EffectiveWeight: 1},
	}}}
	return s
}

func (d *guideDirector) CommandServer(by string, c control.ServerCommand) (control.ServerState, error) {
	return control.ServerState{Name: c.Server, Peer: &control.PeerReply{Name: "lb2", InForce: true}}, nil
}

func (d *guideDirector) Reload(by string) (control.Applied, error) { return d.servers.Reload(by) }
func (d *guideDirector) ConfigLog() (control.ConfigLog, error)     { return d.servers.ConfigLog() }
func (d *guideDirector) Failover(_ string, names []string) (control.RoutersDone, error) {
	return control.RoutersDone{Routers: append(names, "web")}, nil
}

func (d *guideDirector) Release(by string, names []string) (control.RoutersDone, error) {
	return d.Failover(by, names)
}

// filesOfTheGuide are the files that commands of the pages name, with their texts.
func filesOfTheGuide(t *testing.T) map[string]string {
	const instance = "vrrp_instance web {\n interface eth0\n virtual_router_id 51\n virtual_ipaddress {\n 192.0.2.100/24\n }\n"
	lower := strings.Replace(instance, "interface eth0", "interface eth0\n priority 90", 1)
	return map[string]string{
		"tandem.toml": readPage(t, "configs/pair.toml").text, "new.toml": readPage(t, "configs/minimal.toml").text,
		"lb1.toml": readPage(t, "configs/director-a.toml").text, "lb2.toml": readPage(t, "configs/director-b.toml").text,
		"keepalived.conf": instance + "}\n", "lb1.conf": "global_defs {\n router_id lb1\n}\n" + instance + "}\n",
		"lb2.conf": "global_defs {\n router_id lb2\n}\n" + lower + "}\n",
	}
}

// TestGuideCommandsRun runs the commands of the README and the guide that ask a director, or only read files: beside a director of a
// healthy pair, and in a directory with the files that the pages name. Each must succeed.
func TestGuideCommandsRun(t *testing.T) {
	a, _, _ := twins(t)
	t.Setenv("TANDEM_SOCKET", serveControl(t, &guideDirector{twin: a}))
	pages, files := append(guidePages(t), readPage(t, "README.md")), filesOfTheGuide(t)
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ran, skipped := make(map[string]bool), make(map[string]bool)
	for _, p := range pages {
		for _, words := range p.commandLines() {
			line := strings.Join(words, " ")
			if why := reasonNotToRun(line); why != "" {
				skipped[why] = true
			} else if !ran[line] {
				ran[line] = true
				runGuideCommand(t, p.path, words)
			}
		}
	}
	for _, line := range slices.Sorted(maps.Keys(notRun)) {
		if !skipped[line] {
			t.Errorf("no page has tandem %s any more", line)
		}
	}
	if len(ran) < 30 {
		t.Errorf("ran %d commands: too few to be all", len(ran))
	}
}

// commandLines returns the arguments of the commands of tandem in the blocks of a page.
func (p *textPage) commandLines() (all [][]string) {
	for _, b := range p.blocks {
		if b.language != "sh" {
			continue
		}
		for _, words := range shellCommands(b.text) {
			if words[0] == "tandem" {
				all = append(all, words[1:])
			}
		}
	}
	return all
}

// reasonNotToRun returns the key of notRun for a command line. It is empty if there is none.
func reasonNotToRun(line string) string {
	for _, begin := range slices.Sorted(maps.Keys(notRun)) {
		if line == begin || strings.HasPrefix(line, begin+" ") {
			return begin
		}
	}
	return ""
}

// runGuideCommand runs a command as a shell would, with the files of the present directory.
func runGuideCommand(t *testing.T, page string, words []string) {
	t.Helper()
	var args []string
	for _, w := range words {
		switch {
		case strings.HasPrefix(w, "/etc/"):
			args = append(args, filepath.Base(w))
		case strings.Contains(w, "*"):
			names, err := filepath.Glob(w)
			if err != nil {
				t.Fatal(err)
			}
			args = append(args, names...)
		default:
			args = append(args, w)
		}
	}
	out, errs, err := execute(t, args...)
	if changes := words[0] == "plan" && err != nil && exitCode(err) == 2; err != nil && !changes || out == "" && words[0] != "fmt" && words[0] != "history" {
		t.Errorf("%s: tandem %s: %v, it printed %q and %q", page, strings.Join(words, " "), err, out, errs)
	}
}
