// SPDX-License-Identifier: Apache-2.0

package director

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/state"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/via"
	"github.com/tandem-lvs/tandem/lvs"
)

// A master that checks a real server through the VIP gets the answers from an address that it has itself. Over IPv4 the
// kernel drops such packets, unless the interface that they come in by has accept_local; and with strict rp_filter also
// where the VIP is on another interface. A backup has the settings too, so that a failover finds them.

// A changedSetting is a kernel setting that is otherwise because of us.
type changedSetting struct {
	Former string `json:"former"`
	Ours   string `json:"ours"`
}

// An ingress keeps the settings of the interfaces that answers come in by.
type ingress struct {
	root string // of the settings, /proc/sys
	file *state.File[map[string]changedSetting]
	log  hclog.Logger

	problem string // that was logged
}

// An inlet is an interface that answers come in by.
type inlet struct {
	link      string
	elsewhere bool // for a VIP that is on another interface
}

// wanted are the settings that inlets need, by their paths.
func (g *ingress) wanted(inlets []inlet) (map[string]string, error) {
	want := make(map[string]string)
	for _, in := range inlets {
		want[conf(in.link, "accept_local")] = "1"
		if !in.elsewhere {
			continue
		}
		all, err := g.filter("all")
		if err != nil {
			return nil, err
		}
		own, err := g.filter(in.link)
		if err != nil {
			return nil, err
		}
		if max(all, own) == 1 { // the larger one counts
			want[conf(in.link, "rp_filter")] = "2"
		}
	}
	return want, nil
}

func conf(link, name string) string { return "net/ipv4/conf/" + link + "/" + name }

// filter is an interface's rp_filter, as it is without us.
func (g *ingress) filter(link string) (int, error) {
	path := conf(link, "rp_filter")
	value := g.file.Value[path].Former
	if value == "" {
		var err error
		if value, err = g.read(path); err != nil {
			return 0, err
		}
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", path, err)
	}
	return n, nil
}

// keep makes the settings what want says, and those that it does not name what they were before us, unless somebody
// else has set them since. What they were is on the disk before it is changed.
func (g *ingress) keep(want map[string]string) error {
	now := maps.Clone(g.file.Value)
	if now == nil {
		now = make(map[string]changedSetting)
	}
	var errs []error
	writes := make(map[string]string)
	for path, value := range want {
		is, err := g.read(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if is != value {
			if _, ours := now[path]; !ours {
				now[path] = changedSetting{Former: is, Ours: value}
			}
			writes[path] = value
		}
	}
	for path, c := range g.file.Value {
		if _, ok := want[path]; ok {
			continue
		}
		is, err := g.read(path)
		switch {
		case err == nil && is == c.Ours:
			writes[path] = c.Former
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			errs = append(errs, err)
			continue
		}
		delete(now, path)
	}
	// Remembered is what is about to change, and until it is done what is about to be changed back.
	both := maps.Clone(g.file.Value)
	if both == nil {
		both = make(map[string]changedSetting)
	}
	maps.Copy(both, now)
	errs = append(errs, g.remember(both))
	for _, path := range slices.Sorted(maps.Keys(writes)) {
		if err := os.WriteFile(filepath.Join(g.root, path), []byte(writes[path]), 0); err != nil {
			errs = append(errs, fmt.Errorf("set %s to %s: %w", path, writes[path], err))
			now[path] = both[path]
			continue
		}
		g.log.Info("set for checks through the VIP", "setting", strings.ReplaceAll(path, "/", "."), "value", writes[path])
	}
	return errors.Join(append(errs, g.remember(now))...)
}

// remember writes the file if it says something else.
func (g *ingress) remember(now map[string]changedSetting) error {
	if maps.Equal(now, g.file.Value) {
		return nil
	}
	return g.file.Store(now)
}

func (g *ingress) read(path string) (string, error) {
	text, err := os.ReadFile(filepath.Join(g.root, path))
	if err != nil {
		return "", fmt.Errorf("read setting: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// A probed is what the answers' way in depends on.
type probed struct{ server, source, vip netip.Addr }

// inlets finds the interfaces that answers to the marked IPv4 probes of a configuration come in by. It is not complete
// while there is no route to some server.
func inlets(cfg *configs.Config) (all []inlet, complete bool, err error) {
	seen := make(map[probed]bool)
	complete = true
	for _, svc := range cfg.Services {
		for _, srv := range svc.Servers {
			for _, check := range srv.Checks {
				at := probed{srv.Addr, check.Source, check.Via}
				if d, needs := srv.ProbeRoute(check); !needs || d.Family != lvs.IPv4 || seen[at] {
					continue
				}
				seen[at] = true
				links, err := via.ReturnInterfaces(&healthcheck.Target{Addr: netip.AddrPortFrom(srv.Addr, srv.Port), Config: check})
				if err != nil {
					return nil, false, err
				}
				complete = complete && len(links) > 0
				holder := holderOf(cfg.Routers, check.Via)
				for _, link := range links {
					if in := (inlet{link, holder != "" && holder != link}); !slices.Contains(all, in) {
						all = append(all, in)
					}
				}
			}
		}
	}
	return all, complete, nil
}

// holderOf is the interface that a virtual router puts a VIP on; empty: none does.
func holderOf(routers []configs.Router, vip netip.Addr) string {
	for _, r := range routers {
		if slices.ContainsFunc(slices.Concat(r.VIPs, r.ExcludedVIPs), func(p netip.Prefix) bool { return p.Addr() == vip }) {
			return r.AddressInterface()
		}
	}
	return ""
}

// keepIngress does so for the configuration; false when it has to be tried again soon. It is keepTable's.
func (d *Director) keepIngress() (done bool) {
	d.mu.Lock()
	cfg := d.config
	d.mu.Unlock()
	in, complete, err := inlets(cfg)
	want := map[string]string{}
	if err == nil {
		want, err = d.ingress.wanted(in)
	}
	if err == nil {
		err = d.ingress.keep(want)
	}
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	if problem != "" && problem != d.ingress.problem {
		d.log.Error("prepare the interfaces for checks through the VIP", "error", problem)
	}
	d.ingress.problem = problem
	return complete && err == nil
}
