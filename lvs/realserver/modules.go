// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A tunnel is an interface that a module makes in every network namespace, and the kind of such interfaces.
type tunnel struct{ module, kind string }

// tunnels by the interface's name.
var tunnels = map[string]tunnel{tunnel4: {"ipip", "ipip"}, tunnel6: {"ip6_tunnel", "ip6tnl"}}

// readModules finds which of the modules are loaded, and which of those that we loaded nobody else uses. The kernel does
// not count a tunnel's interface as a use of its module: without the module the interface is gone, in every namespace.
func readModules(s *State, r Record) error {
	for _, name := range slices.Sorted(maps.Keys(tunnels)) {
		t := tunnels[name]
		if _, err := os.Stat("/sys/module/" + t.module); err != nil {
			continue
		}
		s.Loaded = append(s.Loaded, t.module)
		if !slices.Contains(r.Modules, t.module) {
			continue
		}
		used, err := usedElsewhere(name, t.kind)
		if err != nil {
			return fmt.Errorf("failed to find who uses module %s: %w", t.module, err)
		}
		if !used && s.onlyOurs(name, r) {
			s.Unused = append(s.Unused, t.module)
		}
	}
	return nil
}

// onlyOurs reports whether an interface of this namespace has no addresses but VIPs, and is down unless we brought it up.
func (s State) onlyOurs(name string, r Record) bool {
	l, _ := s.link(name)
	foreign := slices.ContainsFunc(l.Addrs, func(a Address) bool {
		return !r.knows(a.Prefix.Addr()) && !a.Prefix.Addr().IsLinkLocalUnicast() // which the kernel adds to an interface that is up
	})
	return !foreign && (!l.Up || slices.Contains(r.Up, name))
}

// namespaces are the files of network namespaces: that of each process, and those that have a name.
var namespaces = []string{"/proc/[0-9]*/ns/net", "/run/netns/*"}

// usedElsewhere reports whether there is another interface of the kind here, or one that is up in another network namespace.
func usedElsewhere(name, kind string) (bool, error) {
	here, err := os.Stat("/proc/thread-self/ns/net")
	if err != nil {
		return false, err
	}
	files := []string{"/proc/thread-self/ns/net"}
	for _, pattern := range namespaces {
		some, err := filepath.Glob(pattern)
		if err != nil {
			return false, err
		}
		files = append(files, some...)
	}
	var seen []os.FileInfo
	for _, file := range files {
		ns, err := os.Stat(file)
		if err != nil || slices.ContainsFunc(seen, func(o os.FileInfo) bool { return os.SameFile(o, ns) }) {
			continue // the process has ended, or its namespace is known
		}
		seen = append(seen, ns)
		links, err := linksIn(file)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(links, func(l netlink.Link) bool {
			other := l.Attrs().Name != name
			return l.Type() == kind && (other || !os.SameFile(ns, here) && l.Attrs().RawFlags&unix.IFF_UP != 0)
		}) {
			return true, nil
		}
	}
	return false, nil
}

// linksIn lists the interfaces of the namespace that a file leads to. There are none if the process has ended, or if nothing
// is mounted on the name.
func linksIn(file string) ([]netlink.Link, error) {
	ns, err := netns.GetFromPath(file)
	if err != nil {
		return nil, nil
	}
	defer ns.Close()
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(ns), &fs); err != nil || fs.Type != unix.NSFS_MAGIC {
		return nil, nil
	}
	handle, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("failed to open netlink socket in %s: %w", file, err)
	}
	defer handle.Close()
	if err := handle.SetSocketTimeout(netlinkTimeout); err != nil {
		return nil, fmt.Errorf("failed to set timeout of netlink socket: %w", err)
	}
	return again(handle.LinkList)
}

// loadModule loads a module with those that it needs.
func loadModule(name string) error { return modprobe("load", name) }

// unloadModule also unloads the modules that only this one needed.
func unloadModule(name string) error { return modprobe("unload", "--remove", name) }

func modprobe(what string, args ...string) error {
	out, err := exec.Command("modprobe", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("failed to %s module %s: %w: %s", what, args[len(args)-1], err, strings.TrimSpace(string(out)))
	}
	return nil
}
