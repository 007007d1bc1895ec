// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A base is what all runs share: the kernel and the file tree of the inside.
type base struct {
	kernel []byte // bzImage
	tree   []byte // tar
}

// A manifest describes a cached base. A base that does not match its manifest is damaged or incomplete.
type manifest struct {
	Recipe   string   // what it was made of
	Packages []string // the packages with their versions
	Kernel   string   // SHA-256
	Tree     string   // SHA-256
}

const (
	kernelFile   = "vmlinuz"
	treeFile     = "tree.tar"
	manifestFile = "manifest.json"
)

// openBase returns the cached base with these packages beside the usual ones. It makes the base first if there is none, or if the cached one is damaged or was made
// by another recipe. Several processes may call it at the same time. A cached base needs no network.
func openBase(ctx context.Context, more ...Package) (*base, error) {
	dir, err := cacheDir()
	if err != nil {
		return nil, err
	}
	unlock, err := lockDir(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	// Each recipe has its own directory: two versions of the source can be used in turn without making the base anew.
	made := recipe(more...)
	dir = filepath.Join(dir, made[:12])
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if b, err := readBase(dir, made); err == nil {
		return b, nil
	}
	fmt.Fprintf(os.Stderr, "lab: fetching Debian packages and making the base image in %s (once)\n", dir)
	if err := makeBase(ctx, dir, more); err != nil {
		return nil, err
	}
	return readBase(dir, made)
}

func cacheDir() (string, error) {
	dir := os.Getenv("TANDEM_LAB_CACHE")
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			// No home directory, as under some service managers.
			user = os.TempDir()
		}
		dir = filepath.Join(user, "tandem-lab")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// lockDir waits for the directory's lock.
func lockDir(ctx context.Context, dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, fmt.Errorf("lock %s: %w", f.Name(), errors.Join(err, f.Close()))
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), f.Close())
		}
	}
}

// readBase reads and verifies what is cached. It must be made by a recipe.
func readBase(dir, made string) (*base, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return nil, err
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, err
	}
	if m.Recipe != made {
		return nil, errors.New("made by another recipe")
	}
	var b base
	for _, f := range []struct {
		name, sum string
		data      *[]byte
	}{{kernelFile, m.Kernel, &b.kernel}, {treeFile, m.Tree, &b.tree}} {
		if *f.data, err = os.ReadFile(filepath.Join(dir, f.name)); err != nil {
			return nil, err
		}
		if digest(*f.data) != f.sum {
			return nil, fmt.Errorf("%s is damaged", f.name)
		}
	}
	return &b, nil
}

// makeBase fills the cache directory. It writes the manifest last, so that an interrupted base has no valid one.
func makeBase(ctx context.Context, dir string, more []Package) error {
	work, err := os.MkdirTemp(dir, "work-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	debs, err := fetch(ctx, work, more)
	if err != nil {
		return err
	}
	root := filepath.Join(work, "root")
	if err := unpack(ctx, debs, root); err != nil {
		return err
	}
	kernel, version, err := findKernel(root)
	if err != nil {
		return err
	}
	tree, err := packTree(ctx, root, version, more)
	if err != nil {
		return err
	}
	m := manifest{Recipe: recipe(more...), Kernel: digest(kernel), Tree: digest(tree)}
	for _, d := range debs {
		m.Packages = append(m.Packages, strings.TrimSuffix(filepath.Base(d), ".deb"))
	}
	text, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{kernelFile, kernel}, {treeFile, tree}, {manifestFile, append(text, '\n')}} {
		path := filepath.Join(dir, f.name)
		if err := os.WriteFile(path+".new", f.data, 0o644); err != nil {
			return err
		}
		if err := os.Rename(path+".new", path); err != nil {
			return err
		}
	}
	return nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
