// SPDX-License-Identifier: Apache-2.0

// Package shipped tests the files that the project ships for other programs, with these programs.
package shipped

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/integration/lab"
)

const configs = "../../configs/"

// open opens the files of a folder. So go test knows that the result depends on them, although another program reads them.
func open(t *testing.T, folder string) {
	t.Helper()
	files, err := os.ReadDir(configs + folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, err := os.ReadFile(filepath.Join(configs, folder, f.Name())); err != nil {
			t.Fatal(err)
		}
	}
}

// run runs a program in the folder of the files for Prometheus.
func run(t *testing.T, program string, args ...string) {
	t.Helper()
	open(t, "prometheus")
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = configs + "prometheus"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", filepath.Base(program), strings.Join(args, " "), err, out)
	}
}

// TestAlerts: Prometheus accepts the rules and the part of its configuration, and each alert fires when it should.
func TestAlerts(t *testing.T) {
	promtool := lab.Program(t, "prometheus", "promtool")
	run(t, promtool, "check", "config", "--syntax-only", "scrape.yml")
	run(t, promtool, "check", "rules", "--lint-fatal", "tandem.rules.yml")
	run(t, promtool, "test", "rules", "tandem.rules.test.yml")
}

// TestDashboardQueries: Prometheus accepts the queries of the dashboard.
func TestDashboardQueries(t *testing.T) {
	promtool := lab.Program(t, "prometheus", "promtool")
	text, err := os.ReadFile(configs + "grafana/tandem.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	// promtool knows no dashboards: each query becomes a rule.
	rules, n := bytes.NewBufferString("groups:\n- name: dashboard\n  rules:\n"), 0
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			n++
			expr := strings.NewReplacer("$__rate_interval", "5m", "$pair", ".*").Replace(target.Expr)
			fmt.Fprintf(rules, "  - record: query:%d\n    expr: %s\n", n, strings.ReplaceAll(fmt.Sprintf("'%s'", expr), "\n", " "))
		}
	}
	if n < 40 {
		t.Fatalf("only %d queries are found", n)
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, rules.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, promtool, "check", "rules", file)
}
