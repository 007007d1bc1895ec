// SPDX-License-Identifier: Apache-2.0

package shipped

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestManPages: mandoc has nothing to say about the manual pages, and shows what is in them.
func TestManPages(t *testing.T) {
	mandoc := lab.Program(t, "mandoc", "mandoc")
	open(t, "man")
	for file, want := range map[string]string{
		"tandem.8":      "tandem drain SERVICE/SERVER",
		"tandem.toml.5": "Values: trace, debug, info, warn or error. Default: \"info\".",
	} {
		// The pages have no date, because they depend on their sources only.
		out, _ := exec.CommandContext(t.Context(), mandoc, "-T", "lint", "-W", "warning", configs+"man/"+file).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if !strings.Contains(line, "WARNING: missing date") {
				t.Errorf("%s", line)
			}
		}
		if len(out) == 0 {
			t.Errorf("%s: mandoc has not looked: it should miss the date", file)
		}
		shown, err := exec.CommandContext(t.Context(), mandoc, "-T", "ascii", "-O", "width=200", configs+"man/"+file).Output()
		if err != nil || !strings.Contains(plain(string(shown)), want) {
			t.Errorf("%s: %v: %q is not shown", file, err, want)
		}
	}
}

// plain removes the overstrikes by which mandoc prints bold and underlined characters.
func plain(text string) string {
	var out []rune
	for _, r := range text {
		if r == '\b' {
			out = out[:len(out)-1]
			continue
		}
		out = append(out, r)
	}
	return string(out)
}
