// SPDX-License-Identifier: Apache-2.0

package director

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
)

func TestMissingPrivileges(t *testing.T) {
	const admin, raw = uint64(1) << unix.CAP_NET_ADMIN, uint64(1) << unix.CAP_NET_RAW
	routers := &configs.Config{Routers: make([]configs.Router, 1)}
	services := &configs.Config{Services: make([]configs.Service, 1)}
	pinged := &configs.Config{Services: []configs.Service{{Servers: []configs.Server{{
		Checks: []healthcheck.Config{healthcheck.DefaultConfig(healthcheck.Ping)},
	}}}}}
	for _, c := range []struct {
		why       string
		cfg       *configs.Config
		effective uint64
		lacks     []string
	}{
		{"nothing to do needs nothing", &configs.Config{}, 0, nil},
		{"a router needs both", routers, 0, []string{"CAP_NET_ADMIN", "CAP_NET_RAW"}},
		{"a router needs the raw socket", routers, admin, []string{"CAP_NET_RAW"}},
		{"a router with both", routers, admin | raw, nil},
		{"a service needs no raw socket", services, admin, nil},
		{"a service whose servers are pinged does", pinged, admin, []string{"CAP_NET_RAW"}},
		{"a service without rights", services, raw, []string{"CAP_NET_ADMIN"}},
	} {
		err := missing(c.cfg, c.effective)
		if (err != nil) != (c.lacks != nil) {
			t.Errorf("%s: %v", c.why, err)
			continue
		}
		for _, name := range append(c.lacks, "run it as root") {
			if err != nil && !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %q is not in %q", c.why, name, err)
			}
		}
	}
}
