// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestTypesHaveNames: other modules can name each type and each command of the messages, although the package that defines them is internal.
func TestTypesHaveNames(t *testing.T) {
	declared := func(dir string) (names []string) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", dir, err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, decl := range file.Decls {
				gen, ok := decl.(*ast.GenDecl)
				if !ok {
					continue
				}
				for _, spec := range gen.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						names = append(names, spec.Name.Name)
					case *ast.ValueSpec:
						if of, ok := spec.Type.(*ast.Ident); ok && of.Name == "Action" || filepath.Base(name) == "types.go" {
							names = append(names, spec.Names[0].Name)
						}
					}
				}
			}
		}
		return names
	}
	own, internal := declared("."), declared("../internal/control/api")
	for _, name := range internal {
		// A stream is the server's side of Client.Events. A Failure is an error here, and a Selection is the argument of a method.
		if !slices.Contains(own, name) && !slices.Contains([]string{"EventStream", "Failure", "Selection"}, name) {
			t.Errorf("package client has no name for %s", name)
		}
	}
}
