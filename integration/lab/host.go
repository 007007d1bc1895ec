// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// MainSwitch is the switch that [Lab.Host] plugs hosts into.
const MainSwitch = "lan"

const bridgeName = "br0"

// A Host is a machine of the lab: a network namespace with eth0, eth1, … for its cables.
type Host struct {
	Name string

	lab    *Lab
	ns     netns.NsHandle
	dir    string
	cables []cable
	calls  atomic.Uint32 // source ports that callers have had
}

// A cable joins an interface of a host to a port of a switch.
type cable struct {
	sw   string
	port string
}

// Host makes a host that is plugged into the main switch with eth0, which carries the addresses ("192.0.2.2/24").
// The name is at most 12 characters long.
func (l *Lab) Host(name string, addrs ...string) *Host {
	l.t.Helper()
	return l.HostAt(MainSwitch, name, addrs...)
}

// HostAt is Host for another switch.
func (l *Lab) HostAt(sw, name string, addrs ...string) *Host {
	l.t.Helper()
	ns, err := newNamespace()
	if err != nil {
		l.t.Fatalf("host %s: %v", name, err)
	}
	h := &Host{Name: name, lab: l, ns: ns, dir: filepath.Join(l.dir, name)}
	l.hosts = append(l.hosts, h)
	if err := os.Mkdir(h.dir, 0o755); err != nil {
		l.t.Fatalf("host %s: %v", name, err)
	}
	h.Join(sw, addrs...)
	return h
}

// Join plugs the host into one more switch, which is made if it is new, and returns the interface's name.
func (h *Host) Join(sw string, addrs ...string) string {
	h.lab.t.Helper()
	ifi := "eth" + strconv.Itoa(len(h.cables))
	c := cable{sw: sw, port: h.Name + "-" + strconv.Itoa(len(h.cables))}
	err := h.lab.inSwitch(sw, func(br *netlink.Bridge) error {
		return plug(c.port, br.Index, h, ifi)
	})
	if err == nil {
		err = inNamespace(h.ns, func() error {
			if err := setUp(ifi); err != nil {
				return err
			}
			return addAddrs(ifi, addrs)
		})
	}
	if err != nil {
		h.lab.t.Fatalf("join %s to %s: %v", h.Name, sw, err)
	}
	h.cables = append(h.cables, c)
	return ifi
}

// inSwitch runs f in the switch's namespace. It makes the switch first if it is new.
func (l *Lab) inSwitch(name string, f func(*netlink.Bridge) error) error {
	l.mu.Lock()
	ns, ok := l.switches[name]
	l.mu.Unlock()
	if !ok {
		var err error
		if ns, err = newNamespace(); err != nil {
			return err
		}
		l.mu.Lock()
		l.switches[name] = ns
		l.mu.Unlock()
		err = inNamespace(ns, func() error {
			if err := stayMute(); err != nil {
				return err
			}
			attrs := netlink.NewLinkAttrs()
			attrs.Name = bridgeName
			// A snooping bridge without a querier may not forward multicast.
			snooping := false
			if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}); err != nil {
				return fmt.Errorf("add bridge: %w", err)
			}
			return setUp(bridgeName)
		})
		if err != nil {
			return err
		}
	}
	return inNamespace(ns, func() error {
		link, err := netlink.LinkByName(bridgeName)
		if err != nil {
			return err
		}
		br, ok := link.(*netlink.Bridge)
		if !ok {
			return fmt.Errorf("%s is a %s", bridgeName, link.Type())
		}
		return f(br)
	})
}

// stayMute lets a switch have no addresses of its own. Otherwise a port that is isolated has one, and a machine takes what the
// port says for a sign that others are there.
func stayMute() error {
	for _, of := range []string{"all", "default"} {
		err := os.WriteFile("/proc/sys/net/ipv6/conf/"+of+"/disable_ipv6", []byte("1"), 0)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Cut pulls the cable of eth0 out at the switch: the host loses its carrier.
func (h *Host) Cut() { h.lab.t.Helper(); h.cable("cut", netlink.LinkSetDown) }

// Plug puts the cable of eth0 back.
func (h *Host) Plug() { h.lab.t.Helper(); h.cable("plugged in", netlink.LinkSetUp) }

// Isolate makes the switch drop all frames from and to eth0. The carrier stays, so the host cannot see the fault.
func (h *Host) Isolate() { h.lab.t.Helper(); h.cable("isolated", netlink.LinkSetNoMaster) }

// Rejoin ends what Isolate began.
func (h *Host) Rejoin() { h.lab.t.Helper(); h.cable("rejoined", joinBridge) }

func joinBridge(port netlink.Link) error {
	br, err := netlink.LinkByName(bridgeName)
	if err != nil {
		return err
	}
	return netlink.LinkSetMaster(port, br)
}

// cable does something to the switch's end of the cable of eth0.
func (h *Host) cable(what string, do func(netlink.Link) error) {
	h.lab.t.Helper()
	c := h.cables[0]
	err := h.lab.inSwitch(c.sw, func(*netlink.Bridge) error {
		port, err := netlink.LinkByName(c.port)
		if err != nil {
			return err
		}
		return do(port)
	})
	if err != nil {
		h.lab.t.Fatalf("cable of %s: %v", h.Name, err)
	}
	h.lab.Logf("%s %s", h.Name, what)
}

// Do runs f on a thread in the host's namespace and waits for it. Sockets that f opens stay in the namespace;
// goroutines that it starts do not run there.
func (h *Host) Do(f func() error) error { return inNamespace(h.ns, f) }

// Dir is the host's own directory, which is removed after the test.
func (h *Host) Dir() string { return h.dir }

// WriteFile writes a file in the host's directory and returns its path.
func (h *Host) WriteFile(name, text string) string {
	h.lab.t.Helper()
	file := filepath.Join(h.dir, name)
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = os.WriteFile(file, []byte(text), 0o644)
	}
	if err != nil {
		h.lab.t.Fatalf("host %s: %v", h.Name, err)
	}
	return file
}

// Sysctl sets kernel parameters of the host ("net.ipv4.ip_forward").
func (h *Host) Sysctl(values map[string]string) {
	h.lab.t.Helper()
	err := h.Do(func() error {
		var errs []error
		for key, value := range values {
			file := "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
			errs = append(errs, os.WriteFile(file, []byte(value), 0))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		h.lab.t.Fatalf("sysctl on %s: %v", h.Name, err)
	}
}

// ReadFiles returns the texts of the files that match a pattern, as programs on the host see them. It leaves out the files whose
// names are listed.
func (h *Host) ReadFiles(pattern string, without ...string) map[string]string {
	h.lab.t.Helper()
	all := make(map[string]string)
	err := h.Do(func() error {
		files, err := filepath.Glob(pattern)
		for _, file := range files {
			if slices.Contains(without, filepath.Base(file)) {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			all[file] = string(text)
		}
		return err
	})
	if err != nil {
		h.lab.t.Fatalf("read %s on %s: %v", pattern, h.Name, err)
	}
	return all
}

// RealServer prepares a host for direct routing: it has the addresses on lo and does not answer ARP for them.
func (h *Host) RealServer(vips ...string) {
	h.lab.t.Helper()
	h.Sysctl(map[string]string{
		"net.ipv4.conf.all.arp_ignore":   "1",
		"net.ipv4.conf.all.arp_announce": "2",
	})
	err := h.Do(func() error {
		for _, vip := range vips {
			a, err := netip.ParseAddr(vip)
			if err != nil {
				return err
			}
			if err := addAddrs("lo", []string{netip.PrefixFrom(a, a.BitLen()).String()}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		h.lab.t.Fatalf("real server %s: %v", h.Name, err)
	}
}

// Has reports whether an interface of the host carries the address.
func (h *Host) Has(addr string) bool {
	h.lab.t.Helper()
	found := false
	err := h.Do(func() error {
		addrs, err := netlink.AddrList(nil, unix.AF_UNSPEC)
		for errors.Is(err, netlink.ErrDumpInterrupted) {
			// The addresses changed meanwhile.
			addrs, err = netlink.AddrList(nil, unix.AF_UNSPEC)
		}
		for _, a := range addrs {
			found = found || a.IP.String() == addr
		}
		return err
	})
	if err != nil {
		h.lab.t.Fatalf("addresses of %s: %v", h.Name, err)
	}
	return found
}

// MAC is the hardware address of eth0.
func (h *Host) MAC() string {
	h.lab.t.Helper()
	mac := ""
	err := h.Do(func() error {
		ifi, err := net.InterfaceByName("eth0")
		if err == nil {
			mac = ifi.HardwareAddr.String()
		}
		return err
	})
	if err != nil {
		h.lab.t.Fatalf("interface of %s: %v", h.Name, err)
	}
	return mac
}

// Pids returns the processes in the host's namespace.
func (h *Host) Pids() []int {
	var mine unix.Stat_t
	if err := unix.Fstat(int(h.ns), &mine); err != nil {
		return nil
	}
	links, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	var pids []int
	for _, link := range links {
		var other unix.Stat_t
		if unix.Stat(link, &other) == nil && other.Ino == mine.Ino {
			// Glob matched digits. A number that does not fit is no process.
			if pid, err := strconv.Atoi(strings.Split(link, "/")[2]); err == nil && pid != os.Getpid() {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// killAll kills the processes that are left in the host. It is an error if one stays.
func (h *Host) killAll() {
	h.lab.t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		pids := h.Pids()
		if len(pids) == 0 {
			return
		}
		if time.Now().After(deadline) {
			h.lab.t.Errorf("processes %v outlive host %s", pids, h.Name)
			return
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func setUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	if err != nil {
		return fmt.Errorf("bring %s up: %w", name, err)
	}
	return nil
}

// addAddrs adds addresses; IPv6 ones are usable at once, without duplicate detection.
func addAddrs(ifi string, addrs []string) error {
	link, err := netlink.LinkByName(ifi)
	if err != nil {
		return fmt.Errorf("find %s: %w", ifi, err)
	}
	for _, text := range addrs {
		a, err := netlink.ParseAddr(text)
		if err != nil {
			return err
		}
		if a.IP.To4() == nil {
			a.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(link, a); err != nil {
			return fmt.Errorf("add %s to %s: %w", text, ifi, err)
		}
	}
	return nil
}
