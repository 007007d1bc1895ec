// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// writeBase makes a cache directory with a small base of a recipe.
func writeBase(t *testing.T, recipe string) string {
	t.Helper()
	dir := t.TempDir()
	kernel, tree := []byte("kernel"), []byte("tree")
	text, err := json.Marshal(manifest{Recipe: recipe, Kernel: digest(kernel), Tree: digest(tree)})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{kernelFile: kernel, treeFile: tree, manifestFile: text} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReadBase(t *testing.T) {
	if b, err := readBase(writeBase(t, recipe()), recipe()); err != nil || string(b.kernel) != "kernel" || string(b.tree) != "tree" {
		t.Errorf("%+v, %v", b, err)
	}
	if _, err := readBase(writeBase(t, "older"), recipe()); err == nil {
		t.Error("a base of another recipe was taken")
	}
	if more := recipe(Package{Name: "haproxy", Programs: []string{"/usr/sbin/haproxy"}}); more == recipe() || more != recipe(Package{Name: "haproxy", Programs: []string{"/usr/sbin/haproxy"}}) {
		t.Error("a base with one more package is not told from the usual one")
	}
	for _, name := range []string{kernelFile, treeFile, manifestFile} {
		for what, damage := range map[string]func(string) error{
			"cut":     func(file string) error { return os.Truncate(file, 3) },
			"changed": func(file string) error { return os.WriteFile(file, []byte("other!"), 0o644) },
			"missing": os.Remove,
		} {
			dir := writeBase(t, recipe())
			if err := damage(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			if _, err := readBase(dir, recipe()); err == nil {
				t.Errorf("a base with its %s %s was taken", name, what)
			}
		}
	}
}

func TestLockDir(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockDir(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := lockDir(ctx, dir); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("second lock: %v, want to wait until the deadline", err)
	}
	unlock()
	again, err := lockDir(t.Context(), dir)
	if err != nil {
		t.Fatalf("lock after unlock: %v", err)
	}
	again()
}

func TestMerged(t *testing.T) {
	for name, want := range map[string]string{
		"./":                       "/",
		"./lib/modules/6.1/x.ko":   "/usr/lib/modules/6.1/x.ko",
		"./lib64/ld-linux.so.2":    "/usr/lib64/ld-linux.so.2",
		"./sbin":                   "/usr/sbin",
		"./usr/sbin/ipvsadm":       "/usr/sbin/ipvsadm",
		"./library/x":              "/library/x",
		"./var/../../../bin/sh":    "/usr/bin/sh",
		"/lib/x86_64-linux-gnu/ld": "/usr/lib/x86_64-linux-gnu/ld",
	} {
		if got := merged(name); got != want {
			t.Errorf("merged(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestWantedModules(t *testing.T) {
	got := slices.Sorted(maps.Keys(wantedModules(`kernel/net/netfilter/ipvs/ip_vs_rr.ko: kernel/net/netfilter/ipvs/ip_vs.ko kernel/lib/libcrc32c.ko
kernel/drivers/net/veth.ko.xz:
kernel/drivers/net/vethology.ko:
kernel/fs/xfs/xfs.ko: kernel/lib/libcrc32c.ko
`)))
	want := "[kernel/drivers/net/veth.ko.xz kernel/lib/libcrc32c.ko kernel/net/netfilter/ipvs/ip_vs.ko kernel/net/netfilter/ipvs/ip_vs_rr.ko]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}

// TestInitramfs reads the archive as the kernel does.
func TestInitramfs(t *testing.T) {
	var tree bytes.Buffer
	w := &treeWriter{tar: tar.NewWriter(&tree), made: map[string]bool{}}
	w.file("/usr/bin/ip", 0o755, []byte("program"))
	w.file("/usr/bin/tc", 0o755, []byte("other"))
	w.link("/bin", "usr/bin")
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	image, err := initramfs(tree.Bytes(), []runFile{{name: "payload", mode: 0o755, data: []byte("test")}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"usr 40755 ", "usr/bin 40755 ", "usr/bin/ip 100755 program", "usr/bin/tc 100755 other", "bin 120777 usr/bin",
		"dev/console 20600 ", "lab/payload 100755 test", "init 120777 /lab/payload",
	}
	if got := readCPIO(t, image); !slices.Equal(got, want) {
		t.Errorf("archive:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func readCPIO(t *testing.T, image []byte) []string {
	t.Helper()
	var entries []string
	for pos := 0; ; {
		var mode, size, nameSize, skip uint32
		var magic string
		if _, err := fmt.Sscanf(string(image[pos:pos+110]), "%6s%8x%8x%8x%8x%8x%8x%8x%8x%8x%8x%8x%8x%8x", &magic, &skip, &mode,
			&skip, &skip, &skip, &skip, &size, &skip, &skip, &skip, &skip, &nameSize, &skip); err != nil || magic != "070701" {
			t.Fatalf("header at %d: %q, %v", pos, magic, err)
		}
		name := string(image[pos+110 : pos+110+int(nameSize)-1])
		data := (pos + 110 + int(nameSize) + 3) &^ 3
		if name == "TRAILER!!!" {
			return entries
		}
		entries = append(entries, fmt.Sprintf("%s %o %s", name, mode, image[data:data+int(size)]))
		pos = (data + int(size) + 3) &^ 3
	}
}
