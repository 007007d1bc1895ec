// SPDX-License-Identifier: Apache-2.0

// Package purity checks the module's import graph: which packages touch the world, and which know each other.
package purity

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/tandem-lvs/tandem/"

// A rule is one thing that a pure package does not do.
type rule uint8

const (
	noWorld rule = 1 << iota // imports a package that touches the world, also through another package of this module
	noClock                  // reads the clock or waits for it
	noGo                     // starts a goroutine
	noMutex                  // holds a lock

	pure = noWorld | noClock | noGo
)

// rules are the packages, and single files, that have rules.
var rules = map[string]rule{
	"cmd/tandem/internal/director/core":     pure | noMutex,
	"cmd/tandem/internal/director/history":  pure | noMutex,
	"cmd/tandem/internal/director/hooks":    pure | noMutex,
	"cmd/tandem/internal/director/plan":     pure | noMutex,
	"cmd/tandem/internal/director/revision": pure | noMutex,
	"cmd/tandem/internal/drill":             pure | noMutex,
	"cmd/tandem/internal/prober":            pure | noMutex,
	"cmd/tandem/internal/prober/page":       pure | noMutex,
	"cmd/tandem/internal/summary":           pure | noMutex,
	"cmd/tandem/internal/textdiff":          pure | noMutex,
	"cmd/tandem/internal/web/page":          pure | noMutex,
	"cmd/tandem/internal/director/report":   pure,
	"cmd/tandem/internal/peer/message":      pure | noMutex,
	"cmd/tandem/internal/importer":          pure | noMutex,
	"cmd/tandem/internal/director/loop.go":  noMutex | noGo,
	"cmd/tandem/internal/simulation":        noClock | noGo | noMutex,
	"vrrp":                                  pure,
	"garp":                                  pure,
	"lvs":                                   pure,
	"lvs/traffic":                           pure,
	"healthcheck":                           pure,
}

// vocabulary are packages that touch the world, of which pure packages may use the types: configuration and status.
var vocabulary = []string{"configs", "cmd/tandem/internal/control"}

// world are the imports that touch the world. A trailing slash stands for everything below.
var world = []string{
	"net", "net/http/", "os", "os/", "syscall", "golang.org/x/sys/", "golang.org/x/net/",
	"github.com/vishvananda/", "github.com/mdlayher/", "github.com/moby/ipvs", "github.com/google/nftables",
	"github.com/hashicorp/go-hclog",
}

// clock are the functions of package time that read the clock or wait for it.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// leaves are trees of packages that know neither each other nor the integration tests, not even in their own tests.
var leaves = []string{"vrrp", "healthcheck", "lvs", "garp"}

// A goPackage is what go list says about a package of this module.
type goPackage struct {
	ImportPath, Dir                    string
	GoFiles                            []string
	Imports, TestImports, XTestImports []string
}

// list returns the module's packages by their path in the module.
func list(t *testing.T) map[string]goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports,TestImports,XTestImports", module+"...")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := map[string]goPackage{}
	for decoder := json.NewDecoder(out); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		packages[strings.TrimPrefix(p.ImportPath, module)] = p
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("go list: %v", err)
	}
	return packages
}

// TestPurePackages: what decides is pure, so that it is tested without sleeping and nothing slow is ever in its way.
func TestPurePackages(t *testing.T) {
	packages := list(t)
	for name, rule := range rules {
		t.Run(name, func(t *testing.T) {
			folder, file := name, ""
			if path.Ext(name) == ".go" {
				folder, file = path.Split(name)
			}
			p, ok := packages[path.Clean(folder)]
			if !ok || file != "" && !slices.Contains(p.GoFiles, file) {
				t.Fatalf("there is no %s", name)
			}
			if rule&noWorld != 0 {
				for _, reached := range reach(packages, p.Imports, vocabulary...) {
					for _, offence := range impure(packages[reached].Imports) {
						t.Errorf("imports %s, through %s", offence, reached)
					}
				}
				for _, offence := range impure(p.Imports) {
					t.Errorf("imports %s", offence)
				}
			}
			for _, one := range p.GoFiles {
				if file != "" && file != one {
					continue
				}
				for _, offence := range offences(t, filepath.Join(p.Dir, one), nil, rule) {
					t.Error(offence)
				}
			}
		})
	}
}

// TestLeaves: each protocol stands by itself, and cmd/tandem alone knows them all.
func TestLeaves(t *testing.T) {
	packages := list(t)
	for name, p := range packages {
		leaf, _, _ := strings.Cut(name, "/")
		if !slices.Contains(leaves, leaf) {
			continue
		}
		for _, other := range reach(packages, slices.Concat(p.Imports, p.TestImports, p.XTestImports)) {
			if strays(leaf, other) {
				t.Errorf("%s imports %s", name, other)
			}
		}
	}
}

// strays reports whether a package does not belong to what a leaf may import.
func strays(leaf, other string) bool {
	top, _, _ := strings.Cut(other, "/")
	return top != leaf && (top == "integration" || slices.Contains(leaves, top))
}

// reach returns the module's packages among the imports, and those that these import in turn, by their path in the module.
// It does not go into those that are left out.
func reach(packages map[string]goPackage, imports []string, without ...string) []string {
	var found []string
	for queue := slices.Clone(imports); len(queue) > 0; queue = queue[1:] {
		name, ok := strings.CutPrefix(queue[0], module)
		if p, known := packages[name]; ok && known && !slices.Contains(found, name) && !slices.Contains(without, name) {
			found = append(found, name)
			queue = append(queue, p.Imports...)
		}
	}
	return found
}

// impure returns the imports that a pure package must not have.
func impure(imports []string) []string {
	return slices.DeleteFunc(slices.Clone(imports), func(name string) bool {
		return !slices.ContainsFunc(world, func(w string) bool {
			return name == w || name == strings.TrimSuffix(w, "/") || strings.HasSuffix(w, "/") && strings.HasPrefix(name, w)
		})
	})
}

// offences returns what a file does against a rule. The text of the file is read from disk where source is nil.
func offences(t *testing.T, file string, source any, rule rule) []string {
	t.Helper()
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, file, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{} // of the imports, by the name that the file gives them
	for _, spec := range tree.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = imported
	}
	var found []string
	offend := func(node ast.Node, what string) {
		at := set.Position(node.Pos())
		found = append(found, fmt.Sprintf("%s:%d %s", filepath.Base(at.Filename), at.Line, what))
	}
	ast.Inspect(tree, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.GoStmt:
			if rule&noGo != 0 {
				offend(n, "starts a goroutine")
			}
		case *ast.SelectorExpr:
			from, ok := n.X.(*ast.Ident)
			switch {
			case !ok:
			case rule&noClock != 0 && names[from.Name] == "time" && slices.Contains(clock, n.Sel.Name):
				offend(n, "calls time."+n.Sel.Name)
			case rule&noMutex != 0 && names[from.Name] == "sync" && strings.HasSuffix(n.Sel.Name, "Mutex"):
				offend(n, "has a sync."+n.Sel.Name)
			}
		}
		return true
	})
	return found
}

// TestRules: each rule finds what it forbids, and lets its neighbours pass.
func TestRules(t *testing.T) {
	for _, tt := range []struct {
		rule      rule
		bad, good string // what a file has
	}{
		{noClock, "import \"time\"; var x = time.Now()", "import \"time\"; var x = time.Unix(0, 0)"},
		{noClock, "import clock \"time\"; var x = clock.After", "import \"fmt\"; var x = fmt.Sprint"},
		{noGo, "func f() { go f() }", "func f() { f() }"},
		{noMutex, "import \"sync\"; var x sync.RWMutex", "import \"sync\"; var x sync.WaitGroup"},
	} {
		if got := offences(t, "bad.go", "package p; "+tt.bad, tt.rule); len(got) != 1 {
			t.Errorf("%s: %v, want one offence", tt.bad, got)
		}
		if got := offences(t, "bad.go", "package p; "+tt.bad, 0); len(got) != 0 {
			t.Errorf("%s, without a rule: %v, want none", tt.bad, got)
		}
		if got := offences(t, "good.go", "package p; "+tt.good, tt.rule); len(got) != 0 {
			t.Errorf("%s: %v, want none", tt.good, got)
		}
	}
	bad := []string{"net", "net/http", "net/http/httptest", "os", "os/exec", "syscall", "golang.org/x/sys/unix",
		"github.com/vishvananda/netlink", "github.com/hashicorp/go-hclog"}
	good := []string{"net/netip", "net/url", "time", "errors", "github.com/prometheus/client_golang/prometheus", module + "vrrp"}
	if got := impure(slices.Concat(good, bad)); !slices.Equal(got, bad) {
		t.Errorf("of the imports %v touch the world, want %v", got, bad)
	}
	packages := map[string]goPackage{"a": {Imports: []string{"fmt", module + "b"}}, "b": {Imports: []string{module + "c"}}, "c": {}}
	if got := reach(packages, []string{module + "a", "os"}); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("reached %v, want a, b and c", got)
	}
	if got := reach(packages, []string{module + "a"}, "b"); !slices.Equal(got, []string{"a"}) {
		t.Errorf("without b reached %v, want a", got)
	}
	for other, want := range map[string]bool{"vrrp/link": false, "lvs": true, "garp/wire": true, "integration/nstest": true, "configs": false} {
		if got := strays("vrrp", other); got != want {
			t.Errorf("vrrp must not import %s: %t, want %t", other, got, want)
		}
	}
}
