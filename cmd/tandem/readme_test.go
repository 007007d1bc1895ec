// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/configs"
)

// TestReadme: its configurations have no mistakes, its commands with their flags and arguments exist, its links lead somewhere.
func TestReadme(t *testing.T) {
	p := readPage(t, "README.md")
	if n := p.check(t); n.files < 1 || n.commands < 20 || n.links < 12 {
		t.Errorf("found %+v: too few to be all", n)
	}
	if first := readPage(t, "configs/guide/2-first-pair.md"); p.firstBlock("toml") != first.firstBlock("toml") || p.firstBlock("") != first.firstBlock("") {
		t.Error("the file and the status of the first pair differ from those in the guide")
	}
	for _, guide := range guidePages(t)[1:] {
		if !strings.Contains(p.text, "]("+guide.path+")") {
			t.Errorf("the README does not lead to %s", guide.path)
		}
	}
}

// firstBlock returns the first block of a language that has words of tandem: the drawing of a network has none.
func (p *textPage) firstBlock(language string) string {
	for _, b := range p.blocks {
		if b.language == language && strings.Contains(b.text, "lb1") && !strings.Contains(b.text, "└") {
			return b.text
		}
	}
	return ""
}

// TestTopologyPages: the commands and links of the pages about networks are right.
func TestTopologyPages(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(repository, "configs/topologies/*/README.md"))
	if err != nil || len(files) < 6 {
		t.Fatalf("%d pages, %v", len(files), err)
	}
	for _, file := range append(files, filepath.Join(repository, "configs/topologies/README.md")) {
		path, err := filepath.Rel(repository, file)
		if err != nil {
			t.Fatal(err)
		}
		readPage(t, path).check(t)
	}
}

// TestAlertsNameCommands: the commands in the texts of the alerts exist.
func TestAlertsNameCommands(t *testing.T) {
	p, n := readPage(t, "configs/prometheus/tandem.rules.yml"), 0
	for _, span := range codeSpan.FindAllStringSubmatch(p.text, -1) {
		for _, c := range shellCommands(span[1]) {
			n += p.checkCommand(t, c, false)
		}
	}
	if n < 20 {
		t.Errorf("found %d commands: too few to be all", n)
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
