// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A plan is the part of tandem's plan that the scene compares with the kernel.
type plan struct{ Lines []planLine }

type planLine struct {
	Object, Cost       string
	Rows               []struct{ Service, Server string }
	Address, Interface string
	Setting, Old, New  string
	Later              bool
}

// planOf runs tandem plan on director-a.
func planOf(t *testing.T, p *lab.Pair, wantCode int, args ...string) (is plan, out string) {
	t.Helper()
	cmd := p.A.Start(lab.Tandem.Path(), append([]string{"plan", "--json", "--socket", p.A.Socket}, args...)...)
	if code := cmd.Wait(time.Minute); code != wantCode {
		t.Fatalf("tandem plan ended with %d, want %d:\n%s", code, wantCode, cmd.Output())
	}
	if wantCode != 1 { // the output may be a mistake of the file
		if err := json.NewDecoder(strings.NewReader(cmd.Output())).Decode(&is); err != nil {
			t.Fatalf("%v:\n%s", err, cmd.Output())
		}
	}
	return is, cmd.Output()
}

// planned: a plan of a changed file tells each change of ipvsadm -Ln, of the addresses and of the kernel's settings, and no
// other. The connections that it says will end do end, and the others live. A plan after the reload is empty. director-a has a
// file with a mistake at first.
func planned(t *testing.T, p *lab.Pair) {
	if _, out := planOf(t, p, 1); !strings.Contains(out, "tandem.toml:") || !strings.Contains(out, "`priority`") {
		t.Errorf("a plan of a file with a mistake says\n%s", out)
	}
	for _, web := range p.Webs {
		serveLines(t, web)
	}
	now := lined(p.A.Name, lab.PriorityA, `scheduler = "rr"`, 1, 1)
	p.A.Configure(now)
	reload(t, p)
	p.Eventually(10*time.Second, "a plan after a reload is empty", func() error {
		if out := p.A.Start(lab.Tandem.Path(), "plan", "--socket", p.A.Socket); out.Wait(time.Minute) != 0 {
			return fmt.Errorf("%s", out.Output())
		}
		return nil
	})

	open := openLines(t, p.Client, 4)
	next := now
	for _, edit := range [][2]string{
		{`vips = ["192.0.2.100/24"]`, `vips = ["192.0.2.100/24", "192.0.2.101/24"]`},
		{`scheduler = "wrr"`, `scheduler = "wlc"`},
		{"sloppy_tcp = 1", "pmtu_disc = 0"},
		{"[[service]]\nname = \"echo\"", "  [[service.server]]\n  address = \"192.0.2.13\"\n[[service]]\nname = \"echo\""},
	} {
		if !strings.Contains(next, edit[0]) {
			t.Fatalf("the file has no %s", edit[0])
		}
		next = strings.Replace(next, edit[0], edit[1], 1)
	}
	end := strings.LastIndex(next, "  [[service.server]]") // web2 of lines
	next = next[:end] + "\n[[service]]\nname = \"more\"\nvirtual = \"192.0.2.101:8080\"\n  [[service.server]]\n  address = \"192.0.2.12\"\n"

	before := kernelOf(t, p)
	// This file has not director-a's own paths: a reload would refuse it.
	if _, out := planOf(t, p, 1, "-c", p.A.WriteFile("next.toml", next)); !strings.Contains(out, "cannot change while running: restart needed") {
		t.Errorf("the plan of a file with another control socket says\n%s", out)
	}
	p.A.Configure(next)
	is, out := planOf(t, p, 2)
	t.Logf("the plan:\n%s", out)
	for _, want := range []string{"not healthy: ", "before tandem it was 1"} {
		if !strings.Contains(out, want) {
			t.Errorf("the plan does not say %q", want)
		}
	}
	if is.Lines[0].Cost != "2 connections of 192.0.2.12 end" {
		t.Errorf("the first line is %+v", is.Lines[0])
	}
	if left := kernelOf(t, p); !maps.Equal(left, before) {
		t.Errorf("the plan itself has changed %v to %v", before, left)
	}

	reload(t, p)
	p.Eventually(20*time.Second, "the kernel changes as told", func() error { return asTold(is, before, kernelOf(t, p)) })
	p.Throughout(2*time.Second, "nothing else changes", func() error { return asTold(is, before, kernelOf(t, p)) })
	for _, l := range open {
		if err := l.ask("still there?"); (err == nil) != (l.server == "web1") {
			t.Errorf("after the reload a connection to %s: %v", l.server, err)
		}
	}
	planOf(t, p, 0)
}

// plannedMove: the plan of a lower priority says that the VIP may move. It does.
func plannedMove(t *testing.T, p *lab.Pair) {
	p.A.Configure(patient.Config(p.A.Name, lab.PriorityB-10))
	is, out := planOf(t, p, 2)
	i := slices.IndexFunc(is.Lines, func(l planLine) bool { return l.Object == "virtual router web" })
	if want := fmt.Sprintf("moves VIP if the peer's priority is above %d: hand-over", lab.PriorityB-10); i < 0 || is.Lines[i].Cost != want {
		t.Errorf("the plan does not say %q:\n%s", want, out)
	}
	reload(t, p)
	p.AwaitMaster(p.B)
}

// vsSettings is the folder of the settings of IPVS, below /proc/sys.
const vsSettings = "net/ipv4/vs"

// kernelOf returns what a plan tells about: the rows of the table, the addresses and the settings, each with its value.
func kernelOf(t *testing.T, p *lab.Pair) map[string]string {
	t.Helper()
	all := make(map[string]string)
	service := ""
	for l := range strings.Lines(p.A.Table()) {
		fields := strings.Fields(l)
		if fields[0] == "->" {
			all["row "+service+" "+fields[1]] = strings.Join(fields[2:], " ")
			continue
		}
		service = strings.ToLower(fields[0]) + " " + fields[1]
		all["row "+service] = strings.Join(fields[2:], " ")
	}
	err := p.A.Do(func() error {
		links, err := net.Interfaces()
		if err != nil {
			return err
		}
		for _, link := range links {
			addrs, err := link.Addrs()
			if err != nil {
				return err
			}
			for _, addr := range addrs {
				all["address "+addr.String()+" "+link.Name] = "there"
			}
		}
		settings, err := os.ReadDir(filepath.Join("/proc/sys", vsSettings))
		for _, f := range settings {
			value, _ := os.ReadFile(filepath.Join("/proc/sys", vsSettings, f.Name())) // some cannot be read
			all["setting "+filepath.Join(vsSettings, f.Name())] = strings.TrimSpace(string(value))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// asTold compares the changes of the kernel with the lines of a plan.
func asTold(is plan, before, after map[string]string) error {
	told := make(map[string]bool)
	for _, l := range is.Lines {
		if l.Later {
			continue
		}
		for _, row := range l.Rows {
			told[strings.TrimSpace("row "+row.Service+" "+row.Server)] = true
		}
		if l.Address != "" {
			told["address "+l.Address+" "+l.Interface] = true
		}
		if l.Setting != "" {
			told["setting "+l.Setting] = true
			if before["setting "+l.Setting] != l.Old || after["setting "+l.Setting] != l.New {
				return fmt.Errorf("%s was %q and is %q, told %s → %s", l.Setting, before["setting "+l.Setting], after["setting "+l.Setting], l.Old, l.New)
			}
		}
	}
	changed := make(map[string]bool)
	for key, value := range before {
		if now, stays := after[key]; !stays || now != value {
			changed[key] = true
		}
	}
	for key := range after {
		if _, was := before[key]; !was {
			changed[key] = true
		}
	}
	if !maps.Equal(told, changed) {
		return fmt.Errorf("told %q, changed %q", slices.Sorted(maps.Keys(told)), slices.Sorted(maps.Keys(changed)))
	}
	return nil
}
