// SPDX-License-Identifier: Apache-2.0

package purity

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// examined are the packages that find faults. carded are the tests that may have rows of the scorecard.
var (
	examined = []string{"cmd/tandem/internal/diagnosis", "cmd/tandem/internal/doctor"}
	carded   = []string{"integration", "integration/native", "integration/machine"}
)

// TestScorecard: each finding of the doctor has a row in the scorecard, which causes the fault and tries the advice, and each row is of
// a finding that exists.
func TestScorecard(t *testing.T) {
	findings, rows := make(map[string]bool), make(map[string]bool)
	for _, folder := range examined {
		addFindings(findings, sources(t, folder, false))
	}
	for _, folder := range carded {
		addRows(rows, sources(t, folder, true))
	}
	for _, id := range slices.Sorted(maps.Keys(findings)) {
		if !rows[id] {
			t.Errorf("the scorecard has no row for %s: add one to integration/native, or, if it needs another kernel, to integration or integration/machine", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		if !findings[id] {
			t.Errorf("the scorecard has a row for %s, which the doctor does not find", id)
		}
	}
}

// sources parses the files of a folder: its tests, or the others.
func sources(t *testing.T, folder string, tests bool) (all []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("..", "..", folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") == tests {
			all = append(all, parse(t, name, nil))
		}
	}
	if len(all) == 0 {
		t.Fatalf("no files in %s", folder)
	}
	return all
}

func parse(t *testing.T, name string, source any) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// inspect calls f for each node of the files.
func inspect(files []*ast.File, f func(ast.Node)) {
	for _, file := range files {
		ast.Inspect(file, func(node ast.Node) bool { f(node); return true })
	}
}

// addFindings adds the texts that files give to fields ID of findings.
func addFindings(ids map[string]bool, files []*ast.File) {
	inspect(files, func(node ast.Node) {
		switch n := node.(type) {
		case *ast.CompositeLit: // without a type in a list or a map
			for _, field := range n.Elts {
				if n.Type == nil || nameOf(n.Type) == "Finding" {
					addField(ids, field, "ID")
				}
			}
		case *ast.AssignStmt:
			addField(ids, n, "ID")
		}
	})
}

// addRows adds what rows of the scorecard want: their fields Want or finding, the parameter want of functions that make a row, and the
// third argument of scorecard.Row.
func addRows(ids map[string]bool, files []*ast.File) {
	wants := make(map[string]int) // the position of the parameter, by the name of the function
	inspect(files, func(node ast.Node) {
		switch n := node.(type) {
		case *ast.FuncDecl:
			addHelper(wants, n.Name, n.Type)
		case *ast.AssignStmt:
			for i, right := range n.Rhs {
				if made, ok := right.(*ast.FuncLit); ok {
					addHelper(wants, n.Lhs[i], made.Type)
				}
			}
		}
	})
	inspect(files, func(node ast.Node) {
		addField(ids, node, "Want")
		addField(ids, node, "finding")
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return
		}
		at, ok := wants[nameOf(call.Fun)]
		if on, qualified := call.Fun.(*ast.SelectorExpr); qualified && nameOf(on.X) == "scorecard" && on.Sel.Name == "Row" {
			at, ok = 2, true
		}
		if ok && at < len(call.Args) {
			addText(ids, call.Args[at])
		}
	})
}

// addHelper adds a function that makes a row, and has the parameter want.
func addHelper(wants map[string]int, name ast.Expr, f *ast.FuncType) {
	if f.Results == nil || len(f.Results.List) != 1 || !strings.EqualFold(nameOf(f.Results.List[0].Type), "Breakage") {
		return
	}
	at := 0
	for _, field := range f.Params.List {
		for _, param := range field.Names {
			if param.Name == "want" {
				wants[nameOf(name)] = at
			}
			at++
		}
	}
}

// nameOf returns a name without what qualifies it.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// addField adds the text that a node gives to a field, in a composite literal or an assignment.
func addField(texts map[string]bool, node ast.Node, field string) {
	switch n := node.(type) {
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == field {
			addText(texts, n.Value)
		}
	case *ast.AssignStmt:
		for i, left := range n.Lhs {
			if to, ok := left.(*ast.SelectorExpr); ok && to.Sel.Name == field && len(n.Rhs) == len(n.Lhs) {
				addText(texts, n.Rhs[i])
			}
		}
	}
}

func addText(texts map[string]bool, e ast.Expr) {
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		if text, err := strconv.Unquote(lit.Value); err == nil {
			texts[text] = true
		}
	}
}

// TestScorecardRules: findings and rows are found in each form in which they are written, and nothing else is.
func TestScorecardRules(t *testing.T) {
	for source, want := range map[string]string{
		`var f = Finding{ID: "a", What: "b"}`:                   "a",
		`func g() { f.ID = "a"; f.What = "b" }`:                 "a",
		`func g() { f.What, f.ID, f.Why = "b", "a", "c" }`:      "a",
		`func g() { f.ID, f.Mend = "a", h("b"); f.ID = "c" }`:   "a c",
		`var m = map[int]diagnosis.Finding{3: {ID: "a"}}`:       "a",
		`var t = Target{ID: "a"}`:                               "",
		`var s = Sync{ID: m.ID}; func g() { f.ID, _ = h("b") }`: "",
	} {
		ids := make(map[string]bool)
		addFindings(ids, []*ast.File{parse(t, "x.go", "package p; "+source)})
		wantTexts(t, source, ids, want)
	}
	const helpers = `
func (c card) differs(name string, on, changed *D, old, new, want, says string) breakage { return breakage{Want: want} }
func other(name, want string) int { return 0 }
func g() {
	filtered := func(name, want string) scorecard.Breakage { return scorecard.Breakage{Name: name, Want: want} }
	ROW
}`
	for row, want := range map[string]string{
		`c.Run([]breakage{{Name: "b", Want: "a", Says: "c"}})`:         "a",
		`c.differs("b", x, y, "c", "d", "a", "e")`:                     "a",
		`filtered("b", "a")`:                                           "a",
		`scorecard.Row(t, "b", "a", "c", "d", 0)`:                      "a",
		`rows[0].finding = "a"`:                                        "a",
		`other("b", "c"); p.want("b"); x.want = "d"; Row(t, "b", "c")`: "",
	} {
		ids := make(map[string]bool)
		addRows(ids, []*ast.File{parse(t, "x.go", "package p; "+strings.Replace(helpers, "ROW", row, 1))})
		wantTexts(t, row, ids, want)
	}
}

func wantTexts(t *testing.T, source string, got map[string]bool, want string) {
	t.Helper()
	if all := strings.Join(slices.Sorted(maps.Keys(got)), " "); all != want {
		t.Errorf("%s: %q, want %q", source, all, want)
	}
}
