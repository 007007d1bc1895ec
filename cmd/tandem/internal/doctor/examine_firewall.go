// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/vrrp"
)

// firewall judges what this machine's firewall drops of the directors' messages and of the services' packets.
func (e *examination) firewall() {
	for _, flow := range e.snapshot.Filtered {
		e.filtered(flow)
	}
	var said []string
	for _, p := range e.snapshot.Dropped {
		f := diagnosis.Finding{ID: "service-filtered", Severity: diagnosis.Error,
			What: fmt.Sprintf("this machine's firewall (chain %s) drops the packets of clients to port %d of %s", p.Chain, p.Port, p.Service),
			Why:  "clients of the service get no answer from this director",
			Mend: p.Chain.accept(fmt.Sprintf("tcp dport %d", p.Port), fmt.Sprintf("-p tcp --dport %d", p.Port))}
		if p.Forward {
			f.ID, f.Mend = "forward-filtered", p.Chain.accept("iifname "+p.From, "-i "+p.From)
			f.What = fmt.Sprintf("this machine's firewall (chain %s) does not forward the answers of the real servers, which come by %s", p.Chain, p.From)
			f.Why = "with method nat, clients get no answer from this director"
		}
		if !slices.Contains(said, f.Mend) {
			said = append(said, f.Mend)
			e.add(f)
		}
	}
}

// filtered judges one flow. If another machine has a VIP too, or advertises while this one is master, the firewall is the cause.
func (e *examination) filtered(flow FilteredFlow) {
	f := diagnosis.Finding{ID: "vrrp-filtered", Severity: diagnosis.Warning, Why: "a backup that does not hear the master becomes a second master"}
	match, packets := fmt.Sprintf("meta l4proto %d", vrrp.Protocol), fmt.Sprintf("-p %d", vrrp.Protocol)
	if flow.Port != 0 {
		f.ID, f.Why = "sync-filtered", "the backup does not learn the connections, and a failover breaks them"
		match, packets = fmt.Sprintf("udp dport %d", flow.Port), fmt.Sprintf("-p udp --dport %d", flow.Port)
	}
	split := e.affected(flow)
	way, chain := "incoming", "INPUT"
	if flow.Out {
		way, chain = "outgoing", "OUTPUT"
	}
	f.What = fmt.Sprintf("this machine's firewall drops %s %s", way, flow.Flow)
	f.Mend = "`" + iptables(flow.Group.Is6()) + " -I " + chain + " " + packets + " -j ACCEPT`, or accept them in the program that makes the rules"
	if len(flow.Chains) > 0 {
		f.Mend = insert(flow.Chains, match, packets)
	}
	switch {
	case flow.Out, flow.Port == 0 && len(split) > 0:
		f.Severity = diagnosis.Error
	default:
		f.What += ", at least from this machine itself"
		f.Why += "; no fault if a rule accepts it from the other director's address"
	}
	e.add(f)
	e.split = append(e.split, split...)
}

// affected returns the routers of a flow of VRRP that another machine is master of, too.
func (e *examination) affected(flow FilteredFlow) (names []string) {
	for _, r := range e.config.Routers {
		if flow.Port != 0 || r.Interface != flow.Interface || (r.Family() == 4) != flow.Group.Is4() {
			continue
		}
		others := slices.ContainsFunc(e.advertsFor(r), func(a Advert) bool { return !a.Leaving && shares(r, a) })
		others = others || len(e.strangers(r)) > 0
		if (e.isMaster(r) || flow.Out) && others {
			names = append(names, r.Name)
		}
	}
	return names
}

// insert returns the command that accepts packets in chains.
func insert(chains []Chain, nft, iptables string) string {
	var commands []string
	for _, c := range chains {
		commands = append(commands, c.accept(nft, iptables))
	}
	return strings.Join(commands, " && ")
}

func iptables(six bool) string {
	if six {
		return "ip6tables"
	}
	return "iptables"
}
