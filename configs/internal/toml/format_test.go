// SPDX-License-Identifier: Apache-2.0

package toml

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestFormat(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"only blank lines", "\n \n\n", ""},
		{"equals signs", "a=1\nlong  =  2\n\nb   =3", "a    = 1\nlong = 2\n\nb = 3\n"},
		{"a comment ends a column", "a=1\n# c\nlong=2\n", "a = 1\n# c\nlong = 2\n"},
		{"quoted and dotted keys", "'a=b' . c=1\n\"d\"= 2\n", "'a=b' . c = 1\n\"d\"       = 2\n"},
		{"blank lines", "\n\na = 1\n\n\n\nb = 2\n\n", "a = 1\n\nb = 2\n"},
		{"between tables", "a = 1\n[ t ]\nb = 2\n# of u\n# and more\n[[u]]\n[u.v]\n", "a = 1\n\n[t]\nb = 2\n\n# of u\n# and more\n[[u]]\n\n  [u.v]\n"},
		{"depth", "[[s]]\n\n[s.check]\na=1\n\n[[s.server]]\nb=1\n\n[lvs.sync]\n    c=1\n\n[s.server.tunnel]\n",
			"[[s]]\n\n  [s.check]\n  a = 1\n\n  [[s.server]]\n  b = 1\n\n[lvs.sync]\nc = 1\n\n    [s.server.tunnel]\n"},
		{"comments keep their column", "a = 1        # one\nbc= 2        # two\n", "a  = 1       # one\nbc = 2       # two\n"},
		{"comments without room", "a = 1 # one\nbc=2 # two\nd = 5\ne = 6# six\n", "a  = 1  # one\nbc = 2  # two\nd  = 5\ne  = 6  # six\n"},
		{"comments with tabs", "a = 1\t# one\n[t]\t # two\n", "a = 1  # one\n\n[t]  # two\n"},
		{"a comment above a nested table", "[[s]]\n# c\n[s.t]\n# d\n\n  # e\na = 1\n", "[[s]]\n\n  # c\n  [s.t]\n# d\n\n  # e\n  a = 1\n"},
		{"values over lines stay", "a=[\n 1, # one  \n\t2,\n]   # end\nb=1\ncc='''\n x  \n'''\n", "a = [\n 1, # one  \n\t2,\n]   # end\nb  = 1\ncc = '''\n x  \n'''\n"},
		{"what looks like a comment", "a='# no' # yes\nb=\"\"\"# no\n# no\"\"\"\n", "a = '# no'  # yes\nb = \"\"\"# no\n# no\"\"\"\n"},
		{"carriage returns", "\ufeffa=1\r\n\r\n[t]\r\nb=2 # c\r\n", "a = 1\n\n[t]\nb = 2  # c\n"},
		{"inline tables and dates", "a={b=1,c=[2]}\nd=1979-05-27 07:32:00   #c\n", "a = {b=1,c=[2]}\nd = 1979-05-27 07:32:00 #c\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, got, err := Format("t.toml", []byte(tt.text))
			if err != nil || got != tt.want {
				t.Errorf("%v\n%q\nwant\n%q", err, got, tt.want)
			}
		})
	}
	if _, _, err := Format("t.toml", []byte("a = 1\na = 2\n")); err == nil || !strings.HasPrefix(err.Error(), "t.toml:2: ") {
		t.Errorf("no TOML: %v", err)
	}
}

func TestDiff(t *testing.T) {
	lines, _, err := Format("t.toml", []byte("a=1\n\n\nb = 2\nc = 3\nd = 4\ne = 5\nf = 6\ng = 7\nh = 8\ni = 9\nj  = 0\n[t]\nk = 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	const want = `--- t.toml
+++ t.toml (formatted)
@@ -1,6 +1,5 @@
-a=1
+a = 1
 
-
 b = 2
 c = 3
 d = 4
@@ -9,6 +8,7 @@
 g = 7
 h = 8
 i = 9
-j  = 0
+j = 0
+
 [t]
 k = 1`
	if got := strings.Join(Diff("t.toml", lines), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestShippedFilesAreFormatted: people begin with these files. The reference is generated: it has a comment above each key.
func TestShippedFilesAreFormatted(t *testing.T) {
	files, err := filepath.Glob("../../*.toml")
	more, failed := filepath.Glob("../../topologies/*/*.toml")
	if err != nil || failed != nil || len(files) < 5 || len(more) < 5 {
		t.Fatalf("%v, %v, %d files, %d files", err, failed, len(files), len(more))
	}
	for _, file := range append(files, more...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines, formatted, err := Format(file, text)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(file) != "reference.toml" && formatted != string(text) {
			t.Errorf("%s is not formatted: run tandem fmt\n%s", file, strings.Join(Diff(file, lines), "\n"))
		}
	}
}

// FuzzFormat: the text means the same, keeps its comments, and stays as it is when it is formatted again.
func FuzzFormat(f *testing.F) {
	files, err := filepath.Glob("../../*.toml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, s := range []string{"a = [ # c\n]# d\n", "a.b=1#\n[c]\n#", "a = {b = '''\n#'''} # e\n \t[ 'x y' . z ]#", "[[a]]\r\n#x\r\n[a.b]\r\nc=\"\"\"\r\n\"\"\"\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<16 {
			return
		}
		s := &source{file: "t.toml", text: string(text)}
		before, wrong := s.decode()
		_, formatted, err := Format("t.toml", text)
		if (err != nil) != (wrong != nil) {
			t.Fatalf("%v, but the text is %v", err, wrong)
		}
		if wrong != nil {
			return
		}
		after, err := decode(formatted)
		if err != nil || !reflect.DeepEqual(before, after) && !hasNaN(before) {
			t.Fatalf("%v\n%q\nmeans something else than\n%q", err, formatted, text)
		}
		if a, b := commentsOf(string(text)), commentsOf(formatted); !reflect.DeepEqual(a, b) {
			t.Fatalf("comments %q, before %q", b, a)
		}
		if _, again, err := Format("t.toml", []byte(formatted)); err != nil || again != formatted {
			t.Fatalf("%v\n%q\nbecomes\n%q", err, formatted, again)
		}
	})
}

// commentsOf returns the comments outside of values, in their order.
func commentsOf(text string) (all []string) {
	for _, it := range scan(strings.TrimPrefix(text, "\ufeff")) {
		if it.form == commentLine {
			all = append(all, it.value)
		} else if it.comment != "" {
			all = append(all, it.comment)
		}
	}
	return all
}
