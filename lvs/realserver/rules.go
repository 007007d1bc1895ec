// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"fmt"
	"net/netip"
	"strings"
)

// filterTable is the name of our table of nftables' arp family.
const filterTable = "tandem-realserver"

// A Rule is one rule of the ARP filter.
type Rule struct {
	VIP netip.Addr
	// Interface and Own belong to a rule about sent requests: the interface that sends them, and the address that replaces
	// the VIP. A rule without them drops received requests.
	Interface string
	Own       netip.Addr
}

// wantedRules returns the rules that c asks for.
func wantedRules(c Config, s State) []Rule {
	if c.Method != ARPFilter || s.Quiet {
		return nil
	}
	var rules []Rule
	for _, vip := range c.carried() {
		if vip.Is4() {
			rules = append(rules, Rule{VIP: vip})
		}
	}
	requests := len(rules)
	for _, name := range s.silent(c) {
		l, _ := s.link(name)
		if own := l.own(c); own.IsValid() {
			for _, r := range rules[:requests] {
				rules = append(rules, Rule{r.VIP, name, own})
			}
		}
	}
	return rules
}

// installCommand returns a shell command that installs the rules.
func installCommand(rules []Rule) string {
	var in, out strings.Builder
	for _, r := range rules {
		if r.Interface == "" {
			fmt.Fprintf(&in, " arp operation request arp daddr ip %s drop;", r.VIP)
			continue
		}
		fmt.Fprintf(&out, " oifname %q arp saddr ip %s arp saddr ip set %s;", r.Interface, r.VIP, r.Own)
	}
	return fmt.Sprintf("nft 'table arp %s { chain in { type filter hook input priority 0;%s } "+
		"chain out { type filter hook output priority 0;%s } }'", filterTable, in.String(), out.String())
}
