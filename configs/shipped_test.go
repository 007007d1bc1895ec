// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	burntsushi "github.com/BurntSushi/toml"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
)

// warned are the expected warnings of shipped files that show something unwise.
var warned = map[string][]string{
	"reference.toml": {"vrrp[2].auth_pass: is sent unencrypted: it protects against mistakes, not against attackers"},
}

// load parses a shipped file, which must have neither mistakes nor other warnings.
func load(t *testing.T, file string) *Config {
	t.Helper()
	return loadFor(t, "", file)
}

// loadFor is load for the director with this name.
func loadFor(t *testing.T, director, file string) *Config {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseIn(Surroundings{Name: director}, file, text)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range c.Warnings {
		got = append(got, w.Key+": "+w.Problem)
	}
	if !slices.Equal(got, warned[file]) {
		t.Errorf("warnings %q, want %q", got, warned[file])
	}
	return c
}

func TestEveryShippedFileParses(t *testing.T) {
	for _, file := range []string{
		"reference.toml", "minimal.toml", "director-a.toml", "director-b.toml", "dual-stack.toml"} {
		t.Run(file, func(t *testing.T) {
			c := load(t, file)
			if len(c.Routers) == 0 || len(c.Services) == 0 {
				t.Error("shows no pair at work: want a virtual router and a service")
			}
		})
	}
	shipped, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range shipped {
		if !strings.HasSuffix(f.Name(), ".toml") {
			continue
		}
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		directors := Directors(Surroundings{}, f.Name(), text)
		if f.Name() == "reference.toml" || len(directors) == 0 {
			directors = []string{""}
		}
		for _, director := range directors {
			loadFor(t, director, f.Name())
		}
	}
}

func TestOneFileForBothDirectors(t *testing.T) {
	a, b := loadFor(t, "lb1", "pair.toml"), loadFor(t, "lb2", "pair.toml")
	x, y := &a.Routers[0], &b.Routers[0]
	if x.Priority != 150 || y.Priority != 100 || x.UnicastPeers[0] != y.Source || y.UnicastPeers[0] != x.Source || y.Interface != "ens3" {
		t.Errorf("%+v\n%+v", x, y)
	}
	y.Priority, y.UnicastPeers, y.Source, y.Interface = x.Priority, x.UnicastPeers, x.Source, x.Interface
	b.LVS.Sync.Interface, b.Metrics, b.Name = a.LVS.Sync.Interface, a.Metrics, a.Name
	if !reflect.DeepEqual(a, b) {
		t.Errorf("they differ in more than that:\n%+v\n%+v", a, b)
	}
}

func TestThePairDiffersInNameAndPriorityOnly(t *testing.T) {
	a, b := load(t, "director-a.toml"), load(t, "director-b.toml")
	if a.Name == b.Name {
		t.Errorf("both are called %q", a.Name)
	}
	if a.Routers[0].Priority != 150 || b.Routers[0].Priority != 100 {
		t.Errorf("priorities %d and %d: want 150 and 100", a.Routers[0].Priority, b.Routers[0].Priority)
	}
	b.File, b.SHA256, b.Name, b.Routers[0].Priority = a.File, a.SHA256, a.Name, a.Routers[0].Priority
	if !reflect.DeepEqual(a, b) {
		t.Errorf("they differ in more than that:\n%+v\n%+v", a, b)
	}
}

// A reference is the shipped reference, with the lines of its keys.
type reference struct {
	text  string
	lines []string
	at    map[string][]int // the lines of a key, by its path in the schema, ascending
	tree  map[string]any
}

var (
	indices = regexp.MustCompile(`\[\d+\]`)
	named   = regexp.MustCompile(`^(check|director)\.[^.]+`)
)

func readReference(t *testing.T) reference {
	t.Helper()
	text, err := os.ReadFile("reference.toml")
	if err != nil {
		t.Fatal(err)
	}
	r := reference{text: string(text), lines: strings.Split(string(text), "\n"), at: make(map[string][]int)}
	if _, err := burntsushi.Decode(r.text, &r.tree); err != nil {
		t.Fatal(err)
	}
	for path, line := range toml.Locate(r.text) {
		key := named.ReplaceAllString(indices.ReplaceAllString(path, ""), "$1."+toml.AnyName)
		r.at[key] = append(r.at[key], line)
	}
	for _, lines := range r.at {
		slices.Sort(lines)
	}
	return r
}

// comment returns the block of comment lines above a line, as one line of prose.
func (r reference) comment(line int) string {
	first := line - 1
	for first > 0 && strings.HasPrefix(strings.TrimSpace(r.lines[first-1]), "#") {
		first--
	}
	var words []string
	for _, l := range r.lines[first : line-1] {
		words = append(words, strings.Fields(strings.TrimLeft(l, " #"))...)
	}
	return strings.Join(words, " ")
}

// shows reports whether a line of the reference gives the key this TOML value.
func (r reference) shows(line int, name, value string) bool {
	var want struct{ V any }
	if _, err := burntsushi.Decode("v="+value, &want); err != nil {
		return false
	}
	var row map[string]any
	if _, err := burntsushi.Decode(r.lines[line-1], &row); err != nil {
		return false
	}
	return reflect.DeepEqual(sameUnit(row[name]), sameUnit(want.V))
}

// sameUnit makes durations comparable that are written in different units.
func sameUnit(v any) any {
	if s, ok := v.(string); ok {
		if d, err := time.ParseDuration(s); err == nil {
			return d
		}
	}
	return v
}

func TestTheReferenceShowsEveryKey(t *testing.T) {
	r := readReference(t)
	for _, k := range fileTable().Keys {
		_, name := k.Split()
		lines := r.at[k.Path]
		if len(lines) == 0 {
			t.Errorf("%s: not in the reference", k.Path)
			continue
		}
		comment := strings.ToLower(r.comment(lines[0]))
		for _, words := range []string{strings.Join(strings.Fields(strings.TrimSuffix(k.Doc, ".")), " "), k.Values} {
			if !strings.Contains(comment, strings.ToLower(words)) {
				t.Errorf("%s: the comment at line %d does not say: %s", k.Path, lines[0], words)
			}
		}
		if k.Required != strings.Contains(comment, "required") {
			t.Errorf("%s: required is %t, the comment at line %d says otherwise", k.Path, k.Required, lines[0])
		}
		if k.Default != "" && !r.shows(lines[0], name, k.Default) {
			t.Errorf("%s: line %d does not show the default, %s", k.Path, lines[0], k.Default)
		}
	}
}

func TestTheReferenceShowsNothingButDefaults(t *testing.T) {
	r := readReference(t)
	dropped := 0
	for _, k := range fileTable().Keys {
		_, name := k.Split()
		if k.Default == "" {
			continue
		}
		for _, line := range r.at[k.Path] {
			if r.shows(line, name, k.Default) {
				r.lines[line-1] = ""
				dropped++
			}
		}
	}
	if dropped < 20 {
		t.Fatalf("only %d lines with defaults found", dropped)
	}
	full := load(t, "reference.toml")
	bare, err := Parse("reference.toml", []byte(strings.Join(r.lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	bare.SHA256, bare.Warnings = full.SHA256, full.Warnings
	if !reflect.DeepEqual(full, bare) {
		t.Errorf("without the lines that show a default it means something else:\n%+v\n%+v", full, bare)
	}
}

func TestEveryKeyIsDescribed(t *testing.T) {
	seen := make(map[string]bool)
	for _, k := range fileTable().Keys {
		switch {
		case seen[k.Path]:
			t.Errorf("%s: declared twice", k.Path)
		case k.Type == "":
			t.Errorf("%s: has no type", k.Path)
		case !strings.HasSuffix(k.Doc, "."):
			t.Errorf("%s: its doc is not a sentence: %q", k.Path, k.Doc)
		case k.Values == "" && k.Type != toml.TableName && k.Type != toml.ArrayOfTables:
			t.Errorf("%s: does not say what values it takes", k.Path)
		case k.Required && k.Default != "":
			t.Errorf("%s: is required and has a default", k.Path)
		}
		seen[k.Path] = true
	}
}
