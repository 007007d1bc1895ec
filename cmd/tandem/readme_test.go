// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/configs"
)

// TestReadme: its files have no mistakes, its commands and flags exist, its links lead somewhere.
func TestReadme(t *testing.T) {
	const root = "../.."
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	files := regexp.MustCompile("(?ms)^```toml\n(.*?)^```").FindAllSubmatch(text, -1)
	for i, file := range files {
		directors := configs.Directors(configs.Surroundings{}, "README.md", file[1])
		if len(directors) == 0 {
			directors = []string{""}
		}
		for _, director := range directors {
			if _, err := configs.ParseIn(readmeSurroundings(director), "README.md", file[1]); err != nil {
				t.Errorf("file %d: %v", i+1, err)
			}
		}
	}
	commands := regexp.MustCompile("(?m)(?:^    |`)tandem ([a-z]+)((?: [a-z]+)?)([^#`\n]*)").FindAllSubmatch(text, -1)
	for _, c := range commands {
		cmd, _, err := newRoot().Find([]string{string(c[1]), strings.TrimSpace(string(c[2]))})
		if err != nil || cmd.Name() == "tandem" {
			t.Errorf("%s: there is no such command", c[0])
			continue
		}
		for _, flag := range regexp.MustCompile(`--([a-z-]+)`).FindAllSubmatch(c[3], -1) {
			if name := string(flag[1]); cmd.Flag(name) == nil && cmd.InheritedFlags().Lookup(name) == nil {
				t.Errorf("%s: there is no flag --%s", c[0], name)
			}
		}
	}
	links := regexp.MustCompile(`\]\(([^)]+)\)`).FindAllSubmatch(text, -1)
	for _, link := range links {
		if _, err := os.Stat(filepath.Join(root, string(link[1]))); err != nil {
			t.Error(err)
		}
	}
	if len(files) < 2 || len(commands) < 10 || len(links) < 4 {
		t.Errorf("found %d files, %d commands, %d links: too few to be all", len(files), len(commands), len(links))
	}
}

// readmeSurroundings are those of a machine whose variables are set, and that has nothing to include.
func readmeSurroundings(director string) configs.Surroundings {
	return configs.Surroundings{
		Name: director, Files: noFiles{},
		Variable: func(name string) (string, bool) { return "192.0.2.9", true },
	}
}

// noFiles is an empty directory.
type noFiles struct{}

func (noFiles) Match(string) ([]string, error) { return nil, nil }
func (noFiles) Read(string) ([]byte, error)    { return nil, os.ErrNotExist }
