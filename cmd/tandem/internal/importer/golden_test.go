// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/integration/lab"
)

var update = flag.Bool("update", false, "write the golden files")

// disk are the files of testdata.
type disk struct{}

func (disk) Match(pattern string) ([]string, error) { return filepath.Glob(pattern) }
func (disk) Read(name string) ([]byte, error)       { return os.ReadFile(name) }

func testImporter() Importer { return Importer{Files: disk{}, ScriptUser: "keepalived_script"} }

// importerOf is testImporter for a file. On the machine of a file whose name has "root-scripts", keepalived runs scripts as root.
func importerOf(file string) Importer {
	i := testImporter()
	if strings.Contains(file, "root-scripts") {
		i.ScriptUser = "root"
	}
	return i
}

func source(t *testing.T, file, id string) Source {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return Source{File: file, Text: text, ID: id}
}

// conversions returns what becomes of each configuration in testdata, by the name of its golden files.
func conversions(t *testing.T) map[string]Result {
	t.Helper()
	all := make(map[string]Result)
	for _, file := range glob(t, "testdata/*.conf") {
		all[strings.TrimSuffix(file, ".conf")] = importerOf(file).Keepalived(source(t, file, "lb1"))
	}
	for _, dir := range glob(t, "testdata/pair-*") {
		a, b := source(t, filepath.Join(dir, "a.conf"), "lb1"), Source{}
		if _, err := os.Stat(filepath.Join(dir, "b.conf")); err == nil {
			b = source(t, filepath.Join(dir, "b.conf"), "lb2")
		} else { // both directors have one file, with conditions
			b = source(t, filepath.Join(dir, "a.conf"), "lb2")
		}
		all[filepath.Join(dir, "pair")] = testImporter().Pair(a, b)
	}
	for _, file := range glob(t, "testdata/*.ipvsadm") {
		all[strings.TrimSuffix(file, ".ipvsadm")] = testImporter().Ipvsadm(source(t, file, ""))
	}
	return all
}

func glob(t *testing.T, pattern string) []string { return globOf(t, pattern) }

func globOf(t testing.TB, pattern string) []string {
	t.Helper()
	all, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestGolden: each configuration becomes the golden file, which tandem accepts and which is formatted, with the golden notes.
func TestGolden(t *testing.T) {
	all := conversions(t)
	for _, name := range slices.Sorted(keysOf(all)) {
		r := all[name]
		checkFile(t, name+".toml", r.Text)
		checkFile(t, name+".notes", lines(r.Refused, "refused: ")+lines(r.Notes, ""))
		accepted(t, name, r)
	}
}

// accepted checks that a result is a file that tandem accepts for each of its directors, formatted; or that it is refused.
func accepted(t *testing.T, name string, r Result) {
	t.Helper()
	if len(r.Refused) > 0 {
		if r.Text != "" {
			t.Errorf("%s: refused, and converted", name)
		}
		return
	}
	formatted, _, err := configs.Format(name, []byte(r.Text))
	if err != nil || formatted != r.Text {
		t.Errorf("%s: not formatted: %v", name, err)
	}
	s := configs.Surroundings{Variable: func(string) (string, bool) { return "/run/credentials", true }}
	directors := configs.Directors(s, name, []byte(r.Text))
	if len(directors) == 0 {
		directors = []string{""}
	}
	for _, s.Name = range directors {
		if _, err := configs.ParseIn(s, name, []byte(r.Text)); err != nil {
			t.Errorf("%s %s: %v", name, s.Name, err)
		}
	}
}

func keysOf[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func lines(notes []Note, before string) string {
	var b strings.Builder
	for _, n := range notes {
		b.WriteString(before + n.String() + "\n")
	}
	return b.String()
}

// checkFile compares a text with a golden file. An empty text has no file.
func checkFile(t *testing.T, name, text string) {
	t.Helper()
	if *update {
		var err error
		if text == "" {
			err = os.RemoveAll(name)
		} else {
			err = os.WriteFile(name, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil && (text != "" || !os.IsNotExist(err)) {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s\nrun go test -update, and read the diff", name, text, want)
	}
}

// TestSamples: the samples of Debian's package are converted, or refused with a reason.
func TestSamples(t *testing.T) {
	dir := lab.Folder(t, "keepalived", "/usr/share/doc/keepalived/samples")
	samples := glob(t, filepath.Join(dir, "keepalived.conf.*"))
	if len(samples) < 20 {
		t.Errorf("%d samples in %s: want at least 20", len(samples), dir)
	}
	for _, file := range samples {
		r := testImporter().Keepalived(source(t, file, "high"))
		accepted(t, file, r)
		if r.Text == "" && len(r.Refused) == 0 {
			t.Errorf("%s: neither converted nor refused", file)
		}
	}
}
