// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"
)

// TestEachKeywordIsInTestdata: the configurations in testdata have each keyword of the table.
func TestEachKeywordIsInTestdata(t *testing.T) {
	seen := make(map[[2]string]bool)
	for _, file := range append(glob(t, "testdata/*.conf"), glob(t, "testdata/pair-*/*.conf")...) {
		c := newConverter(testImporter())
		c.convert(source(t, file, "lb1"))
		maps.Copy(seen, c.seen)
		text := string(source(t, file, "").Text)
		for _, k := range topKeywords { // the reader follows includes before anything else
			if strings.HasPrefix(k.name, "include") && strings.Contains("\n"+text, "\n"+k.name+" ") {
				seen[[2]string{"", k.name}] = true
			}
		}
	}
	if n := len(conversions(t)); n < 40 {
		t.Errorf("%d configurations: want at least 40", n)
	}
	var lacks []string
	for _, k := range keywords {
		if !seen[[2]string{k.block, k.name}] {
			lacks = append(lacks, filepath.Join(k.block, k.name))
		}
	}
	if len(lacks) > 0 {
		t.Errorf("%d of %d keywords are in no configuration:\n%s", len(lacks), len(keywords), strings.Join(lacks, "\n"))
	}
}
