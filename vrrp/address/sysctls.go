// SPDX-License-Identifier: Apache-2.0

package address

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
)

// A Sysctl is a setting of an interface. Without those below, a virtual MAC interface and its parent would each answer ARP requests
// for the addresses of both, with its own MAC address.
type Sysctl struct {
	key    string // %s is the interface's name
	Value  string
	enough []string // other values that are good enough
}

// Path returns the file below /proc/sys.
func (s Sysctl) Path(iface string) string { return fmt.Sprintf("net/"+s.key, iface) }

// Met reports whether a value is good enough.
func (s Sysctl) Met(value string) bool { return value == s.Value || slices.Contains(s.enough, value) }

// ParentSysctls returns the settings that the parent of a virtual MAC interface needs.
func ParentSysctls() []Sysctl { return slices.Clone(parentSysctls) }

var (
	// The parent answers for its own addresses only, and its ARP requests have no other source. A request from a VIP would
	// teach the neighbours the parent's MAC address for it.
	parentSysctls = []Sysctl{
		{key: "ipv4/conf/%s/arp_ignore", Value: "1", enough: []string{"2", "8"}},
		{key: "ipv4/conf/%s/arp_announce", Value: "2"},
	}
	// The macvlan answers for the VIPs. The route back to a sender may lead through the parent, so rp_filter must not be
	// strict. The kernel uses the greater of this value and conf/all, so 2 is always right. The interface gets no IPv6
	// address by itself.
	macvlanSysctls = []Sysctl{
		{key: "ipv4/conf/%s/arp_ignore", Value: "1", enough: []string{"2"}},
		{key: "ipv4/conf/%s/rp_filter", Value: "2"},
		{key: "ipv6/conf/%s/addr_gen_mode", Value: "1"},
		{key: "ipv6/conf/%s/accept_ra", Value: "0"},
	}
)

// procSys is where the settings are.
const procSys = "/proc/sys"

// preparePoll is the interval at which the settings of a parent are read while another process has not made them.
const preparePoll = 5 * time.Millisecond

// prepareParent makes the settings of the parent. wake says that the virtual MAC interface comes up now: until then there is time
// for the other process of Options.Prepare. Once the settings were right, that process knows their former values, or need not know
// them. So later the Reconciler makes them itself: a parent that was made anew has those of the kernel.
func (rc *Reconciler) prepareParent(wake bool) error {
	for deadline := time.Now().Add(rc.prepare); ; {
		switch {
		case metSysctls(rc.mac.Parent, parentSysctls):
			rc.prepared = true
			return nil
		case rc.prepared || rc.prepare == 0:
			return applySysctls(rc.log, rc.mac.Parent, parentSysctls)
		case !wake:
			return nil
		case !time.Now().Before(deadline):
			rc.log.Warn("the lower interface is not prepared by the director: its ARP settings are set, and are not restored", "lower", rc.mac.Parent)
			return applySysctls(rc.log, rc.mac.Parent, parentSysctls)
		}
		select {
		case <-rc.ending:
			return nil
		case <-time.After(preparePoll):
		}
	}
}

// metSysctls reports whether all settings of an interface are good enough. Those that the kernel lacks are.
func metSysctls(iface string, list []Sysctl) bool {
	for _, s := range list {
		b, err := os.ReadFile(filepath.Join(procSys, s.Path(iface)))
		if !errors.Is(err, fs.ErrNotExist) && (err != nil || !s.Met(strings.TrimSpace(string(b)))) {
			return false
		}
	}
	return true
}

// applySysctls changes the settings of an interface that are not good enough, and logs them. It skips settings that the kernel
// lacks.
func applySysctls(log hclog.Logger, iface string, list []Sysctl) error {
	var failures failures
	for _, s := range list {
		path := filepath.Join(procSys, s.Path(iface))
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		old := strings.TrimSpace(string(b))
		if err == nil && s.Met(old) {
			continue
		}
		if err == nil {
			err = os.WriteFile(path, []byte(s.Value), 0)
		}
		if err != nil {
			failures.add(fmt.Errorf("failed to set sysctl of interface %s: %w", iface, err))
			continue
		}
		log.Debug("sysctl set", "path", path, "from", old, "to", s.Value)
	}
	return failures.err()
}
