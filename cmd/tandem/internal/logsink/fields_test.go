// SPDX-License-Identifier: Apache-2.0

package logsink

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestFieldNames(t *testing.T) {
	for key, want := range map[string]string{
		"router": "ROUTER", "servers-up": "SERVERS_UP", "orphan_grace": "ORPHAN_GRACE", "priority": "TANDEM_PRIORITY", "unit": "TANDEM_UNIT",
		"_PID": "PID", "": "TANDEM_", "64bit": "TANDEM_64BIT", "größe": "GR__E", "a=b\nc": "A_B_C", strings.Repeat("x", 80): strings.Repeat("X", 64),
	} {
		if got := fieldName(key); got != want {
			t.Errorf("%q: %s, want %s", key, got, want)
		}
	}
}

func TestDerivedFields(t *testing.T) {
	for _, tt := range []struct {
		key, value string
		want       []field
	}{
		{"server", "www/[2001:db8::11]:80", []field{{"SERVICE", "www"}}},
		{"server", "192.0.2.11:80", nil},
		{"target", "www/192.0.2.11:80", []field{{"SERVER", "www/192.0.2.11:80"}, {"SERVICE", "www"}}},
		{"target", "www/192.0.2.11:80 #3", []field{{"SERVER", "www/192.0.2.11:80"}, {"SERVICE", "www"}}},
		{"target", "script /usr/bin/uplink #2", nil},
		{"subject", "server www/192.0.2.11:80", []field{{"SERVER", "www/192.0.2.11:80"}, {"SERVICE", "www"}}},
		{"subject", "service www", []field{{"SERVICE", "www"}}},
		{"subject", "router web", []field{{"ROUTER", "web"}}},
		{"subject", "sync_group all", []field{{"SYNC_GROUP", "all"}}},
		{"subject", "director lb1", nil},
		{"file", "/etc/tandem/x", nil},
	} {
		if got := derived(tt.key, tt.value); !slices.Equal(got, tt.want) {
			t.Errorf("%s=%s: %v, want %v", tt.key, tt.value, got, tt.want)
		}
	}
}

const root = "../../../.."

// keysOf returns the keys of the log calls in the program's source, with a place of each.
func keysOf(t *testing.T) map[string]string {
	t.Helper()
	keys := make(map[string]string)
	first := map[string]int{"Trace": 1, "Debug": 1, "Info": 1, "Warn": 1, "Error": 1, "Log": 2, "log": 2, "logOrder": 2, "write": 2, "With": 0}
	set := token.NewFileSet()
	note := func(args []ast.Expr) {
		for i := 0; i < len(args); i += 2 {
			if literal, ok := args[i].(*ast.BasicLit); ok {
				key, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				keys[key] = set.Position(literal.Pos()).String()
			}
		}
	}
	eachFile(t, set, func(path string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				switch f := n.Fun.(type) {
				case *ast.SelectorExpr:
					if from, ok := first[f.Sel.Name]; ok && len(n.Args) > from {
						note(n.Args[from:])
					}
				case *ast.Ident: // append(pairs, "key", value)
					if f.Name != "append" {
						break
					}
					if to, ok := n.Args[0].(*ast.Ident); ok && (to.Name == "args" || to.Name == "pairs") {
						note(n.Args[1:])
					}
				}
			case *ast.CompositeLit: // []any{"key", value}
				if list, ok := n.Type.(*ast.ArrayType); ok && len(n.Elts) > 1 && len(n.Elts)%2 == 0 {
					if of, ok := list.Elt.(*ast.Ident); ok && of.Name == "any" {
						note(n.Elts)
					}
				}
			}
			return true
		})
	})
	return keys
}

// eachFile calls do with each file of the program's source.
func eachFile(t *testing.T, set *token.FileSet, do func(path string, file *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{"configs", "integration", ".git"}, d.Name()):
			return fs.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		do(path, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestOneWayToTheLog: each process has its logger from this package, so that all lines go to the journal where there is one.
func TestOneWayToTheLog(t *testing.T) {
	opened := make(map[string]string)
	eachFile(t, token.NewFileSet(), func(path string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			f, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			from, _ := f.X.(*ast.Ident)
			switch {
			case from == nil:
			case from.Name == "logsink" && (f.Sel.Name == "Open" || f.Sel.Name == "Direct"):
				opened[filepath.Base(path)] = f.Sel.Name
			case from.Name == "hclog" && slices.Contains([]string{"New", "NewInterceptLogger", "Default", "L"}, f.Sel.Name) &&
				filepath.Base(filepath.Dir(path)) != "logsink":
				t.Errorf("%s makes a logger of its own: take it from logsink", path)
			}
			return true
		})
	})
	if opened["run.go"] != "Open" || opened["election.go"] != "Open" || opened["realserver.go"] != "Direct" {
		t.Errorf("opened by %v", opened)
	}
}

// TestEachKeyIsAField: the keys of all log calls are fields that journald takes, each of its own, and those that the documentation
// names exist.
func TestEachKeyIsAField(t *testing.T) {
	keys, name := keysOf(t), regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)
	if len(keys) < 70 {
		t.Fatalf("the source has %d keys: it is read wrongly", len(keys))
	}
	fields := make(map[string]string)
	for key, at := range keys {
		is := fieldName(key)
		if !name.MatchString(is) || reserved[is] {
			t.Errorf("%s: %q becomes %s, which journald refuses or means otherwise", at, key, is)
		}
		if other, taken := fields[is]; taken {
			t.Errorf("%s: %q becomes %s, as %q does at %s", at, key, is, other, keys[other])
		}
		fields[is] = key
	}
	for _, is := range documented(t) {
		if fields[is] == "" && is != "COMPONENT" && is != "LOGGED_AT" {
			t.Errorf("the guide names the field %s: no log call has it", is)
		}
	}
	if fields["VRID"] == "" || fields["ROUTER"] == "" || fields["SERVICE"] == "" || fields["SERVER"] == "" || fields["REASON"] == "" {
		t.Error("the fields that operators filter by are missing")
	}
}

// documented returns the fields that the guide names.
func documented(t *testing.T) (names []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "configs/guide/11-watching.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("`([A-Z][A-Z_]+)=`").FindAllSubmatch(text, -1) {
		names = append(names, string(m[1]))
	}
	if len(names) < 6 {
		t.Errorf("the guide names %d fields: %q", len(names), names)
	}
	return names
}
