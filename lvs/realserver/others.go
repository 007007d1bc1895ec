// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"time"

	"github.com/google/nftables"
)

// Rules of other programs about ARP may hide the VIPs already. There are two kinds, which do not know of each other, and a machine
// may have both: those of nftables, which the usual "arptables" (arptables-nft) uses too, and those of arptables-legacy. What they
// do is not read from them: a question on the wire decides.

// An otherRules finds the rules of other programs about ARP, and asks whether they hide the VIPs.
type otherRules interface {
	// legacyTables returns the tables of arptables-legacy, one a line. An error says that the kernel has none.
	legacyTables() ([]byte, error)
	// nftRules reports whether there are rules of nftables about ARP packets that this machine sends, except our own.
	nftRules() (bool, error)
	// hides is the function hides.
	hides(iface string, addrs []netip.Addr, own netip.Addr) (bool, error)
}

// machineRules are those of the network namespace of the calling thread.
type machineRules struct{}

var _ otherRules = machineRules{}

func (machineRules) legacyTables() ([]byte, error) {
	return os.ReadFile("/proc/thread-self/net/arp_tables_names")
}

func (machineRules) nftRules() (bool, error) {
	conn, err := nftables.New()
	if err != nil {
		return false, fmt.Errorf("failed to open nftables: %w", err)
	}
	chains, err := conn.ListChainsOfTableFamily(nftables.TableFamilyARP)
	if err != nil {
		return false, nil // the kernel has none
	}
	for _, c := range chains {
		if c.Table.Name == filterTable || c.Hooknum == nil || *c.Hooknum != arpHookOut {
			continue
		}
		if rules, err := conn.GetRules(c.Table, c); err == nil && len(rules) > 0 {
			return true, nil
		}
	}
	return false, nil
}

func (machineRules) hides(iface string, addrs []netip.Addr, own netip.Addr) (bool, error) {
	return hides(iface, addrs, own)
}

// changesRequests reports whether other programs have rules about ARP packets that this machine sends, of either kind. A table of
// arptables-legacy may be empty: then the question on the wire finds nothing hidden.
func changesRequests(n otherRules) (bool, error) {
	if names, err := n.legacyTables(); err == nil && len(names) > 0 {
		return true, nil
	}
	return n.nftRules()
}

// An answer says whether rules of other programs hide the VIPs.
type answer struct {
	at      time.Time
	config  Config
	quiet   bool
	unclear string // why this is not known; empty: it is
}

// quiet asks whether rules of other programs hide the VIPs, once a minute at most. If this cannot be found out, they do not: then
// our settings hide the VIPs beside those rules, which does no harm.
func (m *Machine) quiet(c Config, s State, r Record) (bool, error) {
	m.unclear = ""
	if !s.mayBeQuiet(c, r) {
		return false, nil
	}
	var err error
	if time.Since(m.asked.at) >= askInterval || !reflect.DeepEqual(m.asked.config, c) {
		m.asked, err = ask(m.rules, c, s)
		m.asked.at, m.asked.config = time.Now(), c
	}
	m.unclear = m.asked.unclear
	return m.asked.quiet, err
}

// ask asks each interface that must hide the VIPs.
func ask(n otherRules, c Config, s State) (is answer, err error) {
	is.quiet, err = changesRequests(n)
	for _, name := range s.silent(c) {
		if !is.quiet || err != nil {
			break
		}
		l, _ := s.link(name)
		is.quiet = l.Up && l.own(c).IsValid()
		if is.quiet {
			is.quiet, err = n.hides(name, c.vips4(), l.own(c))
		}
	}
	if why := unclear(""); errors.As(err, &why) {
		return answer{unclear: string(why)}, nil
	}
	return is, err
}

// Unclear returns why the last Check, Apply or Remove could not find out whether rules of other programs hide the VIPs. Empty: it
// could, or there are no such rules.
func (m *Machine) Unclear() string { return m.unclear }
