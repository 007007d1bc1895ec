// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/vrrp"
)

// guidePages returns the pages of the guide, in their order.
func guidePages(t *testing.T) (all []*textPage) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(repository, "configs/guide/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		all = append(all, readPage(t, "configs/guide/"+filepath.Base(file)))
	}
	slices.SortFunc(all, func(a, b *textPage) int { return pageNumber(a) - pageNumber(b) })
	return all
}

// pageNumber returns the number at the beginning of a page's name, 0 for the first page.
func pageNumber(p *textPage) (n int) {
	_, _ = fmt.Sscanf(filepath.Base(p.path), "%d-", &n)
	return n
}

// TestGuide: each page is right, is in the table of the first page, and leads to the one before and the next.
func TestGuide(t *testing.T) {
	all := guidePages(t)
	var sum counts
	for i, p := range all {
		n := p.check(t)
		sum = counts{sum.files + n.files, sum.commands + n.commands, sum.links + n.links}
		if pageNumber(p) != i {
			t.Errorf("%s has number %d, want %d", p.path, pageNumber(p), i)
		}
		if i > 0 && (!strings.HasPrefix(p.text, fmt.Sprintf("# %d · ", i)) || !strings.Contains(all[0].text, "\n| ["+fmt.Sprint(i)+" · ")) {
			t.Errorf("%s: its number is not in its title, or it is not in the table of the guide", p.path)
		}
		for _, other := range []int{i - 1, i + 1} {
			if i > 0 && other > 0 && other < len(all) && !strings.Contains(p.text, "]("+filepath.Base(all[other].path)+")") {
				t.Errorf("%s does not lead to %s", p.path, all[other].path)
			}
		}
	}
	if len(all) < 10 || sum.files < 10 || sum.commands < 200 || sum.links < 80 {
		t.Errorf("found %d pages, and %+v in them: too few to be all", len(all), sum)
	}
}

// symptoms are what operators meet. For each, the page begins with what to run.
var symptoms = []string{
	"Clients get nothing", "Clients get resets", "Some clients fail", "Two masters", "No master", "The VIP flaps",
	"A server gets no connections", "Weights are not what I set", "Slow after a failover",
}

// TestGuideSymptoms: for each symptom the page says what to run first, and what the answers mean.
func TestGuideSymptoms(t *testing.T) {
	p := readPage(t, "configs/guide/8-troubleshooting.md")
	for _, symptom := range symptoms {
		_, section, found := strings.Cut(p.text, "\n## "+symptom+"\n")
		if !found {
			t.Errorf("%s: not on the page", symptom)
			continue
		}
		section, _, _ = strings.Cut(section, "\n## ")
		run := strings.Index(section, "\n"+indented+"tandem ")
		answers := strings.Index(section, "\n| --- | --- | --- |\n")
		if run < 0 || answers < run {
			t.Errorf("%s: want commands to run, and then a table of what their answers mean", symptom)
		}
	}
}

// TestGuideNamesStates: the page about log lines has each state as the log writes it, so that a search finds it.
func TestGuideNamesStates(t *testing.T) {
	text := readPage(t, "configs/guide/9-log-lines.md").text
	for _, s := range []vrrp.State{vrrp.Initialize, vrrp.Backup, vrrp.Master, vrrp.Fault} {
		if strings.Count(text, "\n- `virtual router is "+s.String()+"` (info): ") != 1 {
			t.Errorf("want one entry about %s", s)
		}
	}
}

// TestGuideNamesDrops: each reason for which an advertisement is dropped is explained.
func TestGuideNamesDrops(t *testing.T) {
	_, text, _ := strings.Cut(readPage(t, "configs/guide/9-log-lines.md").text, "\n## Reasons of a dropped advertisement\n")
	var drops vrrp.Drops
	n := 0
	for d := range drops.All() {
		n++
		if strings.Count(text, "\n| `"+d.String()+"` |") != 1 {
			t.Errorf("want one row about %s", d)
		}
	}
	if rows := strings.Count(text, "\n| `"); rows != n {
		t.Errorf("the table has %d reasons, and there are %d", rows, n)
	}
}

// TestGuideNamesCauses: each reason for which a virtual router changes its state is explained, and no other.
func TestGuideNamesCauses(t *testing.T) {
	_, text, _ := strings.Cut(readPage(t, "configs/guide/9-log-lines.md").text, "\n## Reasons of a change of state\n")
	text, _, _ = strings.Cut(text, "\n## ")
	const differs = "…"
	parts := strings.NewReplacer("3.25s", differs, "192.0.2.3", differs, "101", differs, "151", differs, `"G"`, differs, "TEXT", differs)
	want := make(map[string]bool)
	for kind := range 256 {
		for _, peer := range []netip.Addr{{}, netip.MustParseAddr("192.0.2.3")} {
			if kind == 0 || !peer.IsValid() && vrrp.CauseKind(kind) != vrrp.CauseSilence {
				continue
			}
			c := vrrp.Cause{Kind: vrrp.CauseKind(kind), Fault: vrrp.FaultConfig, Priority: 101, Own: 151, Peer: peer, Wait: 3250 * time.Millisecond, Group: "G", Text: "TEXT"}
			if reason := parts.Replace(c.String()); strings.Trim(reason, differs) != "" {
				want[reason] = true
			}
		}
	}
	if len(want) < 25 {
		t.Errorf("found %d reasons: too few to be all", len(want))
	}
	for _, row := range strings.Split(text, "\n| `")[1:] {
		reason, _, _ := strings.Cut(row, "` |")
		if !want[reason] {
			t.Errorf("the page explains %q, which is no reason", reason)
		}
		delete(want, reason)
	}
	for reason := range want {
		t.Errorf("the page does not explain %q", reason)
	}
}

var alertRule = regexp.MustCompile(`- alert: (\w+)(?s:.*?)severity: (\w+)`)

// TestGuideNamesAlerts: each alert for Prometheus is on the page about watching, with its severity, and no other.
func TestGuideNamesAlerts(t *testing.T) {
	text := readPage(t, "configs/guide/11-watching.md").text
	alerts := alertRule.FindAllStringSubmatch(readPage(t, "configs/prometheus/tandem.rules.yml").text, -1)
	for _, a := range alerts {
		if strings.Count(text, "\n| `"+a[1]+"` | "+a[2]+" | ") != 1 {
			t.Errorf("want one row about %s, which is %s", a[1], a[2])
		}
	}
	if rows := strings.Count(text, "\n| `Tandem"); rows != len(alerts) || rows < 20 {
		t.Errorf("the table has %d alerts, and there are %d", rows, len(alerts))
	}
}

// TestGuideFirstPair runs what the guide says: the file of lb1, the command that makes that of lb2, and the check of both.
func TestGuideFirstPair(t *testing.T) {
	p := readPage(t, "configs/guide/2-first-pair.md")
	at := slices.IndexFunc(p.blocks, func(b pageBlock) bool { return b.language == "toml" })
	if at < 0 {
		t.Fatal("no file")
	}
	a, b := writeConfig(t, p.blocks[at].text), writeConfig(t, p.blocks[at].text)
	runPage(t, p, "sed", "/etc/tandem/tandem.toml", b)
	out, problems, err := execute(t, "check", a, b)
	if err != nil || !strings.Contains(out, "lb1") && !strings.Contains(out, "ok") {
		t.Errorf("%q, %q, %v", out, problems, err)
	}
	if lb2 := readText(t, b); !strings.Contains(lb2, `"lb2"`) || !strings.Contains(lb2, "= 100") {
		t.Errorf("the file of lb2 is\n%s", lb2)
	}
	server := filepath.Join(t.TempDir(), "tandem.toml")
	runPage(t, readPage(t, "configs/guide/3-real-servers.md"), "printf", "/etc/tandem/tandem.toml", server)
	if out, problems, err := execute(t, "check", server); err != nil {
		t.Errorf("%q, %q, %v", out, problems, err)
	}
}

// runPage runs the first command line of a page that begins with a program, with another file than the page's.
func runPage(t *testing.T, p *textPage, program, file, instead string) {
	t.Helper()
	for _, b := range p.blocks {
		for line := range strings.Lines(b.text) {
			if b.language == "sh" && strings.HasPrefix(line, program+" ") && strings.Contains(line, file) {
				if out, err := exec.Command("sh", "-c", strings.ReplaceAll(line, file, instead)).CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", line, err, out)
				}
				return
			}
		}
	}
	t.Errorf("%s has no command %s for %s", p.path, program, file)
}

func readText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
