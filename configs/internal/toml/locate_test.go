// SPDX-License-Identifier: Apache-2.0

package toml

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

func TestLocate(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       map[string]int
	}{
		{"keys and comments", "# a = 1\na = 1 # b = 2\n\n  b=2\n", map[string]int{"a": 2, "b": 4}},
		{"carriage returns", "a = 1\r\nb = 2\r\n", map[string]int{"a": 1, "b": 2}},
		{"byte order mark", "\ufeffa = 1\n", map[string]int{"a": 1}},
		{"no line end at the end", "a = 1\nb = 2", map[string]int{"a": 1, "b": 2}},
		{"tables", "[a]\nx = 1\n[ b . c ]\nx = 1\n", map[string]int{"a": 1, "a.x": 2, "b": 3, "b.c": 3, "b.c.x": 4}},
		{
			"arrays of tables", "[[s]]\nn = 1\n[s.check]\nn = 2\n[[s.server]]\nn = 3\n[[s.server]]\nn = 4\n[[s]]\n[[s.server]]\nn = 5\n",
			map[string]int{
				"s": 1, "s[0]": 1, "s[0].n": 2, "s[0].check": 3, "s[0].check.n": 4,
				"s[0].server": 5, "s[0].server[0]": 5, "s[0].server[0].n": 6, "s[0].server[1]": 7, "s[0].server[1].n": 8,
				"s[1]": 9, "s[1].server": 10, "s[1].server[0]": 10, "s[1].server[0].n": 11,
			},
		},
		{"dotted keys", "a.b = 1\na . c.d = 2\n", map[string]int{"a": 1, "a.b": 1, "a.c": 2, "a.c.d": 2}},
		{
			"quoted keys", "\"a b\" = 1\n'c.d' = 2\n\"e\\\"\\u0066\" = 3\n\"\" = 4\n\"plain\" = 5\n",
			map[string]int{`"a b"`: 1, `"c.d"`: 2, `"e\"f"`: 3, `""`: 4, "plain": 5},
		},
		{"keys that look like values", "1 = 2\n3.14 = 'x'\ntrue = false\n", map[string]int{"1": 1, "3": 2, "3.14": 2, "true": 3}},
		{
			"arrays", "a = [1, 2,\n  3, # four, 4\n  [5,\n 6]\n]\nb = []\n",
			map[string]int{"a": 1, "a[0]": 1, "a[1]": 1, "a[2]": 2, "a[3]": 3, "a[3][0]": 3, "a[3][1]": 4, "b": 6},
		},
		{
			"arrays of inline tables", "a = [\n  { x = 1, y = 2 },\n  {x.z = ']'},\n]\nb = 1\n",
			map[string]int{"a": 1, "a[0]": 2, "a[0].x": 2, "a[0].y": 2, "a[1]": 3, "a[1].x": 3, "a[1].x.z": 3, "b": 5},
		},
		{"inline tables over lines", "a = { b = 1,\n  c = { d = 2 }, # e\n}\n", map[string]int{"a": 1, "a.b": 1, "a.c": 2, "a.c.d": 2}},
		{
			"strings that hide things", "a = \"# ] } \\\" = \"\nb = '\\'\nc = ''\nd = \"\"\n[t]\ne = 1\n",
			map[string]int{"a": 1, "b": 2, "c": 3, "d": 4, "t": 5, "t.e": 6},
		},
		{
			"strings over lines", "a = \"\"\"\n[x]\ny = 1 \\\"\"\" \\\n\"\"\"\"\"\nb = '''\n\\''''\nc = \"\"\"\\\\\"\"\"\nd = 1\n",
			map[string]int{"a": 1, "b": 5, "c": 7, "d": 8},
		},
		{"dates with a space", "a = 1979-05-27 07:32:00\nb = [1979-05-27 07:32:00, 2]\n", map[string]int{"a": 1, "b": 2, "b[0]": 2, "b[1]": 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var tree map[string]any
			if _, err := toml.Decode(tt.text, &tree); err != nil {
				t.Fatalf("the row is not TOML: %v", err)
			}
			if got := Locate(tt.text); !maps.Equal(got, tt.want) {
				t.Errorf("located %v\nwant    %v", got, tt.want)
			}
		})
	}
}

func TestNesting(t *testing.T) {
	for text, want := range map[string]int{
		"":                                       0,
		"a = 1 # [[[[":                           0,
		"a = '[[' # ]":                           0,
		"a = [[1], [2]]":                         2,
		"a = {b = [{c = 1}]}":                    3,
		"a = [\"]\", [\"]\", ['''\n]''', [1]]]]": 4,
	} {
		if got := nesting(text); got != want {
			t.Errorf("nesting(%q) = %d, want %d", text, got, want)
		}
	}
}

// unlocated returns a key or element of the tree that has no line, or "".
func unlocated(lines map[string]int, p string, v any) string {
	if line := lines[p]; p != "" && line < 1 {
		return p
	}
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if missing := unlocated(lines, joinKey(p, key), value); missing != "" {
				return missing
			}
		}
	case []map[string]any:
		for i, value := range v {
			if missing := unlocated(lines, joinIndex(p, i), value); missing != "" {
				return missing
			}
		}
	case []any:
		for i, value := range v {
			if missing := unlocated(lines, joinIndex(p, i), value); missing != "" {
				return missing
			}
		}
	}
	return ""
}

func FuzzLocate(f *testing.F) {
	files, err := filepath.Glob("../../*.toml")
	if err != nil || len(files) == 0 {
		f.Fatalf("found %d shipped files: %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, s := range []string{
		"", "\"a\\nb\" = 1\n\"a\\nb\" = 2", "x = \"\\u0001\"\nname = \"\\n\"", "[[vrrp]]\n[[vrrp]]",
		"a = \"\"\"\n\"\"\"\"\n'b'.\"c\\u0041\" = {d = [{}, {e = ''}]}", "x = 1e9\ny = inf\nz = 07:32:00",
		"[[service]]\nvirtual = '[::1%eth0]:80'\nserver = [[]]", "\ufeff[[service]]\r\nvirtual = {fwmark = 0}", "a.b.c = 1\n[a.d]\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if invalidUTF8(string(text)) >= 0 || nesting(string(text)) > maxNesting {
			return
		}
		lines := Locate(string(text))
		last := 1 + strings.Count(string(text), "\n")
		for p, line := range lines {
			if line < 1 || line > last {
				t.Fatalf("%s: line %d of %d", p, line, last)
			}
		}
		tree, err := decode(string(text))
		if err != nil {
			return
		}
		if p := unlocated(lines, "", tree); p != "" {
			t.Fatalf("%s has no line among %v", p, lines)
		}
	})
}
