// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// programs are what the inside can run, with all the libraries that they load.
var programs = []string{
	"/usr/sbin/keepalived", "/usr/sbin/ipvsadm", "/usr/bin/ip", "/usr/sbin/tc", "/usr/bin/ss", "/usr/sbin/bridge",
	"/usr/bin/busybox", "/usr/sbin/nginx", "/usr/sbin/dnsmasq", "/usr/sbin/exim4", "/usr/bin/tcpdump", "/usr/bin/kmod",
	"/usr/sbin/mke2fs", "/usr/sbin/nft", "/usr/sbin/xtables-legacy-multi", "/usr/sbin/xtables-nft-multi",
	// Of the extensions of iptables, which it loads by name:
	xtables + "libxt_standard.so", xtables + "libxt_tcp.so", xtables + "libxt_udp.so", xtables + "libxt_multiport.so",
	xtables + "libxt_conntrack.so", xtables + "libxt_comment.so", xtables + "libipt_REJECT.so", xtables + "libip6t_REJECT.so",
}

const xtables = "/usr/lib/x86_64-linux-gnu/xtables/"

// links are symbolic links of the inside, from → to.
var links = map[string]string{
	"/bin": "usr/bin", "/sbin": "usr/sbin", "/lib": "usr/lib", "/lib64": "usr/lib64", "/var/run": "/run",
	"/usr/sbin/modprobe": "../bin/kmod", "/usr/bin/lsmod": "kmod", "/usr/sbin/ip": "../bin/ip",
	"/usr/bin/sh": "busybox", "/usr/bin/nc": "busybox", "/usr/bin/ping": "busybox", "/usr/bin/arping": "busybox",
	"/usr/sbin/iptables-legacy": "xtables-legacy-multi", "/usr/sbin/ip6tables-legacy": "xtables-legacy-multi",
	"/usr/sbin/iptables-nft": "xtables-nft-multi", "/usr/sbin/ip6tables-nft": "xtables-nft-multi",
	"/usr/bin/ps": "busybox", "/usr/bin/wget": "busybox", "/usr/bin/cat": "busybox", "/usr/bin/ls": "busybox",
}

// plainFiles are small files of the inside.
var plainFiles = map[string]string{
	"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\n" +
		"Debian-exim:x:101:101::/run:/bin/false\ntandem:x:996:996::/var/lib/tandem:/bin/false\n" +
		"keepalived_script:x:100:65534::/:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n",
	"/etc/group":         "root:x:0:\nadm:x:4:\nwww-data:x:33:\nDebian-exim:x:101:\ntandem:x:996:\nnogroup:x:65534:\n",
	"/etc/hosts":         "127.0.0.1 localhost\n::1 localhost\n",
	"/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n",
	"/etc/services":      "smtp 25/tcp\nhttp 80/tcp\nhttps 443/tcp\n",
	"/etc/protocols":     "icmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\nvrrp 112 VRRP\n",
}

// directories are directories of the inside that may hold no file.
var directories = []string{
	"/proc", "/sys", "/dev", "/run", "/tmp", "/root", inside, "/etc/keepalived",
	"/usr/sbin", "/usr/lib64", "/var/log/nginx", "/var/lib/nginx", "/var/www",
}

// modules are the kernel modules of the inside; those that they depend on are added. A trailing * matches any ending. The
// kernel loads most of them by itself when a program needs them.
var modules = []string{
	"virtio_pci", "virtio_console", "loop",
	"veth", "bridge", "8021q", "macvlan", "ipvlan", "dummy", "tun", "vxlan", "nlmon",
	"ip_vs*", "ipip", "ip_gre", "sit", "ip6_tunnel", "ip6_gre", "fou", "fou6", "tunnel4", "tunnel6",
	"nf_tables", "nft_*", "nf_conntrack*", "nf_nat*", "xt_*",
	"ip_tables", "ip6_tables", "iptable_*", "arp_tables", "arptable_filter",
	"sch_netem", "sch_tbf", "sch_ingress", "cls_u32", "act_mirred", "af_packet_diag", "inet_diag", "tcp_diag", "udp_diag",
	"sctp", "crc32c-intel", "crc32c_generic", "libcrc32c",
}

// recipe identifies what a base is made of: it changes when the lists here do.
func recipe() string {
	var b strings.Builder
	fmt.Fprintln(&b, "layout 1", wanted, assumed, programs, directories, modules)
	for _, m := range []map[string]string{links, plainFiles} {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			fmt.Fprintf(&b, "%s %q\n", k, m[k])
		}
	}
	return digest([]byte(b.String()))
}

// findKernel returns the unpacked kernel and its version.
func findKernel(root string) (kernel []byte, version string, err error) {
	images, err := filepath.Glob(filepath.Join(root, "boot/vmlinuz-*"))
	if err != nil {
		return nil, "", err
	}
	if len(images) != 1 {
		return nil, "", fmt.Errorf("%d kernels in the packages, want 1", len(images))
	}
	kernel, err = os.ReadFile(images[0])
	return kernel, strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-"), err
}

// packTree makes the archive of the inside from the unpacked packages.
func packTree(ctx context.Context, root, version string) ([]byte, error) {
	files, err := closure(root, programs)
	if err != nil {
		return nil, err
	}
	mods, err := pickModules(ctx, root, version)
	if err != nil {
		return nil, err
	}
	files = append(files, mods...)
	slices.Sort(files)
	var buf bytes.Buffer
	w := &treeWriter{tar: tar.NewWriter(&buf), made: map[string]bool{}}
	for _, d := range directories {
		w.dir(d)
	}
	for _, name := range slices.Compact(files) {
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		w.file(name, int64(info.Mode().Perm()), data)
	}
	for _, name := range slices.Sorted(maps.Keys(plainFiles)) {
		w.file(name, 0o644, []byte(plainFiles[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(links)) {
		w.link(name, links[name])
	}
	return buf.Bytes(), w.close()
}

// closure returns the programs, their interpreters and all libraries that they need, as paths under root. A library has the
// name under which programs ask for it.
func closure(root string, programs []string) ([]string, error) {
	dirs := []string{"/usr/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu/nss", "/usr/lib"}
	seen := map[string]bool{}
	queue := slices.Clone(programs)
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if seen[name] {
			continue
		}
		seen[name] = true
		needs, err := elfNeeds(filepath.Join(root, name))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		for _, need := range needs {
			if path.IsAbs(need) {
				queue = append(queue, merged(need))
				continue
			}
			found := ""
			for _, d := range dirs {
				if _, err := os.Stat(filepath.Join(root, d, need)); err == nil {
					found = path.Join(d, need)
					break
				}
			}
			if found == "" {
				return nil, fmt.Errorf("%s needs %s, which no package brings", name, need)
			}
			queue = append(queue, found)
		}
	}
	return slices.Collect(maps.Keys(seen)), nil
}

// elfNeeds returns the libraries of an ELF file by name and its interpreter by path.
func elfNeeds(file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	needs, err := f.ImportedLibraries()
	if err != nil {
		return nil, err
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			text := make([]byte, p.Filesz)
			if _, err := p.ReadAt(text, 0); err != nil {
				return nil, err
			}
			needs = append(needs, string(bytes.TrimRight(text, "\x00")))
		}
	}
	return needs, nil
}

// pickModules leaves in root the modules of the inside only, indexes them, and returns their paths and the index's.
func pickModules(ctx context.Context, root, version string) ([]string, error) {
	dir := "/usr/lib/modules/" + version
	if err := depmod(ctx, root, version); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(root, dir, "modules.dep"))
	if err != nil {
		return nil, err
	}
	keep := wantedModules(string(text))
	err = filepath.WalkDir(filepath.Join(root, dir), func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(d.Name(), ".ko") {
			return err
		}
		if rel, _ := filepath.Rel(filepath.Join(root, dir), p); !keep[rel] {
			return os.Remove(p)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := depmod(ctx, root, version); err != nil {
		return nil, err
	}
	var files []string
	for rel := range keep {
		files = append(files, path.Join(dir, rel))
	}
	index, err := filepath.Glob(filepath.Join(root, dir, "modules.*"))
	for _, p := range index {
		files = append(files, path.Join(dir, filepath.Base(p)))
	}
	return files, err
}

// wantedModules reads a modules.dep ("path: path path") and returns the wanted ones with all that they depend on.
func wantedModules(dep string) map[string]bool {
	keep := map[string]bool{}
	for line := range strings.Lines(dep) {
		file, needs, _ := strings.Cut(strings.TrimSpace(line), ":")
		name, _, _ := strings.Cut(path.Base(file), ".ko")
		if slices.ContainsFunc(modules, func(pattern string) bool {
			prefix, all := strings.CutSuffix(pattern, "*")
			return name == pattern || all && strings.HasPrefix(name, prefix)
		}) {
			keep[file] = true
			for _, n := range strings.Fields(needs) {
				keep[n] = true
			}
		}
	}
	return keep
}

// depmod indexes the modules under root with the unpacked kmod: the machine may have none.
func depmod(ctx context.Context, root, version string) error {
	kmod := filepath.Join(root, "usr/bin/kmod")
	needs, err := elfNeeds(kmod)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(needs, path.IsAbs)
	if i < 0 {
		return errors.New("kmod has no interpreter")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(root, merged(needs[i])), "--argv0", "depmod",
		"--library-path", filepath.Join(root, "usr/lib/x86_64-linux-gnu"), kmod,
		"-b", root, version)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("depmod %s: %w\n%s", version, err, text)
	}
	return nil
}

// A treeWriter writes a tar archive in which each directory comes before what it holds, once.
type treeWriter struct {
	tar  *tar.Writer
	made map[string]bool
	err  error
}

func (w *treeWriter) dir(name string) {
	if name == "/" || w.made[name] {
		return
	}
	w.dir(path.Dir(name))
	w.made[name] = true
	w.entry(tar.Header{Typeflag: tar.TypeDir, Name: name[1:] + "/", Mode: 0o755}, nil)
}

func (w *treeWriter) file(name string, mode int64, data []byte) {
	w.dir(path.Dir(name))
	w.entry(tar.Header{Typeflag: tar.TypeReg, Name: name[1:], Mode: mode, Size: int64(len(data))}, data)
}

func (w *treeWriter) link(name, to string) {
	w.dir(path.Dir(name))
	w.entry(tar.Header{Typeflag: tar.TypeSymlink, Name: name[1:], Linkname: to, Mode: 0o777}, nil)
}

func (w *treeWriter) entry(h tar.Header, data []byte) {
	if w.err == nil {
		w.err = w.tar.WriteHeader(&h)
	}
	if w.err == nil {
		_, w.err = w.tar.Write(data)
	}
}

func (w *treeWriter) close() error { return errors.Join(w.err, w.tar.Close()) }
