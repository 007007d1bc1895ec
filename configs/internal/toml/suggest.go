// SPDX-License-Identifier: Apache-2.0

package toml

import (
	"slices"
	"strings"
)

// nearest returns the candidate that was probably intended, or "".
func nearest(word string, candidates []string) string {
	word = strings.ToLower(word)
	best, least := "", 1+min(len(word)/3+1, 3)
	for _, c := range candidates {
		if len(word)-len(c) >= least {
			continue // too far away; saves work for a long word
		}
		switch d := distance(word, strings.ToLower(c)); {
		case d < least:
			best, least = c, d
		case best == "" && len(word) >= 3 && strings.HasPrefix(c, word):
			best = c // an abbreviation; a nearer candidate replaces it
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of neighbours that make a into b.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(last[j]+1, row[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// Suggest returns the hint for a word that is none of the candidates: the nearest one, or "".
func Suggest(word string, candidates []string) string {
	if c := nearest(word, candidates); c != "" {
		return "did you mean `" + oneLine(c) + "`?"
	}
	return ""
}

// unknownKey returns the hint for a key that a table with the keys here does not have. It names the table that has such a key,
// because in TOML a key is easily put below the wrong header. Otherwise it names the nearest key here.
func unknownKey(name string, here []string, keys []Key) string {
	var homes []string
	for _, k := range keys {
		if parent, key := k.Split(); key == name && key != AnyName {
			homes = append(homes, header(parent, keys))
		}
	}
	if len(homes) > 0 {
		return "it is a key of " + Alternatives(homes)
	}
	if hint := Suggest(name, here); hint != "" {
		return hint
	}
	return "the keys here are " + strings.Join(here, ", ")
}

// header writes a table of the schema as it is opened in a file.
func header(table string, keys []Key) string {
	i := slices.IndexFunc(keys, func(k Key) bool { return k.Path == table })
	switch {
	case i < 0:
		return "the top of the file"
	case keys[i].Type == ArrayOfTables:
		return "[[" + table + "]]"
	}
	return "[" + table + "]"
}

// Alternatives joins words in prose: a, b or c.
func Alternatives(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
