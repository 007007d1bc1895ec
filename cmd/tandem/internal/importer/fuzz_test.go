// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"errors"
	"os"
	"strings"
	"testing"
	"unicode"
)

// two are the files of a fuzzed configuration: one that it may include, and itself.
type two struct{ text, included string }

func (f two) Match(string) ([]string, error) { return []string{"x.inc"}, nil }
func (f two) Read(name string) ([]byte, error) {
	switch name {
	case "x.inc":
		return []byte(f.included), nil
	case "t.conf":
		return []byte(f.text), nil
	}
	return nil, errors.New(name + ": no such file")
}

func seeds(f *testing.F, pattern string, add func(text string)) {
	f.Helper()
	for _, file := range globOf(f, pattern) {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		add(string(text))
	}
}

// sane checks what holds for each input: a file that tandem accepts, or reasons why there is none, each in one line.
func sane(t *testing.T, r Result) {
	t.Helper()
	if (r.Text == "") != (len(r.Refused) > 0) {
		t.Fatalf("text %q, refused %v", r.Text, r.Refused)
	}
	accepted(t, "t", r)
	for _, n := range append(r.Notes, r.Refused...) {
		if s := n.String(); strings.ContainsFunc(s, unicode.IsControl) || n.File == "" || n.Text == "" {
			t.Errorf("note %q", s)
		}
		if strings.Contains(n.Text, "report") || strings.Contains(n.Do, "report this as a bug") {
			t.Errorf("%s", n)
		}
	}
}

// FuzzKeepalived: whatever a file and a file that it includes say, there is a file that tandem accepts, or a reason.
func FuzzKeepalived(f *testing.F) {
	seeds(f, "testdata/*.conf", func(text string) { f.Add(text, "include t.conf\n$A=1\nvrrp_instance x { }") })
	seeds(f, "testdata/includes/*.inc", func(text string) { f.Add("include *\n$A= \\\n"+text, text) })
	f.Add("$A=$A$A\n$A=${A}${A}x\n${A}", "~SEQ(A,1,99999) ~SEQ(B,1,99999) x")
	f.Add("$A=${A}\n~LST({A,B},{1,2}) ~LST(C,$A) \"$A\" {\n}", "{{{{{{{")
	f.Add("vrrp_instance \"a\\x00b\" {\ninterface \"\\\"\\n\\x7f\"\nvirtual_ipaddress {\n\"::ffff:1.2.3.4/99\"\nfe80::1%eth0\n}\n}", "include {a,{b,c},*}")
	f.Fuzz(func(t *testing.T, text, included string) {
		files := two{text, included}
		sane(t, Importer{Files: files}.Keepalived(Source{File: "t.conf", Text: []byte(text), ID: "lb1"}))
	})
}

// FuzzPair: whatever two files say, there is a file for both that tandem accepts, or a reason.
func FuzzPair(f *testing.F) {
	first := ""
	seeds(f, "testdata/pair-*/*.conf", func(text string) {
		f.Add(first, text)
		first = text
	})
	f.Add("vrrp_instance a {\ninterface e\nvirtual_router_id 1\n}", "vrrp_instance a.b\"c {\ninterface e\nvirtual_router_id 1\n}")
	f.Fuzz(func(t *testing.T, a, b string) {
		sane(t, Importer{}.Pair(Source{File: "a.conf", Text: []byte(a), ID: "lb1"}, Source{File: "b.conf", Text: []byte(b), ID: "lb2"}))
	})
}

// FuzzIpvsadm: whatever ipvsadm prints, there is a file that tandem accepts, or a reason.
func FuzzIpvsadm(f *testing.F) {
	seeds(f, "testdata/*.ipvsadm", func(text string) { f.Add(text) })
	f.Fuzz(func(t *testing.T, text string) {
		sane(t, Importer{}.Ipvsadm(Source{File: "t.ipvsadm", Text: []byte(text)}))
	})
}
