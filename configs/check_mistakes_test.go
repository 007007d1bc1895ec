// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// A checkKey is a key of a check in checks.toml.
type checkKey struct {
	line   int // of the file, from 0 on
	end    int // the line behind its value
	name   string
	inStep bool
}

// shippedKeys returns the lines of checks.toml, and the keys of its checks.
func shippedKeys(t *testing.T) (lines []string, keys []checkKey) {
	t.Helper()
	text, err := os.ReadFile("checks.toml")
	if err != nil {
		t.Fatal(err)
	}
	lines = strings.Split(string(text), "\n")
	header := ""
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		if strings.HasPrefix(line, "[") {
			header = line
			continue
		}
		name, value, is := strings.Cut(line, "=")
		if !is || strings.HasPrefix(line, "#") || !strings.Contains(header, "check.") {
			continue
		}
		k := checkKey{line: i, name: strings.TrimSpace(name), inStep: strings.HasSuffix(header, ".steps]]")}
		if strings.TrimSpace(value) == `"""` {
			for i++; !strings.HasSuffix(lines[i], `"""`); i++ {
			}
		}
		k.end = i + 1
		keys = append(keys, k)
	}
	return lines, keys
}

// Each key of each shipped check, written wrongly in each way: the file is refused, and a mistake names the line and the key.
func TestMistakesInShippedChecks(t *testing.T) {
	lines, keys := shippedKeys(t)
	if len(keys) < 45 {
		t.Fatalf("%d keys were found in the checks of checks.toml", len(keys))
	}
	ways := []struct {
		name  string
		write func(k checkKey) []string // in the place of the lines of the key
		want  func(k checkKey) string   // in the mistake
	}{
		{
			"misspelt",
			func(k checkKey) []string {
				return append([]string{strings.Replace(lines[k.line], k.name, k.name+"s", 1)}, lines[k.line+1:k.end]...)
			},
			func(k checkKey) string { return k.name + "s: unknown key; did you mean `" + k.name + "`?" },
		},
		{
			"value of another kind",
			func(k checkKey) []string { return []string{k.name + " = 1979-05-27"} },
			func(k checkKey) string { return "." + k.name + ": want " },
		},
		{
			"no value",
			func(k checkKey) []string { return []string{k.name + " ="} },
			func(checkKey) string { return ": not TOML: " },
		},
		{
			"empty value",
			func(k checkKey) []string { return []string{k.name + ` = ""`} },
			func(k checkKey) string { return "." + k.name + ": " },
		},
		{
			"list of nothing",
			func(k checkKey) []string { return []string{k.name + " = []"} },
			func(k checkKey) string { return "." + k.name + ": " },
		},
		{
			"table",
			func(k checkKey) []string { return []string{k.name + " = { value = 1 }"} },
			func(k checkKey) string { return "." + k.name },
		},
	}
	for _, k := range keys {
		for _, way := range ways {
			if k.name == "send" && !k.inStep && way.name == "empty value" {
				continue // to send nothing is no mistake
			}
			text := slices.Concat(lines[:k.line], way.write(k), lines[k.end:])
			_, err := Parse("t.toml", []byte(strings.Join(text, "\n")))
			at, want := fmt.Sprintf("t.toml:%d: ", k.line+1), way.want(k)
			var ms Mistakes
			if !errors.As(err, &ms) || !slices.ContainsFunc(strings.Split(ms.Error(), "\n"), func(m string) bool {
				return strings.HasPrefix(m, at) && strings.Contains(m, want)
			}) {
				t.Errorf("%s, %s: %q: got %v, want %s…%s", k.name, way.name, lines[k.line], err, at, want)
			}
		}
		text := slices.Concat(lines[:k.end], lines[k.line:k.end], lines[k.end:])
		if _, err := Parse("t.toml", []byte(strings.Join(text, "\n"))); err == nil || !strings.Contains(err.Error(), "has already been defined") {
			t.Errorf("%s, twice: %v", k.name, err)
		}
	}
}

// The keys of a protocol have no meaning for a ping: the mistake says so, or names the type that has them.
func TestKeysOfOtherTypes(t *testing.T) {
	lines, keys := shippedKeys(t)
	anyType := []string{"type", "address", "port", "bind_if"}
	tried := make(map[string]bool)
	for _, k := range keys {
		if k.inStep || slices.Contains(anyType, k.name) || tried[k.name] {
			continue
		}
		tried[k.name] = true
		text := service("[service.check]\ntype = \"ping\"\n" + strings.Join(lines[k.line:k.end], "\n"))
		_, err := Parse("t.toml", []byte(text))
		want := "t.toml:6: service[0].check." + k.name + `: has no meaning for a check of type "ping"`
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", k.name, err, want)
		}
	}
	if len(tried) < 15 {
		t.Errorf("only %d keys were tried", len(tried))
	}
}
