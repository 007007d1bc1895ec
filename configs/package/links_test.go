// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path"
	"strings"
	"testing"
	"time"
)

// TestLinks: each link of an installed page leads to a file of the package, or to a file of the checkout at the homepage.
func TestLinks(t *testing.T) {
	all, err := contents(os.DirFS(top), stubParts(), "deb", "1.0.0", time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, f := range all {
		known["/"+f.path] = true
	}
	inside, outside := 0, 0
	for _, f := range all {
		if path.Ext(f.path) != ".md" {
			continue
		}
		for _, part := range strings.Split(string(f.text), "](")[1:] {
			to, _, _ := strings.Cut(part, ")")
			to, _, _ = strings.Cut(to, "#")
			rest, home := strings.CutPrefix(to, homepage+"/blob/main/")
			switch {
			case home:
				outside++
				if _, err := os.Stat(path.Join(top, rest)); err != nil {
					t.Errorf("/%s leads to %s: %v", f.path, to, err)
				}
			case to == "" || strings.Contains(to, "://"): // a heading of the same page, or another site
			default:
				inside++
				if !path.IsAbs(to) {
					to = path.Join("/", path.Dir(f.path), to)
				}
				if !known[to] {
					t.Errorf("/%s leads to %s, which the package does not have", f.path, to)
				}
			}
		}
	}
	if inside < 80 || outside < 2 {
		t.Errorf("found %d links to files of the package and %d to the homepage: too few to be all", inside, outside)
	}
}

// TestRelinked: a link keeps its heading. What is no link to a file stays as it is.
func TestRelinked(t *testing.T) {
	installed := map[string]string{
		"configs/reference.toml": docs + "examples/reference.toml", "configs/guide/b.md": docs + "guide/b.md",
		"configs/tandem.service": "usr/lib/systemd/system/tandem.service",
	}
	for text, want := range map[string]string{
		"[r](../reference.toml)":         "[r](../examples/reference.toml)",
		"[b](b.md#two-masters), [c](#c)": "[b](b.md#two-masters), [c](#c)",
		"[u](../tandem.service)":         "[u](/usr/lib/systemd/system/tandem.service)",
		"[s](../../cmd/x.go)":            "[s](" + homepage + "/blob/main/cmd/x.go)",
		"[w](https://example.com/a.md)":  "[w](https://example.com/a.md)",
	} {
		page := file{path: docs + "guide/a.md", from: "configs/guide/a.md", text: []byte(text)}
		if got := string(relinked(page, installed)); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}
