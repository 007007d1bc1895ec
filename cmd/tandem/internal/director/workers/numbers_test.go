// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
)

func TestNumbersInFiles(t *testing.T) {
	dir := t.TempDir()
	for i, c := range []struct {
		why, text string
		want      core.Number
	}{
		{"nothing", "", core.Number{}},
		{"white space", " \n", core.Number{}},
		{"zero", "0\n", core.Number{}},
		{"a number", "17", core.Number{Value: 17}},
		{"a number on a line", "  -17 \r\n", core.Number{Value: -17}},
		{"a sign", "+3", core.Number{Value: 3}},
		{"two numbers", "1 2", core.Number{Problem: `"1 2" is no integer of 32 bits: taken as 0`}},
		{"a fraction", "1.5", core.Number{Problem: `"1.5" is no integer of 32 bits: taken as 0`}},
		{"garbage", "\x00\xff", core.Number{Problem: `"\x00\xff" is no integer of 32 bits: taken as 0`}},
		{"too large a number", "2147483648", core.Number{Problem: `"2147483648" is no integer of 32 bits: taken as 0`}},
		{"a long file", strings.Repeat("0", 65), core.Number{Problem: "is longer than 64 bytes: taken as 0"}},
	} {
		path := filepath.Join(dir, string(rune('a'+i)))
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := readNumber(path); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.why, got, c.want)
		}
	}
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]core.Number{
		filepath.Join(dir, "missing"): {},
		dir:                           {Problem: "is no regular file: taken as 0"},
		pipe:                          {Problem: "is no regular file: taken as 0"},
		filepath.Join(dir, "a", "b"):  {Problem: "cannot be read: not a directory: taken as 0"},
	} {
		if got := readNumber(path); got != want {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
}

func FuzzParseNumber(f *testing.F) {
	for _, seed := range []string{"", "0", "-7\n", "+3", "2147483648", "1e3", "0x10", "\xff", strings.Repeat(" ", 65)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := parseNumber(text)
		if got.Problem != "" && got.Value != 0 {
			t.Errorf("%q: %+v", text, got)
		}
		if strings.ContainsFunc(got.Problem, func(r rune) bool { return r < ' ' }) {
			t.Errorf("%q: the problem is not fit for a log: %q", text, got.Problem)
		}
	})
}
