// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Packages are Debian packages that one program needs inside, beside those of every run. They are downloaded once with what they
// depend on, and never installed. All their files are inside, except for the folders of Without.
type Packages struct {
	Name    string   // of the cached archive
	Wanted  []string // recommended packages do not come with them
	Assumed []string // what they depend on, but do not need inside
	Without []string // folders that are left out: "/usr/share/doc"
}

// Texts are the folders of packages that no program reads in the lab, for Without.
var Texts = []string{"/usr/share/doc", "/usr/share/man", "/usr/share/locale", "/usr/share/lintian"}

// EnterWith is [Enter] for a program that needs more packages inside.
func EnterWith(p Packages, mainPackage string, limit time.Duration, cargo ...Cargo) {
	enter(trip{
		payload: Cargo{Name: "payload", Package: mainPackage},
		cargo:   cargo,
		args:    os.Args[1:],
		limit:   limit,
		extra:   []Packages{p},
	})
}

// list is the file inside that names the packages with their versions.
func (p Packages) list() string { return inside + "/" + p.Name + ".packages" }

// Version returns the version of one of the packages. It is for use inside.
func (p Packages) Version(name string) (string, error) {
	text, err := os.ReadFile(p.list())
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		// The file name of a package: name_version_architecture, with the epoch's colon as %3a.
		if version, ok := strings.CutPrefix(line, name+"_"); ok {
			version, _, _ = strings.Cut(version, "_")
			return strings.ReplaceAll(version, "%3a", ":"), nil
		}
	}
	return "", fmt.Errorf("the lab has no package %s", name)
}

// recipe identifies what the archive is made of.
func (p Packages) recipe() string {
	return digest(fmt.Appendln(nil, "layout 1", p.Wanted, p.Assumed, p.Without))
}

// add adds the packages to a base. It makes their archive first if none is cached. A cached archive needs no network.
func (p Packages) add(ctx context.Context, b *base) error {
	dir, err := cacheDir()
	if err != nil {
		return err
	}
	unlock, err := lockDir(ctx, dir)
	if err != nil {
		return err
	}
	defer unlock()
	file := filepath.Join(dir, p.Name+"-"+p.recipe()[:12]+".tar")
	tree, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(os.Stderr, "lab: fetching the Debian packages of the %s into %s (once)\n", p.Name, dir)
		tree, err = p.make(ctx, dir, file)
	}
	if err != nil {
		return fmt.Errorf("the packages of the %s: %w", p.Name, err)
	}
	b.tree = joinArchives(b.tree, tree)
	return nil
}

// make makes the archive. It renames the file into its place last, so that a file there is complete.
func (p Packages) make(ctx context.Context, dir, file string) ([]byte, error) {
	work, err := os.MkdirTemp(dir, "work-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	debs, err := fetch(ctx, work, p.Wanted, p.Assumed)
	if err != nil {
		return nil, err
	}
	root := filepath.Join(work, "root")
	if err := unpack(ctx, debs, root); err != nil {
		return nil, err
	}
	tree, err := p.pack(root, debs)
	if err != nil {
		return nil, err
	}
	fresh := filepath.Join(work, "tree.tar")
	if err := os.WriteFile(fresh, tree, 0o644); err != nil {
		return nil, err
	}
	return tree, os.Rename(fresh, file)
}

// pack returns the archive of all files under root, and of the list of the packages. The folders and links at the top are the base's.
func (p Packages) pack(root string, debs []string) ([]byte, error) {
	var names strings.Builder
	for _, deb := range debs {
		fmt.Fprintln(&names, filepath.Base(deb))
	}
	var buf bytes.Buffer
	w := &treeWriter{tar: tar.NewWriter(&buf), made: map[string]bool{}}
	w.file(p.list(), 0o644, []byte(names.String()))
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(file, root)
		switch {
		case d.IsDir() && slices.Contains(p.Without, name):
			return filepath.SkipDir
		case d.IsDir() && name != "":
			w.dir(name)
		case d.Type() == fs.ModeSymlink && !slices.Contains(mergedDirs, name):
			to, err := os.Readlink(file)
			if err != nil {
				return err
			}
			w.link(name, to)
		case d.Type().IsRegular():
			info, err := d.Info()
			if err != nil {
				return err
			}
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			w.file(name, int64(info.Mode().Perm()), data)
		}
		return nil
	})
	return buf.Bytes(), errors.Join(err, w.close())
}

// joinArchives returns one archive with the entries of two. The first one's end mark is left out, or readers would stop there.
func joinArchives(first, second []byte) []byte {
	end := archiveEnd(first)
	return slices.Concat(first[:end], second)
}

// archiveEnd returns where the entries of an archive end.
func archiveEnd(archive []byte) int {
	r := bytes.NewReader(archive)
	in := tar.NewReader(r)
	end := 0
	for {
		if _, err := in.Next(); err != nil {
			return end
		}
		if _, err := io.Copy(io.Discard, in); err != nil {
			return end
		}
		// The content of an entry fills whole blocks.
		const block = 512
		end = (len(archive) - r.Len() + block - 1) / block * block
	}
}
