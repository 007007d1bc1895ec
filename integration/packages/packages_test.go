// SPDX-License-Identifier: Apache-2.0

// Package packages tests the Debian and RPM packages as make deb and make rpm make them.
package packages

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const (
	top   = "../.."
	epoch = 1_700_000_000
)

// run runs a command, and returns what it prints on standard output.
func run(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", cmd, err, out, errs.Bytes())
	}
	return out
}

// makePackages makes packages of a stub. It returns them by the names of their files.
func makePackages(t *testing.T, words ...string) map[string][]byte {
	t.Helper()
	out := t.TempDir()
	cmd := exec.Command(words[0], append(words[1:], "-out", out)...)
	cmd.Dir = top
	cmd.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch), "TMPDIR="+t.TempDir())
	run(t, cmd)
	made := make(map[string][]byte)
	files, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if made[f.Name()], err = os.ReadFile(filepath.Join(out, f.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return made
}

// TestPackages: two runs in different surroundings make the same bytes, with the files that configs/package/testdata lists.
func TestPackages(t *testing.T) {
	dir := t.TempDir()
	tool := filepath.Join(dir, "package")
	run(t, exec.Command("go", "build", "-o", tool, "../../configs/package"))
	stub := filepath.Join(dir, "tandem-"+runtime.GOARCH)
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", stub, "./testdata/stub")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	run(t, build)
	for _, arch := range []string{"amd64", "arm64"} {
		if path := filepath.Join(dir, "tandem-"+arch); path != stub {
			if err := os.Link(stub, path); err != nil {
				t.Fatal(err)
			}
		}
	}
	command := []string{tool, "-binaries", dir, "-version"}
	all := append(slices.Clone(command), "v1.2.3-rc1-4-gabcdef0")
	made := makePackages(t, all...)
	elsewhere := []string{"/usr/bin/env", "TZ=Asia/Tokyo", "LC_ALL=C", "/bin/sh", "-c", `umask 077; exec "$@"`, "sh"}
	again := makePackages(t, append(elsewhere, all...)...)
	want := []string{
		"tandem-1.2.3~rc1^4.gabcdef0-1.aarch64.rpm", "tandem-1.2.3~rc1^4.gabcdef0-1.x86_64.rpm",
		"tandem_1.2.3~rc1+4.gabcdef0_amd64.deb", "tandem_1.2.3~rc1+4.gabcdef0_arm64.deb",
	}
	for _, name := range want {
		if len(made[name]) == 0 || !bytes.Equal(made[name], again[name]) {
			t.Errorf("%s: %d bytes, and then %d bytes that differ", name, len(made[name]), len(again[name]))
		}
	}
	if len(made) != len(want) {
		t.Errorf("made %d packages, want %d", len(made), len(want))
	}
	t.Run("deb", func(t *testing.T) { checkDeb(t, made[want[3]]) })
	t.Run("rpm", func(t *testing.T) { checkRPM(t, made[want[0]]) })
	t.Run("dpkg", func(t *testing.T) {
		newer := makePackages(t, append(command, "v1.2.3", "-format", "deb", "-arch", runtime.GOARCH)...)
		checkDpkg(t, made["tandem_1.2.3~rc1+4.gabcdef0_"+runtime.GOARCH+".deb"], newer["tandem_1.2.3_"+runtime.GOARCH+".deb"])
	})
}

// listed returns the lines of a list of contents without what the package manager does not store.
func listed(t *testing.T, format string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, "configs/package/testdata/contents-"+format+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// withoutExamples checks the lines of the examples, and returns the other lines. Each example is a file of configs/.
func withoutExamples(t *testing.T, lines []string) (others []string) {
	t.Helper()
	examples := 0
	for _, line := range lines {
		words := strings.Fields(line)
		name, ok := strings.CutPrefix(words[1], "/usr/share/doc/tandem/")
		if !ok || !strings.HasPrefix(name, "examples") && !strings.HasPrefix(name, "guide") {
			others = append(others, line)
			continue
		}
		name = strings.TrimPrefix(strings.TrimPrefix(name, "examples"), "/")
		is, err := os.Stat(filepath.Join(top, "configs", name))
		program := is != nil && is.Mode().IsRegular() && is.Mode()&0o100 != 0
		switch {
		case err != nil:
			t.Error(err)
		case words[0] == "0755" != (is.IsDir() || program):
			t.Errorf("%s, but in the checkout it is %v", line, is.Mode())
		}
		examples++
	}
	if examples < 30 {
		t.Errorf("found %d examples: too few to be all", examples)
	}
	return others
}

// script returns a script of the package manager, without the functions that all scripts have.
func script(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, "configs/package/scripts", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func checkDeb(t *testing.T, text []byte) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tandem.deb")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	fields := string(run(t, exec.Command("dpkg-deb", "--field", file)))
	for _, want := range []string{
		"Package: tandem\n", "Version: 1.2.3~rc1+4.gabcdef0\n", "Architecture: arm64\n", "Recommends: kmod\n", "Section: net\n",
		"Description: load balancer of two machines, with VRRP and IPVS\n tandem makes",
	} {
		if !strings.Contains(fields, want) {
			t.Errorf("no %q in\n%s", want, fields)
		}
	}
	run(t, exec.Command("dpkg-deb", "--control", file, filepath.Join(dir, "control")))
	conffiles, err := os.ReadFile(filepath.Join(dir, "control/conffiles"))
	if err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{"postinst": "deb-postinst", "prerm": "deb-prerm", "postrm": "deb-postrm"} {
		path := filepath.Join(dir, "control", name)
		is, err := os.Stat(path)
		if err != nil || is.Mode() != 0o755 {
			t.Errorf("%s: %v, %v", name, is, err)
		}
		if got, _ := os.ReadFile(path); !strings.HasPrefix(string(got), "#!/bin/sh\n") || !strings.Contains(string(got), script(t, from)) {
			t.Errorf("%s is\n%s", name, got)
		}
	}
	var got []string
	for archive := tar.NewReader(bytes.NewReader(run(t, exec.Command("dpkg-deb", "--fsys-tarfile", file)))); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uname != "root" || h.Gname != "root" || h.ModTime.Unix() != epoch {
			t.Errorf("%s belongs to %s and %s, of %v", h.Name, h.Uname, h.Gname, h.ModTime)
		}
		name, kind := strings.TrimPrefix(h.Name, "."), "file"
		switch {
		case h.Typeflag == tar.TypeDir && name != "/etc/tandem/":
			continue // a folder on the way to a file
		case h.Typeflag == tar.TypeDir:
			kind = "dir"
		case strings.Contains("\n"+string(conffiles), "\n"+name+"\n"):
			kind = "config|noreplace"
		}
		got = append(got, fmt.Sprintf("%04o %s %s", h.Mode, strings.TrimSuffix(name, "/"), kind))
	}
	compare(t, withoutExamples(t, got), listed(t, "deb"))
}

func checkRPM(t *testing.T, text []byte) {
	h, err := readRPM(text)
	if err != nil {
		t.Fatal(err)
	}
	for tag, want := range map[uint32]string{
		tagName: "tandem", tagVersion: "1.2.3~rc1^4.gabcdef0", tagRelease: "1", tagArch: "aarch64", tagBuildHost: "localhost",
		tagSummary: "load balancer of two machines, with VRRP and IPVS",
	} {
		if got := h.text(tag); got != want {
			t.Errorf("tag %d is %q, want %q", tag, got, want)
		}
	}
	for tag, name := range map[uint32]string{tagPost: "rpm-post", tagPreun: "rpm-preun", tagPostun: "rpm-postun"} {
		if got := h.text(tag); !strings.Contains(got, script(t, name)) {
			t.Errorf("%s is\n%s", name, got)
		}
	}
	const directory, config, noReplace = 0o040000, 1, 16
	var got []string
	dirs, dirOf, modes, flags := h.texts(tagDirNames), h.numbers(tagDirIndexes), h.numbers(tagModes), h.numbers(tagFlags)
	users, times := h.texts(tagUsers), h.numbers(tagTimes)
	for i, name := range h.texts(tagBaseNames) {
		kind := "file"
		switch {
		case modes[i]&directory != 0 && modes[i]&0o100000 == 0:
			kind = "dir"
		case flags[i] == config|noReplace:
			kind = "config|noreplace"
		}
		if users[i] != "root" || times[i] != epoch {
			t.Errorf("%s belongs to %s, of %d", name, users[i], times[i])
		}
		got = append(got, fmt.Sprintf("%04o %s%s %s", modes[i]&0o7777, dirs[dirOf[i]], name, kind))
	}
	compare(t, withoutExamples(t, got), listed(t, "rpm"))
}

// compare compares lists, whatever their order.
func compare(t *testing.T, got, want []string) {
	t.Helper()
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("the package also has %s", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("the package lacks %s", line)
		}
	}
}
