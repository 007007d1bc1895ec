// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/configs"
)

// pages returns the shipped pages by the names of the topologies.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	dirs, err := fs.Glob(configs.Shipped, "topologies/*/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range dirs {
		dir := filepath.Dir(file)
		text, err := fs.ReadFile(configs.Shipped, dir+"/README.md")
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(dir)] = string(text)
	}
	return all
}

var printedFile = regexp.MustCompile(`configs/\S+\.(toml|conf|service)`)

// TestPages: each page has all its parts and machines, and each file that a command names is there.
func TestPages(t *testing.T) {
	overview, err := fs.ReadFile(configs.Shipped, "topologies/README.md")
	if err != nil {
		t.Fatal(err)
	}
	all := pages(t)
	if len(all) < 6 {
		t.Errorf("%d pages, want 6 at least", len(all))
	}
	for name, text := range all {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(string(overview), "]("+name+"/README.md)") {
				t.Error("the overview does not lead to the page")
			}
			p, err := parse(text)
			if err != nil {
				t.Fatal(err)
			}
			var have []string
			for _, m := range p.machines {
				have = append(have, m.name)
			}
			for _, want := range []string{"client", "lb1", "lb2", "web1", "web2"} {
				if !slices.Contains(have, want) {
					t.Errorf("the table lacks %s", want)
				}
			}
			var printed []string
			for _, want := range []part{setUp, look, failOver, undo} {
				if !slices.ContainsFunc(p.steps, func(s step) bool { return s.part == want }) {
					t.Errorf("no step for part %d", want)
				}
			}
			for _, s := range p.steps {
				if s.where == "" {
					t.Errorf("no heading says where to run\n%s", s.script)
				}
				printed = append(printed, printedFile.FindAllString(s.script, -1)...)
			}
			for _, file := range printed {
				if _, err := os.Stat("../../" + file); err != nil {
					t.Error(err)
				}
			}
			files, err := fs.ReadDir(configs.Shipped, "topologies/"+name)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				if want := "configs/topologies/" + name + "/" + f.Name(); f.Name() != "README.md" && !slices.Contains(printed, want) {
					t.Errorf("no step installs %s", want)
				}
			}
		})
	}
}

func TestParse(t *testing.T) {
	text := "# Title\n" + tableHead + "\n|---|---|---|---|\n| router | 192.0.2.1/24, 10.1.0.1/16 | 10.0.0.1/8 | |\n| web1 | 192.0.2.2/24 | | 192.0.2.1 |\n\n" +
		"## On each web server\n\nText.\n\n```sh\na\nb\n```\n\n```\nno command\n```\n## See that it works\n### On lb1\n```sh\nc\n```\n## Undo\n```sh\nd\n```\n"
	got, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	prefix := netip.MustParsePrefix
	want := page{
		machines: []machine{
			{"router", [][]netip.Prefix{{prefix("192.0.2.1/24"), prefix("10.1.0.1/16")}, {prefix("10.0.0.1/8")}}, ""},
			{"web1", [][]netip.Prefix{{prefix("192.0.2.2/24")}}, "192.0.2.1"},
		},
		steps: []step{{setUp, "each web server", "a\nb\n"}, {look, "lb1", "c\n"}, {undo, "", "d\n"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	switches := networks(got.machines)
	if switches[prefix("192.0.2.0/24")] != switches[prefix("10.1.0.0/16")] || switches[prefix("192.0.2.0/24")] == switches[prefix("10.0.0.0/8")] {
		t.Errorf("switches %v", switches)
	}
	for _, broken := range []string{"", tableHead + "\n|---|---|---|---|\n| web1 | 192.0.2.2 | | |\n", strings.TrimSuffix(text, "```\n"), strings.Replace(text, "| web1 |", "| web1 | |", 1)} {
		if _, err := parse(broken); err == nil {
			t.Errorf("no error for %q", broken)
		}
	}
}
