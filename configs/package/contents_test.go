// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

const top = "../.."

// golden compares text with a file in testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != text {
		t.Errorf("%s is not what it should be: read the difference, and run go test ./configs/package -update\n got:\n%s", file, text)
	}
}

func stubParts() parts {
	return parts{
		binary: []byte("binary"), sbom: []byte("{}"),
		completions: map[string][]byte{"bash": []byte("b"), "zsh": []byte("z"), "fish": []byte("f")},
		licences:    []licensed{{module: "example.com/m", version: "v1.0.0", licence: "MIT", texts: []licenceText{{"LICENSE", []byte("MIT text")}}}},
	}
}

// TestContents: testdata lists the files of a package, with their modes, but not the examples. Each shipped configuration, page and
// hook of the checkout is there too.
func TestContents(t *testing.T) {
	for _, format := range []string{"deb", "rpm"} {
		all, err := contents(os.DirFS(top), stubParts(), format, "1.0.0", time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(all, func(a, b file) int { return cmp.Compare(a.path, b.path) })
		var list strings.Builder
		texts := make(map[string][]byte)
		for _, f := range all {
			texts[f.path] = f.text
			if !strings.HasPrefix(f.path, docs+"examples") && !strings.HasPrefix(f.path, docs+"guide") {
				fmt.Fprintf(&list, "%04o /%s %s\n", f.mode, f.path, cmp.Or(f.kind, "file"))
			}
		}
		for _, name := range []string{"minimal.toml", "reference.toml", "hooks/mail", "topologies/nat/director-a.toml", "prometheus/tandem.rules.yml"} {
			if want, err := os.ReadFile(top + "/configs/" + name); err != nil || !bytes.Equal(texts[docs+"examples/"+name], want) {
				t.Errorf("%s: the example %s is missing or another one (%v)", format, name, err)
			}
		}
		for name := range texts {
			if strings.HasSuffix(name, ".go") || strings.Contains(name, "testdata") || strings.Contains(name, "layout.toml") {
				t.Errorf("%s has %s, which is not for users", format, name)
			}
		}
		golden(t, "contents-"+format+".txt", list.String())
		for _, unit := range []string{"tandem", "tandem-realserver"} {
			text := texts["usr/lib/systemd/system/"+unit+".service"]
			if !bytes.Contains(text, []byte("\nExecStart=/usr/sbin/tandem ")) || bytes.Contains(text, []byte("/usr/local")) {
				t.Errorf("%s: the unit %s does not start the binary of the package:\n%s", format, unit, text)
			}
		}
	}
	missing := stubParts()
	missing.sbom = nil
	if _, err := contents(os.DirFS(top), missing, "deb", "1.0.0", time.Unix(0, 0)); err == nil || !strings.Contains(err.Error(), "sbom.cdx.json would be empty") {
		t.Errorf("without a bill of materials: %v", err)
	}
	if _, err := contents(os.DirFS("."), stubParts(), "deb", "1.0.0", time.Unix(0, 0)); err == nil {
		t.Error("outside of the checkout: no error")
	}
}

// TestPackageFileNames: they are those that the distributions expect.
func TestPackageFileNames(t *testing.T) {
	for want, got := range map[string]string{
		"tandem_1.0.0_arm64.deb":       packageFile("deb", "arm64", "1.0.0"),
		"tandem-1.0.0-1.x86_64.rpm":    packageFile("rpm", "amd64", "1.0.0"),
		"tandem-1.0~rc1-1.aarch64.rpm": packageFile("rpm", "arm64", "1.0~rc1"),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
