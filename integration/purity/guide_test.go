// SPDX-License-Identifier: Apache-2.0

package purity

import (
	"go/ast"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const guide = "../../configs/guide/"

// readPage returns a page of the guide.
func readPage(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(guide + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	findingRow  = regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|")
	findingName = regexp.MustCompile("`([a-z]+(?:-[a-z]+)+)`")
)

// TestGuideNamesFindings: the page for an outage explains each finding of the doctor, and names no other.
func TestGuideNamesFindings(t *testing.T) {
	findings, rows := make(map[string]bool), make(map[string]bool)
	for _, folder := range examined {
		addFindings(findings, sources(t, folder, false))
	}
	text := readPage(t, "8-troubleshooting.md")
	_, table, _ := strings.Cut(text, "\n## What tandem doctor finds\n")
	for _, row := range findingRow.FindAllStringSubmatch(table, -1) {
		if rows[row[1]] {
			t.Errorf("two rows explain %s", row[1])
		}
		rows[row[1]] = true
	}
	for _, id := range slices.Sorted(maps.Keys(findings)) {
		if !rows[id] {
			t.Errorf("no row of the table explains %s: write what it means and what to do", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		if !findings[id] {
			t.Errorf("the table explains %s, which the doctor does not find", id)
		}
	}
	for _, id := range findingName.FindAllStringSubmatch(text+readPage(t, "11-watching.md"), -1) {
		if !findings[id[1]] {
			t.Errorf("the guide names %s, which is no finding of the doctor", id[1])
		}
	}
}

// unlogged are folders that write no log of the product: those of tests, and configs, where Warn is a mistake in a file.
var unlogged = []string{"integration", "configs", "bin", "testdata", "probetest"}

// productFiles returns the files of the product by their folders, without tests.
func productFiles(t *testing.T) map[string][]*ast.File {
	t.Helper()
	packages := make(map[string][]*ast.File)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (slices.Contains(unlogged, d.Name()) || strings.HasPrefix(d.Name(), ".") && path != "../.."):
			return fs.SkipDir
		case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
			folder := strings.TrimPrefix(filepath.Dir(path), "../../")
			packages[folder] = append(packages[folder], parse(t, path, nil))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

// logLines returns what the product logs.
func logLines(t *testing.T) (all []logLine) {
	t.Helper()
	packages := productFiles(t)
	var relayed []string
	for _, folder := range slices.Sorted(maps.Keys(packages)) {
		source := readSource(folder, packages[folder])
		if other := filledElsewhere[folder]; other != "" {
			maps.Copy(source.values, map[string][]value{".Message": nil})
			more := readSource(other, packages[other])
			for _, v := range more.values[".Message"] {
				for _, text := range more.texts(v, 0) {
					all = append(all, logLine{text, "", other})
				}
			}
		}
		lines, unread := source.lines()
		all = append(all, lines...)
		for _, place := range unread {
			if slices.Contains(relays, place) {
				relayed = append(relayed, place)
			} else if filledElsewhere[folder] == "" {
				t.Errorf("%s: the message of this log line cannot be read from the source; give it words", place)
			}
		}
	}
	if len(relayed) != len(relays) {
		t.Errorf("%q pass on messages of others, want %q", relayed, relays)
	}
	return all
}

var quoted = regexp.MustCompile(`"([^"]+)"`)

// TestGuideQuotesTheProduct: what the page for an outage quotes is what the product prints, so that a reader can compare it.
func TestGuideQuotesTheProduct(t *testing.T) {
	var texts []string
	for _, files := range productFiles(t) {
		inspect(files, func(node ast.Node) {
			if lit, ok := node.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil {
					texts = append(texts, text)
				}
			}
		})
	}
	quotes := quoted.FindAllStringSubmatch(inCode.ReplaceAllString(readPage(t, "8-troubleshooting.md"), ""), -1)
	for _, q := range quotes {
		for _, part := range strings.Split(q[1], anyText) {
			if !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, strings.TrimSpace(part)) }) {
				t.Errorf("the page quotes %q, and nothing prints %q", q[1], part)
			}
		}
	}
	if len(quotes) < 15 {
		t.Errorf("found %d quotes: too few to be all", len(quotes))
	}
}

// A lineEntry explains log lines on their page of the guide.
type lineEntry struct {
	messages []string
	levels   []string
	text     string
}

var (
	lineStart = regexp.MustCompile("^- ((?:`[^`]+`(?:, )?)+) \\(([a-z, ]+)\\): (.*)$")
	inCode    = regexp.MustCompile("`([^`]+)`")
)

// lineEntries reads the page about log lines.
func lineEntries(t *testing.T) (all []lineEntry) {
	t.Helper()
	var items []string
	for line := range strings.Lines(readPage(t, "9-log-lines.md")) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "- `"):
			items = append(items, line)
		case strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "    ") && len(items) > 0:
			items[len(items)-1] += " " + strings.TrimSpace(line)
		}
	}
	for _, item := range items {
		start := lineStart.FindStringSubmatch(item)
		if start == nil {
			t.Errorf("want - `message` (level): what it means, not %s", item)
			continue
		}
		e := lineEntry{levels: strings.Split(start[2], ", "), text: start[3]}
		for _, m := range inCode.FindAllStringSubmatch(start[1], -1) {
			e.messages = append(e.messages, m[1])
		}
		all = append(all, e)
	}
	return all
}

// matches reports whether two messages can be the same. Each may have anyText, which stands for a text that is not empty.
func matches(a, b string) bool {
	if !strings.Contains(a+b, anyText) {
		return a == b
	}
	return covers(a, b) || covers(b, a)
}

// covers reports whether a message is one that a pattern with at most one anyText can be.
func covers(pattern, message string) bool {
	before, after, found := strings.Cut(pattern, anyText)
	return found && len(message) > len(before)+len(after) && strings.HasPrefix(message, before) && strings.HasSuffix(message, after)
}

// TestGuideExplainsLogLines: the page about log lines explains each message that the product logs, with its level, and no other.
func TestGuideExplainsLogLines(t *testing.T) {
	lines, entries := logLines(t), lineEntries(t)
	if len(lines) < 150 || len(entries) < 150 {
		t.Errorf("found %d messages in the source and %d on the page: too few to be all", len(lines), len(entries))
	}
	said := make(map[string]bool)
	for _, l := range lines {
		found := false
		for _, e := range entries {
			if !slices.ContainsFunc(e.messages, func(m string) bool { return matches(m, l.message) }) {
				continue
			}
			found = true
			if level := strings.ToLower(l.level); level != "" && !slices.Contains(e.levels, level) {
				t.Errorf("%q is logged with level %s in %s, and the page says %s", l.message, level, l.place, strings.Join(e.levels, ", "))
			}
		}
		if !found && !said[l.message] {
			said[l.message] = true
			t.Errorf("configs/guide/9-log-lines.md does not explain %q (%s): write what it means and what to do", l.message, l.place)
		}
	}
	seen := make(map[string]bool)
	for _, e := range entries {
		for _, m := range e.messages {
			at := slices.IndexFunc(lines, func(l logLine) bool { return matches(m, l.message) })
			if at < 0 {
				t.Errorf("the page explains %q, which nothing logs", m)
			}
			if seen[m] {
				t.Errorf("the page explains %q twice", m)
			}
			seen[m] = true
		}
		for _, level := range e.levels {
			if !slices.ContainsFunc(levels, func(l string) bool { return strings.ToLower(l) == level }) {
				t.Errorf("%q: there is no level %s", e.messages, level)
			}
		}
		if slices.Contains(e.levels, "error") && !strings.Contains(e.text, "**Do:**") && !strings.Contains(e.text, "above") {
			t.Errorf("%q is an error, and the page does not say what to do", e.messages)
		}
	}
}

// TestLogLineRules: messages are found in each form in which they are logged.
func TestLogLineRules(t *testing.T) {
	for source, want := range map[string]string{
		`func f() { x.log.Warn("a", "b", c) }`:                                             "Warn a",
		`func f() { o.Log.Error("a " + b) }`:                                               "Error a …",
		`func f() { l.log.write(hclog.Info, "a") }`:                                        "Info a",
		`func f() { x.journal.Info("a") }`:                                                 "Info a",
		`func f() { s.log(Warn, "a", "b", c) }`:                                            "Warn a",
		`func f(m string) { x.log.Info(m) }; func g() { f("a"); s.f("b") }`:                "Info a; Info b",
		`func f(i int, m string) { x.log.Info("is " + m) }; func g() { m := "a"; f(1, m)}`: "Info is a",
		`func f() { say := func(m string) { log.Info(m) }; say("a") }`:                     "Info a",
		`func f() { m := "a"; if b { m = "c" }; log.Info(m + "!") }`:                       "Info a!; Info c!",
		`func f() { log := r.log.Debug; log("a") }`:                                        "Debug a",
		`func f() { log := r.log.Debug; log = r.log.Info; log("a") }`:                      " a",
		`const m = "a"; func f() { log.Info(m) }`:                                          "Info a",
		`func f() { log.Info(n.Message) }; var n = N{Message: "a"}`:                        "Info a",
		`func f() { log.Info(g()) }`:                                                       "unread f",
		`func f() { err.Error(); x.Write(b, "a"); t.Error("b"); log.Println("c") }`:        "",
	} {
		lines, unread := readSource("p", []*ast.File{parse(t, "x.go", "package p; "+source)}).lines()
		var got []string
		for _, l := range lines {
			got = append(got, l.level+" "+l.message)
		}
		for _, place := range unread {
			got = append(got, "unread "+strings.TrimPrefix(place, "p, "))
		}
		if all := strings.Join(got, "; "); all != want {
			t.Errorf("%s: %q, want %q", source, all, want)
		}
	}
}
