// SPDX-License-Identifier: Apache-2.0

package workers

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
	"github.com/tandem-lvs/tandem/lvs"
)

// A master that checks a real server through the VIP gets the answers from an address that it has itself. Over IPv4 the
// kernel drops such packets unless the interface that they arrive at has accept_local. With strict rp_filter it drops them
// also where the VIP is on another interface. A backup has the settings too, so that a failover finds them.

// A ChangedSetting is a kernel setting that is otherwise because of us.
type ChangedSetting struct {
	Former string `json:"former"`
	Ours   string `json:"ours"`
}

// A ReturnPath keeps the settings of the interfaces that answers to probes through the VIP arrive at.
type ReturnPath struct {
	root string // of the settings, /proc/sys
	file *state.File[map[string]ChangedSetting]
	log  hclog.Logger
}

// A returnInterface is an interface that answers arrive at.
type returnInterface struct {
	link      string
	elsewhere bool // for a VIP that is on another interface
}

// wanted are the settings that interfaces need, by their paths.
func (p *ReturnPath) wanted(interfaces []returnInterface) (map[string]string, error) {
	want := make(map[string]string)
	for _, in := range interfaces {
		want[conf(in.link, "accept_local")] = "1"
		if !in.elsewhere {
			continue
		}
		all, err := p.filter("all")
		if err != nil {
			return nil, err
		}
		own, err := p.filter(in.link)
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
func (p *ReturnPath) filter(link string) (int, error) {
	path := conf(link, "rp_filter")
	value := p.file.Value[path].Former
	if value == "" {
		var err error
		if value, err = p.read(path); err != nil {
			return 0, err
		}
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		return 0, fmt.Errorf("failed to read %s: %w", path, err)
	}
	return n, nil
}

// keep makes the settings what want says, and those that it does not name what they were before us, unless somebody
// else has set them since. What they were is on the disk before it is changed.
func (p *ReturnPath) keep(want map[string]string) error {
	now := maps.Clone(p.file.Value)
	if now == nil {
		now = make(map[string]ChangedSetting)
	}
	var errs []error
	writes := make(map[string]string)
	for path, value := range want {
		is, err := p.read(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if is != value {
			if _, ours := now[path]; !ours {
				now[path] = ChangedSetting{Former: is, Ours: value}
			}
			writes[path] = value
		}
	}
	for path, c := range p.file.Value {
		if _, ok := want[path]; ok {
			continue
		}
		is, err := p.read(path)
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
	both := maps.Clone(p.file.Value)
	if both == nil {
		both = make(map[string]ChangedSetting)
	}
	maps.Copy(both, now)
	errs = append(errs, p.remember(both))
	for _, path := range slices.Sorted(maps.Keys(writes)) {
		if err := os.WriteFile(filepath.Join(p.root, path), []byte(writes[path]), 0); err != nil {
			errs = append(errs, fmt.Errorf("failed to set %s to %s: %w", path, writes[path], err))
			now[path] = both[path]
			continue
		}
		p.log.Info("set for checks through the VIP", "setting", strings.ReplaceAll(path, "/", "."), "value", writes[path])
	}
	return errors.Join(append(errs, p.remember(now))...)
}

// remember writes the file if it says something else.
func (p *ReturnPath) remember(now map[string]ChangedSetting) error {
	if maps.Equal(now, p.file.Value) {
		return nil
	}
	p.file.Value = now
	return p.file.Store()
}

func (p *ReturnPath) read(path string) (string, error) {
	text, err := os.ReadFile(filepath.Join(p.root, path))
	if err != nil {
		return "", fmt.Errorf("failed to read a setting: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// A probed is what the way of the answers depends on.
type probed struct{ server, source, vip netip.Addr }

// returnInterfaces finds the interfaces that answers to the marked IPv4 probes of a configuration arrive at. It is not complete
// while there is no route to some server.
func returnInterfaces(cfg *configs.Config) (all []returnInterface, complete bool, err error) {
	seen := make(map[probed]bool)
	complete = true
	for _, svc := range cfg.Services {
		for _, srv := range svc.Servers {
			for _, check := range srv.Checks {
				at := probed{srv.Addr, check.Source, check.Via}
				if d, needs := srv.Detour(check); !needs || d.Family != lvs.IPv4 || seen[at] {
					continue
				}
				seen[at] = true
				links, err := healthcheck.Ingress(healthcheck.Target{Addr: netip.AddrPortFrom(srv.Addr, srv.Port), Config: check})
				if err != nil {
					return nil, false, err
				}
				complete = complete && len(links) > 0
				own := interfaceOf(cfg.Routers, check.Via)
				for _, link := range links {
					if in := (returnInterface{link, own != "" && own != link}); !slices.Contains(all, in) {
						all = append(all, in)
					}
				}
			}
		}
	}
	return all, complete, nil
}

// interfaceOf is the interface that a virtual router puts a VIP on; empty: none does.
func interfaceOf(routers []configs.Router, vip netip.Addr) string {
	for _, r := range routers {
		if slices.ContainsFunc(slices.Concat(r.VIPs, r.ExcludedVIPs), func(p netip.Prefix) bool { return p.Addr() == vip }) {
			return r.AddressInterface()
		}
	}
	return ""
}

// NewReturnPath returns a keeper of the settings below root, /proc/sys, that remembers in file what they were.
func NewReturnPath(root string, file *state.File[map[string]ChangedSetting], log hclog.Logger) *ReturnPath {
	return &ReturnPath{root: root, file: file, log: log}
}

// Apply makes the settings what a configuration needs. It is not complete while there is no route to some server.
func (p *ReturnPath) Apply(cfg *configs.Config) (complete bool, err error) {
	interfaces, complete, err := returnInterfaces(cfg)
	if err != nil {
		return false, err
	}
	want, err := p.wanted(interfaces)
	if err == nil {
		err = p.keep(want)
	}
	return complete && err == nil, err
}

// Restore makes the settings what they were before us.
func (p *ReturnPath) Restore() error { return p.keep(nil) }
