// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs/internal/nstest"
)

// TestEndsWhereItBegan: after remove, the machine is as it was before the first apply, whatever happened in between. Steps
// before "·" are done before the first apply.
func TestEndsWhereItBegan(t *testing.T) {
	for _, sequence := range []string{
		// Nothing happens in between.
		"· dr",
		"· dr, dr",
		"· filter",
		"· persist",
		"· tunnel",
		"· both",
		"· other, dr",
		"· dr, tunnel",
		"· tunnel, dr",
		"· dr, filter, dr",
		"· persist, dr",
		// The machine was not clean before.
		"vip on eth0 · dr",
		"vip on eth0 · dr, tunnel",
		"vip on lo · dr",
		"vip on lo · filter, tunnel",
		"vip net on lo · dr",
		"all silent · dr",
		"tunl0 up, tunl0 unfiltered · tunnel",
		"file · persist",
		// Somebody changes what apply made, and apply repairs it.
		"· dr, vip on eth0, dr",
		"· tunnel, vip on eth0, tunnel",
		"· filter, vip on eth0, filter",
		"· dr, vip net on lo, dr",
		"· dr, vip off lo, dr",
		"vip on lo · dr, vip off lo, dr",
		"vip on eth0 · dr, vip on eth0, dr",
		"all silent · dr, eth0 loud, all loud, dr",
		"· dr, all loud, eth0 stricter, dr",
		"tunl0 unfiltered · tunnel, tunl0 filtered, tunnel",
		"tunl0 up · tunnel, tunl0 down, tunnel",
		"· tunnel, tunl0 down, tunl0 filtered, tunnel",
		"· filter, filter gone, filter",
		"· persist, file, persist",
		"file · persist, no file, persist",
		// Somebody changes what apply made, and nothing repairs it.
		"· dr, vip on eth0",
		"· tunnel, vip net on lo",
		"· dr, eth0 stricter",
		"· dr, all loud",
		"all silent · dr, all loud",
		"vip on lo · dr, vip off lo",
		"tunl0 up · tunnel, tunl0 down",
		"· filter, filter gone",
		"· persist, no file",
		// The doctor's settings.
		"· keep",
		"· dr, keep",
		"· keep, keep, persist",
		"· persist, keep, dr",
		// Routes.
		"default · dr",
		"default · dr, default from the vip",
		"default · dr, default from the vip, tunnel",
		"default, vip on eth0 · dr, vip on eth0",
		// NAT.
		"· nat",
		"default · nat",
		"low default · nat",
		"default, low default · nat",
		"default from eth0 · nat",
		"· nat, nat",
		"default · nat, other default, nat",
		"default · nat, other default",
		"default · nat, dr",
		"low default · dr, nat, low default, nat",
		"default by the vip · nat, other default, nat",
	} {
		t.Run(sequence, func(t *testing.T) {
			t.Parallel()
			m := newShifting(t)
			before, after, _ := strings.Cut(sequence, "·")
			m.all(before)
			began := m.world()
			m.all(after)
			m.do("remove")
			ended := m.world()
			for _, line := range began {
				if !slices.Contains(ended, line) {
					t.Errorf("is gone: %s", line)
				}
			}
			for _, line := range ended {
				if !slices.Contains(began, line) {
					t.Errorf("is new:  %s", line)
				}
			}
			if saved := m.record.saved; !reflect.ValueOf(saved).IsZero() {
				t.Errorf("the record is left: %+v", saved)
			}
		})
	}
}

// A shifting is a real server, 192.0.2.11 on eth0, that several programs and people change.
type shifting struct {
	t       *testing.T
	ns      *nstest.NS
	machine *Machine
	record  fakeStore
	file    string // of sysctl.d
}

func newShifting(t *testing.T) *shifting {
	m := &shifting{t: t, ns: nstest.New(t), file: filepath.Join(t.TempDir(), "60-tandem-realserver.conf")}
	nstest.Veth(t, m.ns, "eth0", nstest.New(t), "peer0")
	m.machine = newMachine(t.TempDir(), &m.record)
	m.do("start")
	return m
}

func (m *shifting) all(list string) {
	m.t.Helper()
	for _, name := range strings.Split(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			m.do(name)
		}
	}
}

func (m *shifting) do(name string) {
	m.t.Helper()
	c, apply := m.configs()[name]
	act := m.acts()[name]
	var err error
	m.ns.Do(func() {
		switch {
		case apply:
			_, err = m.machine.Apply(c)
		case act != nil:
			err = act()
		default:
			err = errors.New("this is nothing that the test knows")
		}
	})
	if err != nil {
		m.t.Fatalf("%s: %v", name, err)
	}
}

func (m *shifting) configs() map[string]Config {
	one := vips(vip4)
	return map[string]Config{
		"dr":      {VIPs: one, Mode: DirectRouting, Method: Sysctl},
		"other":   {VIPs: vips("192.0.2.101"), Mode: DirectRouting, Method: Sysctl},
		"both":    {VIPs: vips(vip4, vip6), Mode: DirectRouting, Method: Sysctl},
		"filter":  {VIPs: one, Mode: DirectRouting, Method: ARPFilter},
		"persist": {VIPs: one, Mode: DirectRouting, Method: Sysctl, DropIn: m.file},
		"tunnel":  {VIPs: one, Mode: Tunnel, Method: Sysctl},
		"nat":     {VIPs: vips("192.0.2.101"), Mode: NAT, Method: Sysctl},
	}
}

func (m *shifting) acts() map[string]func() error {
	set := func(name, value string) func() error {
		return func() error {
			return os.WriteFile(filepath.Join(procSys, "net/ipv4/conf", name), []byte(value), 0)
		}
	}
	link := func(name string, change func(netlink.Link) error) func() error {
		return func() error {
			dev, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			return change(dev)
		}
	}
	add := func(iface, prefix string) func() error { return func() error { return addAddr(iface, prefix) } }
	return map[string]func() error{
		"start": func() error {
			// This kernel may have no tunnels. An interface of this name does as well.
			attrs := netlink.NewLinkAttrs()
			attrs.Name = tunnel4
			return errors.Join(addAddr("eth0", "192.0.2.11/24"), netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "end0"}),
				set("tunl0/rp_filter", "1")())
		},
		"remove":      func() error { _, err := m.machine.Remove(); return err },
		"vip on eth0": add("eth0", vip4+"/24"), "vip net on lo": add("lo", vip4+"/24"), "vip on lo": add("lo", vip4+"/32"),
		"vip off lo": link("lo", func(dev netlink.Link) error {
			return netlink.AddrDel(dev, &netlink.Addr{IPNet: network(whole(vips(vip4)[0]))})
		}),
		"all silent": func() error { return errors.Join(set("all/arp_ignore", "2")(), set("all/arp_announce", "2")()) },
		"all loud":   func() error { return errors.Join(set("all/arp_ignore", "0")(), set("all/arp_announce", "0")()) },
		"eth0 loud":  set("eth0/arp_announce", "1"), "eth0 stricter": set("eth0/arp_ignore", "8"),
		"tunl0 up": link(tunnel4, netlink.LinkSetUp), "tunl0 down": link(tunnel4, netlink.LinkSetDown),
		"tunl0 filtered": set("tunl0/rp_filter", "1"), "tunl0 unfiltered": set("tunl0/rp_filter", "0"),
		"filter gone": removeFilter,
		"keep": func() error {
			return m.machine.Keep(map[string]string{"net/ipv4/ip_forward": "1", "net/ipv4/conf/all/send_redirects": "0"}, m.file+".doctor")
		},
		"file":                 func() error { return os.WriteFile(m.file, []byte("kernel.panic = 1\n"), 0o644) },
		"no file":              func() error { return os.Remove(m.file) },
		"default":              func() error { return setDefault("192.0.2.1", "", 0) },
		"default from the vip": func() error { return setDefault("192.0.2.1", vip4, 0) },
		"default from eth0":    func() error { return setDefault("192.0.2.1", "192.0.2.11", 0) },
		"default by the vip":   func() error { return setDefault("192.0.2.101", "", 0) },
		"other default":        func() error { return setDefault("192.0.2.2", "", 0) },
		"low default":          func() error { return setDefault("192.0.2.3", "", 100) },
	}
}

// setDefault sets the default route of a metric.
func setDefault(gateway, source string, metric int) error {
	dev, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	return netlink.RouteReplace(&netlink.Route{LinkIndex: dev.Attrs().Index, Gw: net.ParseIP(gateway), Src: net.ParseIP(source),
		Priority: metric, Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}})
}

// TestCommandsDoTheSame: the printed commands, run by a shell, do what Apply and Remove do. (nft is not everywhere.)
func TestCommandsDoTheSame(t *testing.T) {
	for _, row := range []string{"dr", "both", "persist", "tunnel", "nat"} {
		t.Run(row, func(t *testing.T) {
			t.Parallel()
			m := newShifting(t)
			m.all("default, vip net on lo")
			began := m.world()
			m.run(func() ([]Step, error) { return m.machine.Check(m.configs()[row]) })
			prepared := m.world()
			m.do(row) // which finds nothing to do, and records it
			if now := m.world(); !slices.Equal(prepared, now) {
				t.Errorf("after the commands, apply changed\n%s\nto\n%s", strings.Join(prepared, "\n"), strings.Join(now, "\n"))
			}
			m.do("remove")

			m = newShifting(t)
			m.all("default, vip net on lo")
			m.do(row)
			m.run(m.machine.CheckRemove)
			if ended := m.world(); len(ended) != len(began) {
				t.Errorf("the machine was\n%s\nand is\n%s", strings.Join(began, "\n"), strings.Join(ended, "\n"))
			}
		})
	}
}

// run runs the printed commands by a shell.
func (m *shifting) run(steps func() ([]Step, error)) {
	m.t.Helper()
	var list []Step
	var err error
	m.ns.Do(func() {
		list, err = steps()
		for _, s := range list {
			if out, e := exec.Command("sh", "-c", s.String()).CombinedOutput(); e != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w: %s", s, e, out))
			}
		}
	})
	if err != nil || len(list) == 0 {
		m.t.Fatalf("%d commands: %v", len(list), err)
	}
}

// world lists all that Apply may change, and more: one line for each address, route, rule, setting, link, filter, module,
// and for the file.
func (m *shifting) world() (all []string) {
	m.t.Helper()
	var err error
	m.ns.Do(func() { all, err = world(m.file) })
	if err != nil {
		m.t.Fatal(err)
	}
	return all
}

func world(file string) (all []string, err error) {
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	links, err := netlink.LinkList()
	for _, dev := range links {
		say("link %s: up %t", dev.Attrs().Name, dev.Attrs().RawFlags&unix.IFF_UP != 0)
		addrs, e := netlink.AddrList(dev, netlink.FAMILY_ALL)
		err = errors.Join(err, e)
		for _, a := range addrs {
			if !a.IP.IsLinkLocalUnicast() { // which the kernel adds to a link that is up, later
				say("address %s: label %q scope %d flags %#x broadcast %s", a.IPNet, a.Label, a.Scope, a.Flags&^unix.IFA_F_TENTATIVE, a.Broadcast)
			}
		}
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, e := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		err = errors.Join(err, e)
		for _, r := range routes {
			if !r.Dst.IP.IsLinkLocalUnicast() && !r.Dst.IP.IsMulticast() {
				say("route %s", r)
			}
		}
		rules, e := netlink.RuleList(family)
		err = errors.Join(err, e)
		for _, r := range rules {
			say("rule %d %s", family, r)
		}
	}
	for _, pattern := range []string{"net/ipv4/conf/*/*", "net/ipv6/conf/*/*", "net/ipv4/ip_*"} {
		files, _ := filepath.Glob(filepath.Join(procSys, pattern))
		for _, f := range files {
			if text, e := os.ReadFile(f); e == nil { // a secret that is not set cannot be read
				say("sysctl %s=%s", f, text)
			}
		}
	}
	conn, e := nftables.New()
	if err = errors.Join(err, e); err != nil {
		return nil, err
	}
	tables, e := conn.ListTables()
	for _, table := range tables {
		say("filter %d %s", table.Family, table.Name)
	}
	modules, e2 := filepath.Glob("/sys/module/*tun*")
	say("modules %v", modules)
	files, e3 := filepath.Glob(file + "*")
	for _, f := range files {
		text, e4 := os.ReadFile(f)
		say("file %s %q", f, text)
		e3 = errors.Join(e3, e4)
	}
	return all, errors.Join(err, e, e2, e3)
}
