// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// Director judges a director.
func Director(c *configs.Config, s Snapshot) []Finding {
	j := judge{config: c, snapshot: s}
	j.ipvs()
	j.daemon()
	j.links()
	j.forwarding()
	j.pathFilter()
	j.servers()
	j.owners()
	j.adverts()
	j.programs()
	return sorted(j.findings)
}

type judge struct {
	config   *configs.Config
	snapshot Snapshot
	findings []Finding
}

func (j *judge) find(f Finding) { j.findings = append(j.findings, f) }

func ipv4(iface, name string) string { return "net/ipv4/conf/" + iface + "/" + name }

// setting is a finding that a sysctl mends.
func (j *judge) setting(f Finding, path, value string) {
	f.Mend = fmt.Sprintf("sysctl -w %s=%s", strings.ReplaceAll(path, "/", "."), value)
	f.fix = &fix{sysctl: path, value: value}
	j.find(f)
}

func (j *judge) ipvs() {
	if len(j.config.Services) == 0 {
		return
	}
	if !j.snapshot.IPVS {
		j.find(Finding{ID: "ipvs-missing", Severity: Error, What: "the kernel has no IPVS", Why: "nothing is balanced",
			Mend: "modprobe ip_vs", fix: &fix{module: "ip_vs"}})
		return
	}
	for _, name := range slices.Sorted(maps.Keys(j.snapshot.Schedulers)) {
		if !j.snapshot.Schedulers[name] {
			j.find(Finding{ID: "scheduler-missing", Severity: Error, What: "the kernel has no scheduler " + name,
				Why: "services that ask for it are not made", Mend: "modprobe ip_vs_" + name + ", or choose another scheduler"})
		}
	}
}

func (j *judge) daemon() {
	if j.snapshot.Status == nil {
		j.find(Finding{ID: "not-running", Severity: Warning, What: "no director answers on " + j.config.Control.Socket,
			Why: "this machine can take over nothing", Mend: "systemctl start tandem"})
		return
	}
	for _, w := range j.snapshot.Status.Warnings {
		j.find(Finding{ID: "director-warns", Severity: Warning, What: w, Why: "the running director says so", Mend: "tandem status"})
	}
	checked := 0
	for _, svc := range j.config.Services {
		for _, srv := range svc.Servers {
			checked += len(srv.Checks)
		}
	}
	const others = 128 // sockets, logs, scripts
	if need := uint64(checked + others); j.snapshot.Files > 0 && j.snapshot.Files < need {
		j.find(Finding{ID: "file-limit", Severity: Warning,
			What: fmt.Sprintf("the director may open %d files, and has %d checks", j.snapshot.Files, checked),
			Why:  "checks that end together cannot all be run", Mend: fmt.Sprintf("set LimitNOFILE=%d or more in its unit", 2*need)})
	}
}

func (j *judge) links() {
	for _, name := range j.interfaces() {
		l, there := j.snapshot.Links[name]
		f := Finding{Severity: Error, Why: "its virtual routers are in fault"}
		switch {
		case !there:
			f.ID, f.What, f.Mend = "link-missing", "there is no interface "+name, "correct the configuration, or make the interface"
		case !l.Up:
			f.ID, f.What, f.Mend = "link-down", "interface "+name+" is down", "ip link set "+name+" up"
		case !l.Carrier:
			f.ID, f.What, f.Mend = "no-carrier", "interface "+name+" has no carrier", "look at the cable, the switch and its port"
		default:
			continue
		}
		j.find(f)
	}
}

// interfaces are those of the virtual routers, each once.
func (j *judge) interfaces() []string {
	var names []string
	for _, r := range j.config.Routers {
		if !slices.Contains(names, r.Interface) {
			names = append(names, r.Interface)
		}
	}
	return names
}

// has tells whether a server is reached by a method.
func (j *judge) has(m lvs.Method) bool {
	return slices.ContainsFunc(j.config.Services, func(s configs.Service) bool {
		return slices.ContainsFunc(s.Servers, func(srv configs.Server) bool { return srv.Method == m })
	})
}

func (j *judge) forwarding() {
	const path = "net/ipv4/ip_forward"
	on := j.snapshot.Sysctls[path] == "1"
	switch {
	case j.has(lvs.NAT) && !on:
		j.setting(Finding{ID: "forwarding-off", Severity: Error, What: "the kernel does not forward packets",
			Why: "with method nat the servers' answers end here"}, path, "1")
	case !j.has(lvs.NAT) && len(j.config.Services) > 0 && on:
		j.find(Finding{ID: "forwarding-on", Severity: Note, What: "the kernel forwards packets",
			Why:  "methods dr and tunnel do not need it, and a real server with its default route here would seem to work",
			Mend: "sysctl -w net.ipv4.ip_forward=0, unless this machine is a router too"})
	}
	if !j.has(lvs.NAT) {
		return
	}
	for _, name := range append([]string{"all"}, j.interfaces()...) {
		if j.snapshot.Sysctls[ipv4(name, "send_redirects")] == "1" {
			j.setting(Finding{ID: "sends-redirects", Severity: Warning, What: "the kernel sends ICMP redirects (" + name + ")",
				Why: "servers in the clients' network learn to answer past the director, which has to be on the way back"},
				ipv4(name, "send_redirects"), "0")
		}
	}
}

// pathFilter: what arrives at a VIP on an interface of its own has its way back on the one beneath.
func (j *judge) pathFilter() {
	for _, r := range j.config.Routers {
		iface := r.AddressInterface()
		if !r.VirtualMAC || !r.VIPs[0].Addr().Is4() {
			continue
		}
		own, all := j.snapshot.Sysctls[ipv4(iface, "rp_filter")], j.snapshot.Sysctls[ipv4("all", "rp_filter")]
		if own != "" && max(own, all) == "1" { // the kernel takes the greater
			j.setting(Finding{ID: "path-filter", Severity: Error, What: "the path filter of " + iface + " is strict",
				Why: "the way back to clients is by " + r.Interface + ", so the kernel drops what they send to the VIPs"},
				ipv4(iface, "rp_filter"), "2")
		}
	}
}

func (j *judge) servers() {
	for _, svc := range j.config.Services {
		for _, srv := range svc.Servers {
			if srv.Method == lvs.DR && !j.snapshot.onLink(srv.Addr) {
				j.find(Finding{ID: "server-elsewhere", Severity: Error,
					What: fmt.Sprintf("real server %s of %s is in none of this machine's networks", srv.Addr, svc.Name),
					Why:  "method dr sends frames, which no router passes on with their destination address as it is",
					Mend: `write method = "tunnel", or give this machine an address in the server's network`})
			}
		}
	}
	const ethernet, header = 1500, 20
	if j.has(lvs.Tunnel) {
		for _, name := range j.interfaces() {
			if l := j.snapshot.Links[name]; l.MTU > 0 && l.MTU < ethernet+header {
				j.find(Finding{ID: "tunnel-mtu", Severity: Warning, What: fmt.Sprintf("the MTU of %s is %d", name, l.MTU),
					Why:  "a client's full packet and the tunnel's header need 1520; where ICMP is filtered, such clients hang",
					Mend: "ip link set " + name + " mtu 1520 on the whole way, or clamp the TCP segment size at the clients' router"})
			}
		}
	}
}

// owners judges who answers for the VIPs. The peer may, if this machine does not.
func (j *judge) owners() {
	for _, r := range j.config.Routers {
		iface := r.AddressInterface()
		for _, vip := range r.VIPs {
			addr := vip.Addr()
			var others []garp.Owner
			for _, o := range j.snapshot.Owners[iface] {
				if o.Address != addr {
					continue
				}
				if pool := j.pool(o); pool != "" {
					j.find(Finding{ID: "server-answers", Severity: Error,
						What: fmt.Sprintf("%s answers for %s: %s", o.Hardware, addr, pool),
						Why:  "clients that believe it reach this server only, and past the director",
						Mend: "tandem realserver apply --vip " + addr.String() + " on that machine"})
					continue
				}
				others = append(others, o)
			}
			held := 0
			if j.snapshot.holds(addr) {
				held = 1
			}
			switch n := len(others) + held; {
			case n > 1:
				j.find(Finding{ID: "two-owners", Severity: Error, What: fmt.Sprintf("%s is on %d machines: %s", addr, n, j.describe(others, held)),
					Why:  "clients reach one or the other by chance",
					Mend: "see that VRRP passes between the directors (IP protocol 112, 224.0.0.18 or ff02::12), and take the address off others"})
			case n == 0 && j.snapshot.Status != nil:
				j.find(Finding{ID: "nobody-owns", Severity: Error, What: fmt.Sprintf("nobody answers for %s on %s", addr, iface),
					Why: "clients reach nothing", Mend: "tandem status on both directors"})
			}
		}
	}
}

// adverts judges what arrives at an interface whose director is master all the while: a master that hears a higher
// priority gives way, and a lower one would give way to us.
func (j *judge) adverts() {
	for _, r := range j.masters() {
		for _, a := range j.snapshot.Adverts {
			if a.Interface != r.Interface || a.VRID != r.VRID || a.Source.Is4() != r.VIPs[0].Addr().Is4() || j.snapshot.holds(a.Source) {
				continue
			}
			j.find(Finding{ID: "two-masters", Severity: Error,
				What: fmt.Sprintf("%s advertises virtual router %d on %s, whose master this machine is", a.Source, a.VRID, a.Interface),
				Why:  "a firewall here or there drops VRRP, multicast passes one way only, or another pair uses the same id",
				Mend: "let IP protocol 112 pass on both (nft insert rule inet filter input meta l4proto vrrp accept), or choose another vrid"})
		}
	}
}

// masters are the virtual routers that the running director is master of.
func (j *judge) masters() []configs.Router {
	if j.snapshot.Status == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(j.config.Routers), func(r configs.Router) bool {
		return !slices.ContainsFunc(j.snapshot.Status.VRRP, func(s control.Router) bool {
			return s.Name == r.Name && s.State == vrrp.Master.String()
		})
	})
}

// pool says which real server of ours a machine is; empty if it is none.
func (j *judge) pool(o garp.Owner) string {
	for _, svc := range j.config.Services {
		for _, srv := range svc.Servers {
			if slices.Contains(o.Neighbours, srv.Addr) {
				return fmt.Sprintf("%s, real server of %s", srv.Addr, svc.Name)
			}
		}
	}
	return ""
}

func (j *judge) describe(others []garp.Owner, held int) string {
	var names []string
	if held > 0 {
		names = append(names, "this one")
	}
	for _, o := range others {
		name := o.Hardware
		if len(o.Neighbours) > 0 {
			name += " (" + joinAddrs(o.Neighbours) + ")"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

func joinAddrs(addrs []netip.Addr) string {
	words := make([]string, len(addrs))
	for i, a := range addrs {
		words[i] = a.String()
	}
	return strings.Join(words, " ")
}

// meddlers are programs that take addresses off an interface that they manage.
var meddlers = map[string]string{
	"NetworkManager":  "have it leave the interface alone (nmcli device set DEV managed no)",
	"systemd-network": "set KeepConfiguration=yes, or ManageForeignRoutes=no and no DHCP, in the interface's .network file",
	"dhcpcd":          "deny the interface in dhcpcd.conf",
	"connmand":        "put the interface on NetworkInterfaceBlacklist in main.conf",
}

func (j *judge) programs() {
	if len(j.config.Routers) == 0 {
		return
	}
	for _, name := range j.snapshot.Programs {
		if name == "keepalived" {
			j.find(Finding{ID: "keepalived-runs", Severity: Error, What: "keepalived runs beside tandem",
				Why: "two elections fight over one machine's addresses and IPVS table", Mend: "systemctl disable --now keepalived"})
		}
		if mend := meddlers[name]; mend != "" {
			j.find(Finding{ID: "address-manager", Severity: Warning, What: name + " manages addresses on this machine",
				Why: "it may take the VIPs off when it configures the interface; tandem puts them back, after a gap", Mend: mend})
		}
	}
}
