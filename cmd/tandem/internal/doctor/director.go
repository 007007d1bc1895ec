// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
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
	j.tunnels()
	j.owners()
	j.adverts()
	j.firewall()
	j.clock()
	j.programs()
	return sorted(j.findings)
}

type judge struct {
	config   *configs.Config
	snapshot Snapshot
	findings []Finding
}

func (j *judge) find(f Finding) { j.findings = append(j.findings, f) }

func conf4(iface, name string) string { return "net/ipv4/conf/" + iface + "/" + name }

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
	if need := uint64(checked + others); j.snapshot.Director.Files > 0 && j.snapshot.Director.Files < need {
		j.find(Finding{ID: "file-limit", Severity: Warning,
			What: fmt.Sprintf("the director may open %d files, and has %d checks", j.snapshot.Director.Files, checked),
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

// The settings of both families that have packets forwarded.
const forward4, forward6 = "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"

// forwardsNAT returns what the answers of servers with method nat need.
func (j *judge) forwardsNAT() (paths []string) {
	for _, svc := range j.config.Services {
		for _, srv := range svc.Servers {
			path := forward4
			if srv.Addr.Is6() {
				path = forward6
			}
			if srv.Method == lvs.NAT && !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

func (j *judge) forwarding() {
	needed := j.forwardsNAT()
	for _, path := range needed {
		if value, there := j.snapshot.Sysctls[path]; there && value == "0" {
			j.setting(Finding{ID: "forwarding-off", Severity: Error, What: "the kernel does not forward packets (" + path + ")",
				Why: "with method nat the servers' answers end here"}, path, "1")
		}
	}
	if len(needed) == 0 && len(j.config.Services) > 0 && j.snapshot.Sysctls[forward4] == "1" {
		j.find(Finding{ID: "forwarding-on", Severity: Note, What: "the kernel forwards packets",
			Why:  "methods dr and tunnel do not need it, and a real server with its default route here would seem to work",
			Mend: "sysctl -w net.ipv4.ip_forward=0, unless this machine is a router too"})
	}
	if !j.has(lvs.NAT) {
		return
	}
	for _, name := range append([]string{"all"}, j.interfaces()...) {
		if j.snapshot.Sysctls[conf4(name, "send_redirects")] == "1" {
			j.setting(Finding{ID: "sends-redirects", Severity: Warning, What: "the kernel sends ICMP redirects (" + name + ")",
				Why: "servers in the clients' network learn to answer past the director, which has to be on the way back"},
				conf4(name, "send_redirects"), "0")
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
		own, all := j.snapshot.Sysctls[conf4(iface, "rp_filter")], j.snapshot.Sysctls[conf4("all", "rp_filter")]
		if own != "" && max(own, all) == "1" { // the kernel takes the greater
			j.setting(Finding{ID: "path-filter", Severity: Error, What: "the path filter of " + iface + " is strict",
				Why: "the way back to clients is by " + r.Interface + ", so the kernel drops what they send to the VIPs"},
				conf4(iface, "rp_filter"), "2")
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
}

// tunnels judges the interfaces that lead to the servers of tunnels, as far as they are known.
func (j *judge) tunnels() {
	const ethernet = 1500
	type way struct {
		iface string
		need  int
	}
	var judged []way
	for _, svc := range j.config.Services {
		for _, srv := range svc.Servers {
			w := way{j.snapshot.Ways[srv.Addr], ethernet + ipv4HeaderLen}
			if srv.Addr.Is6() {
				w.need = ethernet + ipv6HeaderLen
			}
			l := j.snapshot.Links[w.iface]
			if srv.Method != lvs.Tunnel || l.MTU == 0 || l.MTU >= w.need || slices.Contains(judged, w) {
				continue
			}
			judged = append(judged, w)
			j.find(Finding{ID: "tunnel-mtu", Severity: Warning, What: fmt.Sprintf("the MTU of %s is %d", w.iface, l.MTU),
				Why:  fmt.Sprintf("a client's full packet and the tunnel's header need %d; where ICMP is filtered, such clients hang", w.need),
				Mend: fmt.Sprintf("ip link set %s mtu %d on the whole way, or clamp the TCP segment size at the clients' router", w.iface, w.need)})
		}
	}
}

// clock judges the time of day. The election and the checks go by the time since boot.
func (j *judge) clock() {
	const why = "logs of the pair cannot be laid side by side, and certificates are judged by the wrong day; the election does not mind"
	const mend = "have chrony or systemd-timesyncd keep the clock, which slew it, and nothing else set it"
	c := j.snapshot.Clock
	if c.Stepped != 0 {
		j.find(Finding{ID: "clock-step", Severity: Warning, Why: why, Mend: mend,
			What: fmt.Sprintf("the clock was set by %s while the doctor looked", c.Stepped.Round(time.Millisecond))})
	}
	if c.SteppedBefore != 0 {
		j.find(Finding{ID: "clock-step-before", Severity: Note, Why: why, Mend: mend,
			What: fmt.Sprintf("the clock was set by %s since the director started", c.SteppedBefore.Round(time.Second))})
	}
	if c.Unsynchronised {
		j.find(Finding{ID: "clock-unsynchronised", Severity: Note, Why: why, Mend: mend, What: "nothing keeps this machine's clock"})
	}
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
