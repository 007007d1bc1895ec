// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A goPackage is what go list says about a package.
type goPackage struct {
	Dir, ImportPath         string
	GoFiles, IgnoredGoFiles []string
}

// TestBrokenBuildsAreForTestsOnly: a build tag that breaks tandem changes one constant, and no program that people use is built with
// one. So nothing of it is in a normal binary.
func TestBrokenBuildsAreForTestsOnly(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=Dir,ImportPath,GoFiles,IgnoredGoFiles", "../../...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var tags []string
	for in := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := in.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, name := range p.IgnoredGoFiles {
			if tag := brokenTag(t, filepath.Join(p.Dir, name)); tag != "" {
				tags = append(tags, tag)
				wantConstants(t, p, name, tag)
			}
		}
		for _, name := range p.GoFiles {
			if tag := brokenTag(t, filepath.Join(p.Dir, name)); tag != "" {
				t.Errorf("%s of %s is in a normal build, and its tag is %s", name, p.ImportPath, tag)
			}
		}
	}
	slices.Sort(tags)
	want := []string{brokenAnnouncements.Tags, brokenHandOver.Tags, brokenSync.Tags}
	if slices.Sort(want); !slices.Equal(tags, want) {
		t.Errorf("tags that break tandem: %v, want %v", tags, want)
	}
	// What makes the binaries and the packages that people use.
	for _, file := range []string{"../../Makefile", "../../configs/package"} {
		if err := filepath.WalkDir(file, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			for line := range strings.Lines(string(text)) {
				if strings.Contains(line, "broken_") && strings.Contains(line, "build") {
					t.Errorf("%s builds what is broken: %s", path, line)
				}
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}
}

// brokenTag returns the tag of a file that is only in a broken build; empty: it is not.
func brokenTag(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !constraint.IsGoBuild(line) {
			continue
		}
		expr, err := constraint.Parse(strings.TrimSpace(line))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if tag, ok := expr.(*constraint.TagExpr); ok && strings.HasPrefix(tag.Tag, "broken_") {
			return tag.Tag
		}
	}
	return ""
}

// wantConstants checks that a file of a broken build has one constant that is true and nothing else, and that it is false otherwise.
func wantConstants(t *testing.T, p goPackage, name, tag string) {
	t.Helper()
	broken, value := onlyConstant(t, filepath.Join(p.Dir, name))
	if value != "true" {
		t.Errorf("%s: %s is %s, want true", p.ImportPath, broken, value)
	}
	if !slices.Contains(p.GoFiles, "whole.go") {
		t.Fatalf("%s has no whole.go beside %s", p.ImportPath, name)
	}
	whole, value := onlyConstant(t, filepath.Join(p.Dir, "whole.go"))
	if value != "false" || whole != broken {
		t.Errorf("%s: without the tag %s, the constant %s is %s, want %s to be false", p.ImportPath, tag, whole, value, broken)
	}
}

// onlyConstant returns the name and the value of the one constant that a file declares.
func onlyConstant(t *testing.T, file string) (name, value string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Decls) == 1 {
		if d, ok := f.Decls[0].(*ast.GenDecl); ok && d.Tok == token.CONST && len(d.Specs) == 1 {
			spec := d.Specs[0].(*ast.ValueSpec)
			if is, ok := spec.Values[0].(*ast.Ident); ok && len(spec.Names) == 1 {
				return spec.Names[0].Name, is.Name
			}
		}
	}
	t.Fatalf("%s declares something else than one constant", file)
	return "", ""
}

func TestCompare(t *testing.T) {
	for _, tt := range []struct {
		before, after snapshot
		want          string
	}{
		{snapshot{"a", "b"}, snapshot{"a", "b"}, ""},
		{snapshot{"a", "b"}, snapshot{"a"}, "- b"},
		{snapshot{"b"}, snapshot{"a", "b", "b"}, "+ a\n+ b"},
		{snapshot{"a", "c"}, snapshot{"b", "c"}, "- a\n+ b"},
		{nil, nil, ""},
	} {
		if got := compare(tt.before, tt.after); got != tt.want {
			t.Errorf("%q and %q: %q, want %q", tt.before, tt.after, got, tt.want)
		}
	}
}

func TestLocal(t *testing.T) {
	all := snapshot{"director-a: ip -oneline address: 2: eth0 inet 192.0.2.2/24", "director-a: ip -oneline address: 2: eth0 inet 192.0.2.100/24",
		"director-a: ipvs: TCP 192.0.2.100:2000 rr", "director-a: process: drill: running", "director-a: process: run: stopped",
		"director-a: router: {Name:web State:master}", "director-b: process: run: running"}
	if got, want := local(all), (snapshot{all[0], all[4]}); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
