// SPDX-License-Identifier: Apache-2.0

package core

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Nothing may keep a step waiting: no mutex, no clock, no goroutine, no disk, no network. The loop has no mutex either.
func TestPure(t *testing.T) {
	impure := []string{"sync", "net", "os", "syscall", "context", "golang.org/x/sys/unix", "github.com/vishvananda/netlink", "github.com/hashicorp/go-hclog"}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "../loop.go") {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		core := !strings.HasPrefix(file, "..")
		for _, i := range f.Imports {
			path := strings.Trim(i.Path.Value, `"`)
			if path == "sync" || core && slices.Contains(impure, path) {
				t.Errorf("%s imports %s", file, path)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", file)
			case *ast.SelectorExpr:
				if of, ok := n.X.(*ast.Ident); ok && core && of.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "After", "Sleep"}, n.Sel.Name) {
					t.Errorf("%s calls time.%s", file, n.Sel.Name)
				}
			}
			return true
		})
	}
}
