// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/address"
)

// Director returns the findings about a director.
func Director(c *configs.Config, s Snapshot) []Finding {
	e := examination{config: c, snapshot: s}
	e.ipvs()
	e.links()
	e.firewall()
	e.vips()
	e.settings()
	e.timeouts()
	e.process()
	e.forwarding()
	e.pathFilter()
	e.networks()
	e.splitNAT()
	e.segments()
	e.tunnels()
	e.adverts()
	e.guards()
	e.owners()
	e.peerServices()
	e.servers()
	e.clock()
	e.channel()
	e.programs()
	e.scripts()
	return sorted(e.findings)
}

// An examination collects the findings about one machine. Each of its methods looks for one kind of fault.
type examination struct {
	config   *configs.Config
	snapshot Snapshot
	findings []Finding
	// split are the routers that more than one director is master of, or may be: the cause is found. What follows from it is no
	// finding.
	split []string
	// differ are the routers whose peer has another configuration.
	differ []string
}

func (e *examination) add(f diagnosis.Finding) { e.findings = append(e.findings, Finding{Finding: f}) }

// addFixable adds a finding that the doctor can repair.
func (e *examination) addFixable(f diagnosis.Finding, by fix) {
	e.findings = append(e.findings, Finding{f, &by})
}

// addSysctl adds a finding that a sysctl repairs.
func (e *examination) addSysctl(f diagnosis.Finding, path, value string) {
	f.Mend = fmt.Sprintf("sysctl -w %s=%s", lvs.SettingName(path), value)
	e.addFixable(f, fix{sysctl: path, value: value})
}

// afterwards ends an advice to change the file.
const afterwards = "; after a change of the file, run `tandem reload`"

func conf4(iface, name string) string { return "net/ipv4/conf/" + iface + "/" + name }

func (e *examination) ipvs() {
	if len(e.config.Services) == 0 {
		return
	}
	if !e.snapshot.IPVS {
		e.addFixable(diagnosis.Finding{ID: "ipvs-missing", Severity: diagnosis.Error, What: "the kernel has no IPVS",
			Why: "no service is balanced", Mend: "modprobe ip_vs"}, fix{module: "ip_vs"})
		return
	}
	for _, f := range diagnosis.MissingSchedulers(e.config.Services, e.snapshot.Schedulers) {
		f.Mend += afterwards
		e.add(f)
	}
}

// settings reports each setting that clients of a failed server need and that has another value. It does so only beside a running
// director: without one, nothing has set them yet.
func (e *examination) settings() {
	needed := e.config.NeededSysctls()
	for _, name := range slices.Sorted(maps.Keys(needed)) {
		path := ipvsSetting(name)
		is, known := e.snapshot.Sysctls[path]
		if !known || is == needed[name] || e.snapshot.Status == nil {
			continue
		}
		f := diagnosis.Finding{ID: "ipvs-setting", Severity: diagnosis.Warning, What: lvs.SettingName(path) + " is " + is,
			Why: lvs.WithoutSysctl(name)}
		if given, ok := e.config.LVS.Sysctl[name]; ok && given != needed[name] {
			f.Mend = "remove " + name + " from [lvs.sysctl], or set it to " + needed[name] + " there, and run `tandem reload`"
			e.add(f)
			continue
		}
		e.addSysctl(f, path, needed[name])
	}
}

// timeouts reports each timeout of connections that is not the one in the file, beside a running director.
func (e *examination) timeouts() {
	if e.snapshot.Status == nil || e.snapshot.Timeouts == (lvs.Timeouts{}) {
		return
	}
	is, want := e.snapshot.Timeouts.Settings(), e.config.LVS.Timeouts.Settings()
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if is[path] != want[path] {
			e.add(diagnosis.Finding{ID: "ipvs-timeout", Severity: diagnosis.Warning,
				What: fmt.Sprintf("%s is %s instead of %s", lvs.SettingName(path), is[path], want[path]),
				Why:  "the kernel forgets silent connections sooner or later than the file says",
				Mend: "`tandem reload`"})
		}
	}
}

func ipvsSetting(name string) string { return "net/ipv4/vs/" + name }

// process judges the running director.
func (e *examination) process() {
	if e.snapshot.Status == nil {
		e.add(diagnosis.Finding{ID: "not-running", Severity: diagnosis.Warning, What: "no director answers on " + e.config.Control.Socket,
			Why: "this machine cannot take over", Mend: "systemctl start tandem"})
		return
	}
	said := e.unanswered()
	for _, w := range e.snapshot.Status.Warnings {
		explained := e.serversFail() && slices.Contains(e.snapshot.Status.ServerWarnings, w)
		if said[w] || explained || e.isSetting(w) || e.isRefusal(w) || e.isOfItsOwn(w) || e.isSplitNAT(w) || e.isSilentSegment(w) {
			continue // a finding of its own, or the doctor itself looks at the wire, as it is now
		}
		e.add(diagnosis.Finding{ID: "director-warns", Severity: diagnosis.Warning, What: w,
			Why:  "the running director reports it",
			Mend: "remove its cause" + afterwards + "; `tandem status` shows the warning until then"})
	}
	checks := 0
	for _, svc := range e.config.Services {
		for _, srv := range svc.Servers {
			checks += len(srv.Checks)
		}
	}
	const others = 128 // sockets, logs, scripts
	if need := uint64(checks + others); e.snapshot.Director.Files > 0 && e.snapshot.Director.Files < need {
		e.add(diagnosis.Finding{ID: "file-limit", Severity: diagnosis.Warning,
			What: fmt.Sprintf("the director may open %d files, and has %d checks", e.snapshot.Director.Files, checks),
			Why:  "checks fail when too many of them run at the same time", Mend: fmt.Sprintf("set LimitNOFILE=%d or more in its unit", 2*need)})
	}
}

// isOfItsOwn reports whether a warning of the director is about the wire, the paths, the witnesses or the channel.
func (e *examination) isOfItsOwn(warning string) bool {
	s := e.snapshot.Status
	return slices.Contains(s.WireWarnings, warning) || slices.Contains(s.GuardWarnings, warning) || e.isChannel(warning)
}

// isSetting reports whether a warning of the director is about a setting in the file, which is a finding of its own.
func (e *examination) isSetting(warning string) bool {
	return slices.ContainsFunc(e.config.Warnings, func(m configs.Mistake) bool {
		name, ok := strings.CutPrefix(m.Key, "lvs.sysctl.")
		return ok && e.config.NeededSysctls()[name] != "" && m.Error() == warning
	})
}

// isRefusal reports whether a warning of the director is about the kernel's table, and IPVS or the schedulers of the services that
// the kernel refuses are missing, which are findings of their own.
func (e *examination) isRefusal(warning string) bool {
	table := e.snapshot.Status.Table
	if table == nil || table.Warning != warning {
		return false
	}
	return !e.snapshot.IPVS || len(table.Refused) > 0 && !slices.ContainsFunc(table.Refused, func(name string) bool {
		return !slices.ContainsFunc(e.config.Services, func(svc configs.Service) bool {
			return svc.Name == name && len(diagnosis.MissingSchedulers([]configs.Service{svc}, e.snapshot.Schedulers)) > 0
		})
	})
}

// unanswered adds the real servers that do not answer clients, and returns the director's warnings about them.
func (e *examination) unanswered() map[string]bool {
	said := make(map[string]bool)
	for _, svc := range e.snapshot.Status.Services {
		for _, srv := range svc.Servers {
			if srv.Unanswered != nil {
				f := diagnosis.Unanswered(*srv.Unanswered)
				said[f.Advice()] = true
				if !e.asked(*srv.Unanswered) {
					e.add(f)
				}
			}
		}
	}
	return said
}

func (e *examination) links() {
	for _, name := range e.interfaces() {
		link, ok := e.snapshot.Links[name]
		if !ok {
			if e.isMisnamed(name) {
				continue // a finding of its own, which says the right name
			}
			link = vrrp.Link{Name: name}
		}
		if f, faulty := diagnosis.FaultyLink(link); faulty && e.isNeeded(link) {
			e.add(f)
		}
	}
}

// isNeeded reports whether the fault of a link is a fault of a virtual router.
func (e *examination) isNeeded(l vrrp.Link) bool {
	return slices.ContainsFunc(e.config.Routers, func(r configs.Router) bool {
		return r.Interface == l.Name && r.LinkFault(l).Kind != 0 ||
			slices.ContainsFunc(r.AllTrackInterfaces(), func(t vrrp.TrackInterface) bool { return t.Interface == l.Name && t.Weight == 0 })
	})
}

// interfaces returns those of the virtual routers and their VIPs, each once.
func (e *examination) interfaces() []string {
	var names []string
	for _, r := range e.config.Routers {
		names = append(names, r.Interface)
		for _, at := range address.PlacementsOf(r.Config)[1:] {
			names = append(names, at.Interface)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// The sysctls of both families that turn forwarding on.
const forward4, forward6 = "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"

// natForwarding returns the forwarding sysctls that servers with method nat need.
func (e *examination) natForwarding() (paths []string) {
	for _, svc := range e.config.Services {
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

func (e *examination) forwarding() {
	needed := e.natForwarding()
	for _, path := range needed {
		if e.snapshot.Sysctls[path] == "0" {
			e.addSysctl(diagnosis.Finding{ID: "forwarding-off", Severity: diagnosis.Error, What: "the kernel does not forward packets (" + path + ")",
				Why: "method nat needs it: without it the servers' answers do not reach the clients"}, path, "1")
		}
	}
	if len(needed) == 0 {
		if len(e.config.Services) > 0 && e.snapshot.Sysctls[forward4] == "1" {
			e.add(diagnosis.Finding{ID: "forwarding-on", Severity: diagnosis.Note, What: "the kernel forwards packets",
				Why:  "methods dr and tunnel do not need it, and it hides real servers whose default route is wrong",
				Mend: "`sysctl -w net.ipv4.ip_forward=0`, unless this machine is a router or runs containers"})
		}
		return
	}
	for _, name := range append([]string{"all"}, e.interfaces()...) {
		if e.snapshot.Sysctls[conf4(name, "send_redirects")] == "1" {
			e.addSysctl(diagnosis.Finding{ID: "sends-redirects", Severity: diagnosis.Warning, What: "the kernel sends ICMP redirects (" + name + ")",
				Why: "with method nat, real servers in the clients' network then answer past the director"},
				conf4(name, "send_redirects"), "0")
		}
	}
}

// pathFilter judges the reverse path filter of interfaces with a virtual MAC. Packets to the VIPs arrive on such an
// interface, but the route back to the clients uses the lower interface.
func (e *examination) pathFilter() {
	for _, r := range e.config.Routers {
		iface := r.AddressInterface()
		if !r.VirtualMAC || r.Family() != 4 {
			continue
		}
		own, all := e.snapshot.Sysctls[conf4(iface, "rp_filter")], e.snapshot.Sysctls[conf4("all", "rp_filter")]
		if own != "" && max(own, all) == "1" { // the kernel applies the greater value
			e.addSysctl(diagnosis.Finding{ID: "path-filter", Severity: diagnosis.Error, What: "rp_filter of " + iface + " is strict",
				Why: "the route to the clients leaves through " + r.Interface + ", so the kernel drops the packets that clients send to the VIPs"},
				conf4(iface, "rp_filter"), "2")
		}
	}
}

// networks judges whether the servers of method dr are in a network of this machine.
func (e *examination) networks() {
	for _, svc := range e.config.Services {
		for _, srv := range svc.Servers {
			if srv.Method == lvs.DR && !e.snapshot.onLink(srv.Addr) {
				e.add(diagnosis.Finding{ID: "server-elsewhere", Severity: diagnosis.Error,
					What: fmt.Sprintf("real server %s of %s is in none of this machine's networks", srv.Addr, svc.Name),
					Why:  "method dr reaches servers of the same network only: a router between does not pass the packets on to the server",
					Mend: `set method = "tunnel", or give this machine an address in the server's network`})
			}
		}
	}
}

// clock judges the time of day. Neither the election nor the checks use it: they use the time since boot.
func (e *examination) clock() {
	const why = "the pair's logs cannot be compared, and certificates are checked against a wrong date; the election is not affected"
	const mend = "run chrony or systemd-timesyncd, and nothing else that sets the clock"
	c := e.snapshot.Clock
	if c.Stepped != 0 {
		e.add(diagnosis.Finding{ID: "clock-step", Severity: diagnosis.Warning, Why: why, Mend: mend,
			What: fmt.Sprintf("the clock was set by %s during the examination", c.Stepped.Round(time.Millisecond))})
	}
	if c.SteppedBefore != 0 {
		e.add(diagnosis.Finding{ID: "clock-step-before", Severity: diagnosis.Note, Why: why, Mend: mend,
			What: fmt.Sprintf("the clock was set by %s since the director started", c.SteppedBefore.Round(time.Second))})
	}
	if c.Unsynchronised {
		e.add(diagnosis.Finding{ID: "clock-unsynchronised", Severity: diagnosis.Note, Why: why, Mend: mend,
			What: "no program synchronises this machine's clock"})
	}
}

// addressManagers are programs that remove foreign addresses from the interfaces that they manage. Each has the setting that
// prevents this.
var addressManagers = map[string]string{
	"NetworkManager":  "exclude the interface from it (nmcli device set DEV managed no)",
	"systemd-network": "set KeepConfiguration=yes, or ManageForeignRoutes=no and no DHCP, in the interface's .network file",
	"dhcpcd":          "deny the interface in dhcpcd.conf",
	"connmand":        "put the interface on NetworkInterfaceBlacklist in main.conf",
}

func (e *examination) programs() {
	if len(e.config.Routers) == 0 {
		return
	}
	for _, name := range e.snapshot.Programs {
		if name == "keepalived" {
			e.add(diagnosis.Finding{ID: "keepalived-runs", Severity: diagnosis.Error, What: "keepalived runs on this machine beside tandem",
				Why: "both change the same addresses and the same IPVS table", Mend: "systemctl disable --now keepalived"})
		}
		if mend := addressManagers[name]; mend != "" {
			e.add(diagnosis.Finding{ID: "address-manager", Severity: diagnosis.Warning, What: name + " manages addresses on this machine",
				Why: "it may remove the VIPs when it configures the interface; tandem adds them again after a gap", Mend: mend})
		}
	}
}
