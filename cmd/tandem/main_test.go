// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// execute runs tandem with args and returns what it printed and how it ended.
func execute(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&errs)
	err = root.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

// writeConfig writes a configuration file and returns its path.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tandem.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// writerIn returns a function that writes a file into a folder and returns its path.
func writerIn(t *testing.T, dir string) func(name, text string) string {
	return func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
}

func TestEveryCommandHelpsWithAnExample(t *testing.T) {
	var visit func(all []*cobra.Command)
	visit = func(all []*cobra.Command) {
		for _, cmd := range all {
			if !cmd.Hidden && cmd.Name() != "help" && cmd.Example == "" {
				t.Errorf("%s --help has no example", cmd.CommandPath())
			}
			visit(cmd.Commands())
		}
	}
	visit(newRoot().Commands())
}

func TestWrongCommandLinesAreRefusedWithAHint(t *testing.T) {
	for args, want := range map[string]string{
		"status x":          "wrong number of arguments: 1; write tandem status [flags], and see tandem status --help",
		"drain":             "wrong number of arguments: 0; write tandem drain SERVICE/SERVER [flags], and see tandem drain --help",
		"check":             "wrong number of arguments: 0; write tandem check FILE… [flags], and see tandem check --help",
		"status --jso":      "unknown flag: --jso: see tandem status --help",
		"realserver chek":   `unknown command "chek": see tandem realserver --help`,
		"realserver run -z": "unknown shorthand flag: 'z' in -z: see tandem realserver run --help",
	} {
		if _, _, err := execute(t, strings.Fields(args)...); err == nil || err.Error() != want {
			t.Errorf("tandem %s: got %v, want %s", args, err, want)
		}
	}
}
