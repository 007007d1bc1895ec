// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Weights returns the weights of the real servers of the kernel's TCP and UDP services, by protocol and address
// ("tcp 192.0.2.11"). It reads /proc, which costs little.
func (h *Host) Weights() map[string]int {
	h.lab.t.Helper()
	var text []byte
	err := h.Do(func() error {
		var err error
		// Not /proc/net, which is the namespace of the process's first thread.
		text, err = os.ReadFile("/proc/thread-self/net/ip_vs")
		return err
	})
	if err != nil {
		h.lab.t.Fatalf("read the IPVS table of %s: %v", h.Name, err)
	}
	weights, err := parseWeights(string(text))
	if err != nil {
		h.lab.t.Fatalf("read the IPVS table of %s: %v", h.Name, err)
	}
	return weights
}

// forgetServices empties the IPVS table. The kernel deletes a namespace some seconds after its last user has ended. Until
// then its services disturb readers of /proc/net/ip_vs in other namespaces, because the kernel counts the services of all
// namespaces to find where a page begins.
func (h *Host) forgetServices() error {
	services := false
	err := h.Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/ip_vs")
		const heading = 3 // lines
		services = strings.Count(string(text), "\n") > heading
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a kernel without IPVS
	}
	if err == nil && services {
		_, err = h.TryRun("ipvsadm", "-C")
	}
	return err
}

// Servers counts the real servers in the kernel's IPVS table.
func (h *Host) Servers() (n int) {
	h.lab.t.Helper()
	err := h.Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/ip_vs")
		n = strings.Count(string(text), "\n  -> ") - 1 // one is in the heading
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return 0 // IPVS is not loaded yet
	}
	if err != nil {
		h.lab.t.Fatalf("read the IPVS table of %s: %v", h.Name, err)
	}
	return n
}

// Connections counts the connections of the kernel's services, by the counters of their servers. This costs little, whatever
// their number.
func (h *Host) Connections() (n int) {
	h.lab.t.Helper()
	err := h.Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/ip_vs")
		for line := range strings.Lines(string(text)) {
			// "  -> C000020B:0050      Route   1      0          0": weight, active and inactive connections
			if f := strings.Fields(line); len(f) == 6 && f[0] == "->" && f[1] != "RemoteAddress:Port" {
				active, errActive := strconv.Atoi(f[4])
				inactive, errInactive := strconv.Atoi(f[5])
				n += active + inactive
				err = errors.Join(err, errActive, errInactive)
			}
		}
		return err
	})
	if err != nil {
		h.lab.t.Fatalf("read the IPVS table of %s: %v", h.Name, err)
	}
	return n
}

// parseWeights reads the lines of services and of IPv4 servers:
//
//	TCP  C0000264:0050 wrr
//	  -> C000020B:0050      Route   1      0          0
func parseWeights(text string) (map[string]int, error) {
	weights := map[string]int{}
	service := ""
	for l := range strings.Lines(text) {
		fields := strings.Fields(l)
		if len(fields) >= 3 && fields[0] != "->" {
			service = strings.ToLower(fields[0])
		}
		if len(fields) != 6 || fields[0] != "->" || fields[1] == "RemoteAddress:Port" {
			continue
		}
		address, _, _ := strings.Cut(fields[1], ":")
		raw, err := hex.DecodeString(address)
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", l, err)
		}
		addr, ok := netip.AddrFromSlice(raw)
		if !ok {
			return nil, fmt.Errorf("line %q: no address", l)
		}
		if weights[service+" "+addr.String()], err = strconv.Atoi(fields[3]); err != nil {
			return nil, fmt.Errorf("line %q: %w", l, err)
		}
	}
	return weights, nil
}

// Table is what ipvsadm -Ln says, without its title and the connection counts, which differ between directors.
func (h *Host) Table() string {
	h.lab.t.Helper()
	var b strings.Builder
	for l := range strings.Lines(h.Run("ipvsadm", "-Ln", "--sort")) {
		fields := strings.Fields(l)
		switch {
		case len(fields) == 6 && fields[0] == "->" && fields[1] != "RemoteAddress:Port":
			fmt.Fprintf(&b, "  %s\n", strings.Join(fields[:4], " "))
		case len(fields) >= 3 && slices.Contains([]string{"TCP", "UDP", "SCTP", "FWM"}, fields[0]):
			fmt.Fprintf(&b, "%s\n", strings.Join(fields, " "))
		}
	}
	return b.String()
}
