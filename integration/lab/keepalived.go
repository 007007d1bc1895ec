// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"strings"
	"time"
)

// A KeepalivedRouter is one vrrp_instance of keepalived.
type KeepalivedRouter struct {
	Interface string // "" for eth0
	VRID      int    // 0 for 51
	Version   int    // 0 for 3
	Priority  int
	Advert    time.Duration // 0 for 100 ms
	VIPs      []string      // none for VIP/24
	Lines     string        // further lines of the instance
}

func (r KeepalivedRouter) config() string {
	if r.Interface == "" {
		r.Interface = "eth0"
	}
	if r.VRID == 0 {
		r.VRID = 51
	}
	if r.Version == 0 {
		r.Version = 3
	}
	if r.Advert == 0 {
		r.Advert = 100 * time.Millisecond
	}
	if r.VIPs == nil {
		r.VIPs = []string{VIP + "/24"}
	}
	return fmt.Sprintf(`
vrrp_instance %s-%d {
    state BACKUP
    interface %[1]s
    virtual_router_id %[2]d
    version %d
    priority %d
    advert_int %g
    %s
    virtual_ipaddress {
        %s
    }
}
`, r.Interface, r.VRID, r.Version, r.Priority, r.Advert.Seconds(), r.Lines, strings.Join(r.VIPs, "\n        "))
}

// Keepalived starts Debian's keepalived on the host, as a VRRP speaker only; globals are further lines of global_defs.
func (h *Host) Keepalived(globals string, routers ...KeepalivedRouter) *Process {
	h.lab.t.Helper()
	return h.keepalived([]string{"--log-console", "--log-detail"}, globals, routers)
}

// SilentKeepalived is Keepalived without a log. keepalived writes a line about each packet that it refuses.
func (h *Host) SilentKeepalived(globals string, routers ...KeepalivedRouter) *Process {
	h.lab.t.Helper()
	return h.keepalived([]string{"--no-syslog"}, globals, routers)
}

func (h *Host) keepalived(log []string, globals string, routers []KeepalivedRouter) *Process {
	h.lab.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "global_defs {\n    router_id %s\n    %s\n}\n", h.Name, globals)
	for _, r := range routers {
		b.WriteString(r.config())
	}
	conf := h.WriteFile("keepalived.conf", b.String())
	pid := h.dir + "/keepalived.pid"
	return h.Start("keepalived", append(log, "--vrrp", "--dont-fork", "-f", conf, "-p", pid, "-r", pid+".vrrp")...)
}
