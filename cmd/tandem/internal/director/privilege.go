// SPDX-License-Identifier: Apache-2.0

package director

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
)

// checkPrivileges says in one sentence which privileges this process lacks for a configuration and how to get them.
func checkPrivileges(cfg *configs.Config) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // capabilities above 31 have the second element
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("ask for the capabilities of this process: %w", err)
	}
	return missing(cfg, uint64(data[1].Effective)<<32|uint64(data[0].Effective))
}

// missing returns the needs of a configuration that a set of effective capabilities lacks.
func missing(cfg *configs.Config, effective uint64) error {
	var lacks, purposes []string
	if (len(cfg.Routers) > 0 || needsIPVS(cfg)) && effective&(1<<unix.CAP_NET_ADMIN) == 0 {
		lacks, purposes = append(lacks, "CAP_NET_ADMIN"), append(purposes, "to set addresses and IPVS rules")
	}
	if len(cfg.Routers) > 0 && effective&(1<<unix.CAP_NET_RAW) == 0 {
		lacks, purposes = append(lacks, "CAP_NET_RAW"), append(purposes, "to send VRRP and ARP")
	} else if knocks(cfg.Services) && effective&(1<<unix.CAP_NET_RAW) == 0 {
		lacks, purposes = append(lacks, "CAP_NET_RAW"), append(purposes, "to ping real servers and to check them through their VIP")
	}
	if len(lacks) == 0 {
		return nil
	}
	return fmt.Errorf("tandem lacks %s (%s): run it as root, or give its systemd unit AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW",
		strings.Join(lacks, " and "), strings.Join(purposes, ", "))
}

// knocks reports whether a check needs a raw socket.
func knocks(services []configs.Service) bool {
	for _, svc := range services {
		for _, srv := range svc.Servers {
			for _, check := range srv.Checks {
				if check.Type == healthcheck.Ping || check.Via.IsValid() {
					return true
				}
			}
		}
	}
	return false
}
