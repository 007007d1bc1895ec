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
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// wanted are the Debian packages of the inside.
var wanted = []string{
	"linux-image-cloud-amd64", "kmod",
	"keepalived", "ipvsadm", "iproute2", "busybox-static", "nginx-light", "dnsmasq-base", "exim4-daemon-light", "tcpdump",
	"e2fsprogs", "iptables", "nftables",
}

// A Package is a Debian package that a run needs inside beside the usual ones, and those of its programs, by path, that are used. The
// libraries that they load come with them.
type Package struct {
	Name     string
	Programs []string
}

// assumed are packages that the wanted ones need for their installation only. Apt is told that they are installed.
var assumed = []string{
	"usrmerge", "usr-is-merged", "init-system-helpers", "debconf", "lsb-base", "sysvinit-utils", "adduser",
	"initramfs-tools", "linux-base", "perl", "libsnmp-base", "pci.ids", "libcap2-bin", "dpkg", "tar",
	"passwd", "exim4-base",
}

// elsewhere is the advice for a user without Debian's packages.
const elsewhere = "use a Debian machine, or copy the cache directory of one and name it in TANDEM_LAB_CACHE"

// fetch downloads the wanted packages, those beside them, and their dependencies into work and returns their paths. It uses the sources and keys
// of the machine's apt and nothing else: it installs nothing, and the machine's package lists stay as they are.
func fetch(ctx context.Context, work string, more []Package) ([]string, error) {
	if runtime.GOARCH != "amd64" {
		return nil, fmt.Errorf("the lab is made of Debian's amd64 packages, and this machine is %s", runtime.GOARCH)
	}
	apt, err := newApt(ctx, work)
	if err != nil {
		return nil, err
	}
	// A source that fails does no harm if the packages can be downloaded from another one.
	updated := apt("update")
	names := slices.Clone(wanted)
	for _, d := range more {
		names = append(names, d.Name)
	}
	err = apt(append([]string{"install", "--yes", "--download-only", "--no-install-recommends"}, names...)...)
	if err != nil {
		return nil, fmt.Errorf("download the lab's packages, which are Debian's (%s): %w", elsewhere, errors.Join(err, updated))
	}
	return filepath.Glob(filepath.Join(work, "cache/archives/*.deb"))
}

// newApt returns apt-get with directories of its own under work, where it also runs.
func newApt(ctx context.Context, work string) (apt func(args ...string) error, err error) {
	for _, tool := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("this is no Debian machine: the lab is made of Debian packages, and %s is not here: %s", tool, elsewhere)
		}
	}
	config, err := aptConfig(work)
	if err != nil {
		return nil, err
	}
	return func(args ...string) error {
		cmd := exec.CommandContext(ctx, "apt-get", append([]string{"--quiet", "--config-file", config}, args...)...)
		cmd.Dir, cmd.Env = work, append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, text)
		}
		return nil
	}, nil
}

// aptConfig prepares directories of apt's own under work and returns the file that tells apt of them.
func aptConfig(work string) (string, error) {
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(work, d), 0o755); err != nil {
			return "", err
		}
	}
	var status strings.Builder
	for _, name := range assumed {
		fmt.Fprintf(&status, "Package: %s\nStatus: install ok installed\nArchitecture: all\nMulti-Arch: foreign\n"+
			"Version: 999\nMaintainer: lab\nDescription: assumed\n\n", name)
	}
	if err := os.WriteFile(filepath.Join(work, "status"), []byte(status.String()), 0o644); err != nil {
		return "", err
	}
	// Nobody else uses the directories, so no lock is needed. Apt's unprivileged user could not write to them. The
	// machine's hooks are for its own package lists.
	text := fmt.Sprintf(`Dir::State::status "%[1]s/status";
Dir::State::lists "%[1]s/lists";
Dir::Cache "%[1]s/cache";
Debug::NoLocking "true";
APT::Sandbox::User "root";
Acquire::Retries "3";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
`, work)
	config := filepath.Join(work, "apt.conf")
	return config, os.WriteFile(config, []byte(text), 0o644)
}

// unpack lays the packages' files out under root, with /bin, /sbin, /lib and /lib64 merged into /usr.
func unpack(ctx context.Context, debs []string, root string) error {
	for _, d := range mergedDirs {
		if err := os.MkdirAll(filepath.Join(root, "usr", d), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("usr"+d, filepath.Join(root, d)); err != nil {
			return err
		}
	}
	for _, deb := range debs {
		err := readArchive(ctx, deb, root, func(archive io.Reader, to string) error { return untar(archive, to, merged) })
		if err != nil {
			return fmt.Errorf("unpack %s: %w", filepath.Base(deb), err)
		}
	}
	return nil
}

// merged maps a path of the old directory layout to the one under /usr.
func merged(name string) string {
	name = path.Clean("/" + name)
	for _, top := range mergedDirs {
		if name == top || strings.HasPrefix(name, top+"/") {
			return "/usr" + name
		}
	}
	return name
}

var mergedDirs = []string{"/bin", "/sbin", "/lib", "/lib64"}

// untar writes an archive's directories, files and links under root, at the path that place returns for each.
func untar(r io.Reader, root string, place func(string) string) error {
	files, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer files.Close()
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(place(h.Name), "/")
		if name == "" {
			continue
		}
		if err := files.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeDir:
			err = files.MkdirAll(name, 0o755)
		case tar.TypeSymlink:
			err = files.Symlink(h.Linkname, name)
		case tar.TypeLink:
			err = files.Link(strings.TrimPrefix(place(h.Linkname), "/"), name)
		case tar.TypeReg:
			err = writeFrom(files, name, os.FileMode(h.Mode&0o777), tr)
		}
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
}

func writeFrom(files *os.Root, name string, mode os.FileMode, r io.Reader) error {
	f, err := files.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
