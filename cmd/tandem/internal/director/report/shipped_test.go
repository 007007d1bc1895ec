// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shipped is the folder of the shipped configurations.
const shipped = "../../../../../configs/"

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(shipped + file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// withPrometheus adds the metrics that Prometheus makes itself.
func withPrometheus(all map[string]series) map[string]series {
	all["up"] = series{}
	all["ALERTS"] = series{"alertname": {"TandemNoMaster": true}, "alertstate": {"firing": true}, "router": {}, "service": {}}
	return all
}

// rule finds an alert in the rules: its name, its expression, and its texts.
var rule = regexp.MustCompile(`(?m)^      - alert: (\w+)\n {8}expr: (.*)\n(?: {8}for: \w+\n)? {8}labels: \{severity: (?:critical|warning)\}\n` +
	` {8}annotations:\n((?: {10}.*\n)+)`)

// TestAlertsUseMetricsThatExist: each metric, label and value in the rules of Prometheus is one that a director exports.
func TestAlertsUseMetricsThatExist(t *testing.T) {
	text := read(t, "prometheus/tandem.rules.yml")
	tests := read(t, "prometheus/tandem.rules.test.yml")
	all := withPrometheus(exported(t))
	rules := rule.FindAllStringSubmatch(text, -1)
	if n := strings.Count(text, "alert:"); len(rules) != n || n < 20 {
		t.Fatalf("this test understands %d of %d alerts", len(rules), n)
	}
	for _, r := range rules {
		name, expr, texts := r[1], r[2], r[3]
		for _, wrong := range mistakes(all, expr, texts) {
			t.Errorf("%s: %s", name, wrong)
		}
		if !strings.Contains(texts, "summary: ") || !strings.Contains(texts, "description: ") {
			t.Errorf("%s has no summary or no description", name)
		}
		if !strings.Contains(tests, "- alertname: "+name+"\n") {
			t.Errorf("%s has no test in which it fires", name)
		}
		if !strings.Contains(tests, "{alertname: "+name+", ") {
			t.Errorf("%s has no test in which it does not fire", name)
		}
	}
	// The tests are about series that exist, or they prove nothing.
	for _, s := range regexp.MustCompile(`series: '([^']*)'`).FindAllStringSubmatch(tests, -1) {
		metrics, _ := parseExpr(s[1])
		is, ok := all[metrics[0].metric]
		if !ok {
			t.Errorf("the tests have %s, which is not exported", metrics[0].metric)
		}
		for _, m := range metrics[0].matchers {
			if is[m.label] == nil && !slices.Contains(targetLabels, m.label) {
				t.Errorf("the tests have %s with a label %s that does not exist", metrics[0].metric, m.label)
			}
		}
		for label := range is {
			if !slices.ContainsFunc(metrics[0].matchers, func(m matcher) bool { return m.label == label }) {
				t.Errorf("the tests have %s without its label %s", s[1], label)
			}
		}
	}
}

// A dashboard is what this test reads of a dashboard of Grafana.
type dashboard struct {
	UID, Title    string
	SchemaVersion int
	Panels        []panel
	Templating    struct{ List []variable }
	Annotations   struct {
		List []struct{ Name, Expr, TitleFormat, TextFormat string }
	}
}

type variable struct{ Name, Type, Definition string }

type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               struct{ Type, UID string }
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []struct{ RefID, Expr, LegendFormat string }
	FieldConfig              struct{ Defaults struct{ Unit string } }
}

// TestDashboardUsesMetricsThatExist: each panel shows something that a director exports, and Grafana can lay the panels out.
func TestDashboardUsesMetricsThatExist(t *testing.T) {
	var board dashboard
	if err := json.Unmarshal([]byte(read(t, "grafana/tandem.json")), &board); err != nil {
		t.Fatal(err)
	}
	all := withPrometheus(exported(t))
	if board.UID == "" || board.Title == "" || board.SchemaVersion == 0 || len(board.Panels) < 20 {
		t.Errorf("the dashboard is incomplete: %q, %q, schema %d, %d panels", board.UID, board.Title, board.SchemaVersion, len(board.Panels))
	}
	for _, v := range board.Templating.List {
		if metric, ok := strings.CutPrefix(v.Definition, "label_values("); ok {
			metric, _, _ = strings.Cut(metric, ",")
			if all[metric] == nil {
				t.Errorf("the variable %s: %s is not exported", v.Name, metric)
			}
		}
	}
	for _, a := range board.Annotations.List {
		for _, wrong := range mistakes(all, a.Expr, a.TitleFormat+a.TextFormat) {
			t.Errorf("the annotation %s: %s", a.Name, wrong)
		}
	}
	ids := make(map[int]bool)
	used := make(map[string]string) // the panel of each cell of the grid
	for _, p := range board.Panels {
		if ids[p.ID] || p.ID == 0 || p.Title == "" {
			t.Errorf("the panel %d %q needs a title, and an id of its own", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				cell := fmt.Sprintf("%d,%d", x, y)
				if used[cell] != "" || x >= 24 {
					t.Fatalf("the panel %s is on top of %q, or beside the page", p.Title, used[cell])
				}
				used[cell] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		for _, wrong := range p.mistakes(all) {
			t.Errorf("the panel %s: %s", p.Title, wrong)
		}
	}
}

// mistakes returns what is wrong with one panel.
func (p panel) mistakes(all map[string]series) (wrong []string) {
	switch {
	case len(p.Targets) == 0:
		wrong = append(wrong, "it shows nothing")
	case p.GridPos.W == 0 || p.GridPos.H == 0:
		wrong = append(wrong, "it has no size")
	case p.Description == "":
		wrong = append(wrong, "it has no description")
	case p.Datasource.UID != "${datasource}":
		wrong = append(wrong, "its data source is not the variable datasource")
	case p.Type != "state-timeline" && p.FieldConfig.Defaults.Unit == "":
		wrong = append(wrong, "it has no unit")
	}
	refs := make(map[string]bool)
	for _, target := range p.Targets {
		if refs[target.RefID] || target.RefID == "" {
			wrong = append(wrong, "a query needs a refId of its own")
		}
		refs[target.RefID] = true
		if !strings.Contains(target.Expr, `pair=~"$pair"`) {
			wrong = append(wrong, target.Expr+" does not select the pair")
		}
		wrong = append(wrong, mistakes(all, target.Expr, target.LegendFormat)...)
	}
	return wrong
}
