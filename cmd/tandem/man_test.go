// SPDX-License-Identifier: Apache-2.0

package main

import (
	"go/parser"
	"go/token"
	"os"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/man"
)

//go:generate go test . -run ^TestManPages$ -update

// TestManPages: the shipped manual pages are what the commands and the schema say. With -update it writes them.
func TestManPages(t *testing.T) {
	source, err := parser.ParseFile(token.NewFileSet(), "main.go", nil, parser.PackageClauseOnly|parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("../../configs/minimal.toml")
	if err != nil {
		t.Fatal(err)
	}
	commands, err := man.Commands(newRoot(), source.Doc.Text(), "Processes", "Signals", "Exit codes")
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"../../configs/man/tandem.8": commands, "../../configs/man/tandem.toml.5": man.Configuration(string(example)),
	} {
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s is not what the commands and the schema say: run go generate ./cmd/tandem (%v)", file, err)
		}
	}
}
