// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// DebianRoot returns the path of a tar archive: the root directory of a fresh Debian, made by debootstrap, with the packages. It is made
// once. debootstrap is downloaded and not installed. The release and the mirror are those of this machine's apt.
func DebianRoot(ctx context.Context, packages ...string) (string, error) {
	dir, err := cacheDir()
	if err != nil {
		return "", err
	}
	unlock, err := lockDir(ctx, dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	recipe := digest(fmt.Appendln(nil, "layout 1", packages))
	file := filepath.Join(dir, "root-"+recipe[:12]+".tar")
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	if os.Geteuid() != 0 {
		return "", errors.New("a fresh Debian root is made by debootstrap, which needs root")
	}
	fmt.Fprintf(os.Stderr, "lab: making a fresh Debian root in %s (once)\n", dir)
	work, err := os.MkdirTemp(dir, "work-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	if err := bootstrap(ctx, work, filepath.Join(work, "root"), packages); err != nil {
		return "", err
	}
	// What debootstrap has downloaded, and devices, are no part of the root.
	fresh := filepath.Join(work, "root.tar")
	text, err := exec.CommandContext(ctx, "tar", "--numeric-owner", "--sort=name", "--exclude=./dev/*", "--exclude=./var/cache/apt/*",
		"--exclude=./var/lib/apt/lists/*", "--exclude=./var/log/bootstrap.log", "-C", filepath.Join(work, "root"), "-cf", fresh, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("tar: %w\n%s", err, text)
	}
	return file, os.Rename(fresh, file)
}

// bootstrap makes a root.
func bootstrap(ctx context.Context, work, root string, packages []string) error {
	deb, err := download(ctx, work, "debootstrap")
	if err != nil {
		return err
	}
	mirror, suite, err := aptMirror(ctx, work)
	if err != nil {
		return err
	}
	tool := filepath.Join(work, "debootstrap")
	if text, err := exec.CommandContext(ctx, "dpkg-deb", "--extract", deb, tool).CombinedOutput(); err != nil {
		return fmt.Errorf("dpkg-deb: %w\n%s", err, text)
	}
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "sh", filepath.Join(tool, "usr/sbin/debootstrap"), "--variant=minbase",
		"--include="+strings.Join(packages, ","), suite, root, mirror)
	cmd.Env = append(os.Environ(), "DEBOOTSTRAP_DIR="+filepath.Join(tool, "usr/share/debootstrap"), "LC_ALL=C")
	// It mounts file systems below the root. This machine does not see them, and they end with debootstrap.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if text, err := cmd.CombinedOutput(); err != nil {
		log, _ := os.ReadFile(filepath.Join(root, "debootstrap/debootstrap.log"))
		return fmt.Errorf("debootstrap, which needs wget and gpgv: %w\n%s%s", err, text, log)
	}
	return nil
}

// aptMirror returns where this machine's apt gets Debian from, and which release. The directory is one in which [download] has worked.
func aptMirror(ctx context.Context, work string) (mirror, suite string, err error) {
	cmd := exec.CommandContext(ctx, "apt-get", "--config-file", filepath.Join(work, "apt.conf"), "indextargets",
		"--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages", "Label: Debian", "Component: main")
	text, err := cmd.Output()
	if err != nil {
		return "", "", fmt.Errorf("apt-get indextargets: %w", err)
	}
	if _, err := fmt.Sscan(string(text), &mirror, &suite); err != nil {
		return "", "", fmt.Errorf("apt has no source with Debian: %s", elsewhere)
	}
	return mirror, suite, nil
}
