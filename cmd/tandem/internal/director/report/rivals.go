// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/garp"
)

// rivalWarnings name the machines that claim our addresses.
func rivalWarnings(report message.Report, services []configs.Service) []string {
	var all []string
	for _, i := range report.Interfaces {
		for _, r := range i.Rivals {
			who, mend := rivalName(r, services)
			all = append(all, fmt.Sprintf("%s: another machine claims %s: %s, by %s; %s", i.Name, r.Address, who, r.How, mend))
		}
	}
	return all
}

// rivalName says who a rival is, as far as the neighbour table and the configuration tell, and what mends it.
func rivalName(r garp.Rival, services []configs.Service) (who, mend string) {
	who, mend = r.Hardware, "find it by its hardware address, and take the address off it"
	var names []string
	for _, addr := range r.Neighbours {
		name := addr.String()
		if pool := servedBy(addr, services); pool != "" {
			name += ", real server of " + pool
			mend = "run `tandem realserver apply` on it"
		}
		names = append(names, name)
	}
	if len(names) > 0 {
		who += " (" + strings.Join(names, "; ") + ")"
	}
	return who, mend
}

// servedBy names the services that an address is a real server of.
func servedBy(addr netip.Addr, services []configs.Service) string {
	var names []string
	for _, svc := range services {
		if slices.ContainsFunc(svc.Servers, func(s configs.Server) bool { return s.Addr == addr }) {
			names = append(names, svc.Name)
		}
	}
	return strings.Join(names, ", ")
}
