// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/via"
	"github.com/tandem-lvs/tandem/lvs"
)

// A master that checks a real server through the VIP gets answers from an address that it has itself. Over IPv4 the kernel
// drops such packets if the interface where they arrive does not have accept_local. With strict rp_filter it also drops them
// if the VIP is on another interface. A backup has the same settings, so that they are there after a failover.

// A returnInterface is an interface where answers arrive.
type returnInterface struct {
	link      string
	elsewhere bool // for a VIP that is on another interface
}

// wantedSettings returns the settings that interfaces need, by their paths. former returns a setting without tandem's change.
func wantedSettings(interfaces []returnInterface, former func(path string) (string, error)) (map[string]string, error) {
	filter := func(link string) (int, error) {
		path := conf(link, "rp_filter")
		value, err := former(path)
		if err != nil {
			return 0, err
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			return 0, fmt.Errorf("failed to read %s: %w", path, err)
		}
		return n, nil
	}
	want := make(map[string]string)
	for _, in := range interfaces {
		want[conf(in.link, "accept_local")] = "1"
		if !in.elsewhere {
			continue
		}
		all, err := filter("all")
		if err != nil {
			return nil, err
		}
		own, err := filter(in.link)
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

// A probed is what the route of the answers to a probe depends on.
type probed struct{ server, source, vip netip.Addr }

// returnInterfaces finds the interfaces where answers to the marked IPv4 probes of a configuration arrive. complete is false
// while there is no route to some server.
func returnInterfaces(cfg *configs.Config) (all []returnInterface, complete bool, err error) {
	seen := make(map[probed]bool)
	complete = true
	for _, svc := range cfg.Services {
		for _, srv := range svc.Servers {
			for _, check := range srv.Checks {
				at := probed{srv.Addr, check.Source, check.Via}
				if r, needs := srv.ProbeRoute(check); !needs || r.Family != lvs.IPv4 || seen[at] {
					continue
				}
				seen[at] = true
				links, err := via.ReturnInterfaces(&healthcheck.Target{Addr: netip.AddrPortFrom(srv.Addr, srv.Port), Config: check})
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

// interfaceOf returns the interface that has a VIP. It is empty if no virtual router has the VIP.
func interfaceOf(routers []configs.Router, vip netip.Addr) string {
	for _, r := range routers {
		if slices.ContainsFunc(slices.Concat(r.VIPs, r.ExcludedVIPs), func(p netip.Prefix) bool { return p.Addr() == vip }) {
			return r.InterfaceOf(vip)
		}
	}
	return ""
}
