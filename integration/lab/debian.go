// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Program returns the path of a program that a test needs: the machine's own, or /usr/bin/NAME of a Debian package. The package is
// downloaded once, and not installed: the cache directory has the program. Where no Debian package can be downloaded, the test fails,
// and says which program is missing. The program may need libraries of the machine.
func Program(t *testing.T, pkg, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return borrow(t, pkg, "the program "+name, "programs/"+name, func(archive io.Reader, to string) error {
		return copyMember(archive, "./usr/bin/"+name, to)
	})
}

// Folder returns the path of a folder that a test needs, such as the examples of a Debian package: the machine's own, or a copy. As
// with Program, the package is downloaded once and not installed.
func Folder(t *testing.T, pkg, folder string) string {
	t.Helper()
	if entries, err := os.ReadDir(folder); err == nil && len(entries) > 0 {
		return folder
	}
	return borrow(t, pkg, "the folder "+folder, "folders/"+folder, func(archive io.Reader, to string) error {
		if err := os.Mkdir(to, 0o755); err != nil {
			return err
		}
		return untar(archive, to, func(name string) string {
			inside, is := strings.CutPrefix(filepath.Clean("/"+name), folder+"/")
			if !is {
				return ""
			}
			return inside
		})
	})
}

// borrow returns the path of a part of a package in the cache directory. take writes the part from the package's archive.
func borrow(t *testing.T, pkg, what, cached string, take func(archive io.Reader, to string) error) string {
	t.Helper()
	path, err := cachedPart(t.Context(), pkg, cached, take)
	if err != nil {
		t.Fatalf("failed to get %s, which this test needs (Debian: apt-get install %s): %v", what, pkg, err)
	}
	return path
}

// cachedPart returns the path of a part in the cache directory. It downloads the package if the part is not there.
func cachedPart(ctx context.Context, pkg, cached string, take func(archive io.Reader, to string) error) (string, error) {
	dir, err := cacheDir()
	if err != nil {
		return "", err
	}
	unlock, err := lockDir(ctx, dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	path := filepath.Join(dir, cached)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	work, err := os.MkdirTemp(dir, "work-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	deb, err := download(ctx, work, pkg)
	if err != nil {
		return "", err
	}
	fresh := filepath.Join(work, "part")
	if err := readArchive(ctx, deb, fresh, take); err != nil {
		return "", fmt.Errorf("take a part out of %s: %w", filepath.Base(deb), err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	return path, os.Rename(fresh, path)
}

// download fetches one package into work, and returns the path of its file.
func download(ctx context.Context, work, pkg string) (string, error) {
	apt, err := newApt(ctx, work, assumed)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(os.Stderr, "lab: fetching the Debian package %s (once)\n", pkg)
	updated := apt("update")
	if err := apt("download", pkg); err != nil {
		return "", errors.Join(err, updated)
	}
	debs, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil || len(debs) != 1 {
		return "", fmt.Errorf("%d packages were downloaded, want one: %w", len(debs), err)
	}
	return debs[0], nil
}

// readArchive passes the archive of a package to take.
func readArchive(ctx context.Context, deb, to string, take func(archive io.Reader, to string) error) error {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = take(out, to)
	_, _ = io.Copy(io.Discard, out) // or dpkg-deb reports a broken pipe
	return errors.Join(err, cmd.Wait())
}

// copyMember writes one file of an archive to a file.
func copyMember(archive io.Reader, member, to string) error {
	in := tar.NewReader(archive)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return errors.New(member + " is not in there")
		}
		if err != nil {
			return err
		}
		if h.Name != member {
			continue
		}
		f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, in)
		return errors.Join(err, f.Close())
	}
}
