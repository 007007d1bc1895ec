// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// TestDirector: each finding where it is raised; every other row is one where it is not.
func TestDirector(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*scene)
		want   []string
		says   string // in the first finding
	}{
		{"a master at which all is well", func(*scene) {}, nil, ""},
		{"a backup at which all is well", (*scene).backup, nil, ""},
		{"NAT at which all is well", (*scene).nat, nil, ""},
		{"no IPVS", func(s *scene) { s.snapshot.IPVS = false }, []string{"ipvs-missing"}, "modprobe ip_vs"},
		{"no such scheduler", func(s *scene) { s.snapshot.Schedulers = []string{"rr"} }, []string{"scheduler-missing"}, "wrr"},
		{"the kernel refuses what has no scheduler", func(s *scene) {
			s.snapshot.Schedulers = []string{"rr"}
			s.tableFault("www")
		}, []string{"scheduler-missing"}, "wrr"},
		{"the kernel refuses what has a scheduler, too", func(s *scene) {
			s.snapshot.Schedulers = []string{"rr"}
			s.tableFault("www", "mail")
		}, []string{"scheduler-missing", "director-warns"}, "wrr"},
		{"the table is not known", func(s *scene) { s.tableFault() }, []string{"director-warns"}, "not in line"},
		{"the table is not known, without IPVS", func(s *scene) { s.snapshot.IPVS = false; s.tableFault() }, []string{"ipvs-missing"}, "modprobe"},
		{"the daemon does not run", func(s *scene) { s.snapshot.Status = nil }, []string{"not-running"}, "/run/tandem/control.sock"},
		{"a real server does not answer clients", func(s *scene) {
			is := api.Unanswered{Server: "www/192.0.2.11:80", Connections: 37, OthersPercent: 100, Checked: true}
			s.snapshot.Status.Services = []api.Service{{Servers: []api.Server{{}, {Unanswered: &is}}}}
			s.snapshot.Status.Warnings = []string{diagnosis.Unanswered(is).Advice()}
		}, []string{"server-unanswered"}, "www/192.0.2.11:80 does not answer clients: 0 of 37 new connections, others 100 %; its own check passes"},
		{"the daemon warns", func(s *scene) { s.snapshot.Status.Warnings = []string{"two masters"} }, []string{"director-warns"}, "two masters"},
		{"a tracked script fails", func(s *scene) {
			s.snapshot.Scripts = []diagnosis.TriedScript{{Reason: "exit code 2", Track: configs.Track{
				Router: "web", Name: "script /bin/uplink", Check: &healthcheck.Config{User: "nobody"}}}}
		}, []string{"script-fails"}, "virtual router web: script /bin/uplink fails as user nobody: exit code 2"},
		{"few files", func(s *scene) { s.snapshot.Director.Files = 100 }, []string{"file-limit"}, "100 files"},
		{"no interface", func(s *scene) {
			delete(s.snapshot.Links, "eth0")
			s.snapshot.Listened = nil
			s.owner("02:00:00:00:00:02", "192.0.2.3")
		},
			[]string{"link-missing", "server-elsewhere"}, "eth0"},
		{"another name of the interface", func(s *scene) {
			delete(s.snapshot.Links, "eth0")
			s.address("eth7", "192.0.2.2/24")
			s.snapshot.Listened = nil
		}, []string{"wrong-interface"}, "is for eth0, and its network 192.0.2.0/24 is on eth7"},
		{"interface down", func(s *scene) { s.link(func(l *vrrp.Link) { l.Up = false }) }, []string{"link-down"}, "ip link set eth0 up"},
		{"no carrier", func(s *scene) { s.link(func(l *vrrp.Link) { l.Carrier = false }) }, []string{"no-carrier"}, "eth0"},
		{"a setting that ends connections is off", func(s *scene) { s.snapshot.Sysctls["net/ipv4/vs/expire_nodest_conn"] = "0" },
			[]string{"ipvs-setting"}, "sysctl -w net.ipv4.vs.expire_nodest_conn=1"},
		{"and on", func(s *scene) { s.snapshot.Sysctls["net/ipv4/vs/expire_nodest_conn"] = "1" }, nil, ""},
		{"a timeout of connections is another one", func(s *scene) {
			s.snapshot.Timeouts = lvs.Timeouts{TCP: 15 * time.Minute, UDP: 10 * time.Second}
			s.extra = "[lvs.timeouts]\ntcp = \"1h\"\nudp = \"10s\"\n"
		}, []string{"ipvs-timeout"}, "lvs.timeouts.tcp is 15m0s instead of 1h0m0s"},
		{"the timeouts are not known", func(s *scene) { s.extra = "[lvs.timeouts]\ntcp = \"1h\"\n" }, nil, ""},
		{"a setting for persistence is off, without persistence", func(s *scene) { s.snapshot.Sysctls["net/ipv4/vs/expire_quiescent_template"] = "0" }, nil, ""},
		{"and with it", func(s *scene) {
			s.method = "dr\"\npersistence = {} # \""
			s.snapshot.Sysctls["net/ipv4/vs/expire_quiescent_template"] = "0"
		}, []string{"ipvs-setting"}, "persistent clients stay with a server that is drained"},
		{"the file turns it off", func(s *scene) {
			s.snapshot.Sysctls["net/ipv4/vs/expire_nodest_conn"] = "0"
			s.extra = "[lvs.sysctl]\nexpire_nodest_conn = 0\n"
			s.warns = true
		}, []string{"ipvs-setting"}, "remove expire_nodest_conn from [lvs.sysctl], or set it to 1 there, and run `tandem reload`"},
		{"the file has another fault, too", func(s *scene) {
			s.extra, s.warns = "sync_group = \"alone\"\n", true
		}, []string{"director-warns"}, "alone has no other member"},
		{"NAT without forwarding", func(s *scene) { s.nat(); s.snapshot.Sysctls["net/ipv4/ip_forward"] = "0" },
			[]string{"forwarding-off"}, "sysctl -w net.ipv4.ip_forward=1"},
		{"DR with forwarding", func(s *scene) { s.snapshot.Sysctls["net/ipv4/ip_forward"] = "1" }, []string{"forwarding-on"}, "ip_forward=0"},
		{"NAT with redirects", func(s *scene) { s.nat(); s.snapshot.Sysctls["net/ipv4/conf/eth0/send_redirects"] = "1" },
			[]string{"sends-redirects"}, "net.ipv4.conf.eth0.send_redirects=0"},
		{"virtual MAC, strict path filter", func(s *scene) { s.virtualMAC("0") }, []string{"path-filter"}, "vrrp.51"},
		{"virtual MAC, loose path filter", func(s *scene) { s.virtualMAC("2") }, nil, ""},
		{"DR to another network", func(s *scene) {
			s.link(func(l *vrrp.Link) {
				l.Addrs = []netip.Prefix{netip.MustParsePrefix("198.51.100.2/24"), netip.MustParsePrefix("192.0.2.100/32")}
			})
		}, []string{"server-elsewhere"}, "192.0.2.11"},
		{"tunnel to another network, room for its header", func(s *scene) {
			s.method = "tunnel"
			s.link(func(l *vrrp.Link) { l.Addrs = []netip.Prefix{netip.MustParsePrefix("192.0.2.100/32")} })
		}, nil, ""},
		{"tunnel without room", func(s *scene) {
			s.method = "tunnel"
			s.snapshot.Routes[netip.MustParseAddr("192.0.2.11")] = Route{Interface: "eth0", MTU: 1400}
		}, []string{"tunnel-mtu"}, "note tunnel-mtu: the MTU of the route to 192.0.2.11 by eth0 is 1400"},
		{"tunnel over Ethernet as it usually is", func(s *scene) {
			s.method = "tunnel"
			s.snapshot.Routes[netip.MustParseAddr("192.0.2.11")] = Route{Interface: "eth0", MTU: 1500}
		}, nil, ""},
		{"and the director does not ask clients for smaller packets", func(s *scene) {
			s.method = "tunnel"
			s.snapshot.Routes[netip.MustParseAddr("192.0.2.11")] = Route{Interface: "eth0", MTU: 1500}
			s.snapshot.Sysctls[pmtuDiscovery] = "0"
		}, []string{"tunnel-mtu"}, "net.ipv4.vs.pmtu_disc is 0"},
		{"and TCP clients then send packets that fit", func(s *scene) {
			s.method = "tunnel"
			s.snapshot.Routes[netip.MustParseAddr("192.0.2.11")] = Route{Interface: "eth0", MTU: 1500}
			s.snapshot.Sysctls[pmtuDiscovery] = "0"
		}, []string{"tunnel-mtu"}, "fix: run `ip route replace default via ROUTER advmss 1440` on the real servers, so that TCP clients send packets that fit; or " +
			"`ip link set eth0 mtu 1520` here, and the same on the whole path"},
		{"tunnel without room, whose largest packets arrive", func(s *scene) {
			s.tunnel(Accepts, NotAsked)
			s.snapshot.Routes[netip.MustParseAddr("192.0.2.11")] = Route{Interface: "eth0", MTU: 1400}
			s.snapshot.Servers[0].Large = TunnelFit{Size: 1400, Arrives: 1400}
		}, nil, ""},
		{"tunnel in which large packets are lost", func(s *scene) {
			s.tunnel(Accepts, NotAsked)
			s.snapshot.Routes[netip.MustParseAddr("192.0.2.11")] = Route{Interface: "eth0", MTU: 1500, Gateway: netip.MustParseAddr("192.0.2.254")}
			s.snapshot.Servers[0].Large = TunnelFit{Size: 1500, Arrives: 1380}
		}, []string{"tunnel-mtu"}, "`ip route replace 192.0.2.11/32 via 192.0.2.254 dev eth0 mtu 1380` on both directors, so that they ask clients by ICMP for smaller " +
			"packets; for TCP clients that do not get this ICMP, run `ip route replace default via ROUTER advmss 1320` on the real servers; better, let ICMP type 3 code 4"},
		{"tunnel in which fragments are lost", func(s *scene) {
			s.tunnel(Accepts, NotAsked)
			s.snapshot.Sysctls[pmtuDiscovery] = "0"
			s.snapshot.Servers[0].Large = TunnelFit{Size: 1520, Arrives: 1000, Split: true}
		}, []string{"tunnel-mtu"}, "error tunnel-mtu: real server 192.0.2.11 of www: packets of 1520 bytes in a tunnel, sent in fragments, are lost"},
		{"and how they arrive", func(s *scene) {
			s.tunnel(Accepts, NotAsked)
			s.snapshot.Sysctls[pmtuDiscovery] = "0"
			s.snapshot.Servers[0].Large = TunnelFit{Size: 1520, Arrives: 1500, Split: true}
		}, []string{"tunnel-mtu"}, "fix: run `sysctl -w net.ipv4.vs.pmtu_disc=1` on both directors, so that they ask clients by ICMP for smaller packets, and keep pmtu_disc " +
			"out of [lvs.sysctl]; for TCP clients that do not get this ICMP, run `ip route replace default via ROUTER advmss 1440` on the real servers"},
		{"a tunnel's server that answers", func(s *scene) { s.tunnel(Accepts, NotAsked) }, nil, ""},
		{"a tunnel's server without a tunnel", func(s *scene) { s.tunnel(NoTunnel, NotAsked) }, []string{"server-lacks-tunnel"}, "apply --vip 192.0.2.100 --mode tunnel`"},
		{"the tunnel is dropped on the way", func(s *scene) { s.tunnel(Silent, Silent) }, []string{"tunnel-dropped"}, "IP protocol 4"},
		{"a tunnel's server without the VIP, or a strict router", func(s *scene) { s.tunnel(Silent, Accepts) }, []string{"server-lacks-vip"},
			"it lacks the VIP, or a router drops its answers, which have the VIP as source (rp_filter)"},
		{"and the advice that shows which of both it is comes first", func(s *scene) { s.tunnel(Silent, Accepts) }, []string{"server-lacks-vip"},
			"fix: run `tandem realserver apply --vip 192.0.2.100 --mode tunnel` on it, which prints what it lacked; if it prints nothing, it is the router " +
				"between the servers and the clients: sysctl -w net.ipv4.conf.all.rp_filter=2 there"},
		{"tunnel by another interface, which has room", func(s *scene) {
			s.method = "tunnel"
			s.link(func(l *vrrp.Link) { l.MTU = 1500 })
			s.snapshot.Routes[netip.MustParseAddr("192.0.2.11")] = Route{Interface: "eth1", MTU: 9000}
		}, nil, ""},
		{"tunnel without a way", func(s *scene) {
			s.method = "tunnel"
			s.link(func(l *vrrp.Link) { l.MTU = 1500 })
			s.snapshot.Routes = nil
		}, nil, ""},
		{"a real server answers the master", func(s *scene) { s.owner("02:00:00:00:00:11", "192.0.2.11") },
			[]string{"server-answers"}, "another machine claims 192.0.2.100: 02:00:00:00:00:11 (192.0.2.11, real server of www)"},
		{"a real server answers the backup", func(s *scene) { s.backup(); s.owner("02:00:00:00:00:11", "192.0.2.11") }, []string{"server-answers"}, "tandem realserver apply"},
		{"both directors have it", func(s *scene) { s.owner("02:00:00:00:00:02", "192.0.2.3") }, []string{"multicast-lost"}, "02:00:00:00:00:02 (192.0.2.3) has 192.0.2.100"},
		{"both directors have it and hear each other", func(s *scene) { s.owner("02:00:00:00:00:02", "192.0.2.3"); s.advert("eth0", "192.0.2.3", 51) },
			[]string{"two-masters"}, "192.0.2.3 advertises virtual router 51 on eth0, of which this machine is master"},
		{"a backup that hears nothing", func(s *scene) { s.backup(); s.snapshot.Adverts = nil }, []string{"multicast-lost"},
			"02:00:00:00:00:02 (192.0.2.3) has 192.0.2.100, and none of its advertisements arrives on eth0"},
		{"a backup that hears nothing by unicast", func(s *scene) { s.extra = `unicast_peers = ["192.0.2.3"]`; s.backup(); s.snapshot.Adverts = nil },
			[]string{"unicast-lost"}, "unicast_peers"},
		{"a backup that did not listen for long", func(s *scene) { s.extra = `advert_interval = "20s"`; s.backup(); s.snapshot.Adverts = nil }, nil, ""},
		{"a master that gives way", func(s *scene) {
			s.advert("eth0", "192.0.2.3", 51)
			s.snapshot.Adverts[0].Leaving = true
		}, nil, ""},
		{"a backup that hears only how its master gives way", func(s *scene) { s.backup(); s.snapshot.Adverts[0].Leaving = true }, nil, ""},
		{"another pair with the id", func(s *scene) {
			s.advert("eth0", "192.0.2.77", 51, func(p *vrrp.Packet) { p.VIPs[0] = netip.MustParseAddr("192.0.2.200") })
		}, []string{"duplicate-vrid"}, "192.0.2.77 also advertises virtual router 51 on eth0, for 192.0.2.200"},
		{"a backup hears two masters", func(s *scene) { s.backup(); s.advert("eth0", "192.0.2.4", 51) }, []string{"two-masters"}, "192.0.2.3 and 192.0.2.4"},
		{"the peer speaks another version", func(s *scene) {
			s.backup()
			s.snapshot.Adverts = nil
			s.advert("eth0", "192.0.2.3", 51, func(p *vrrp.Packet) { p.Version = vrrp.Version2 })
		}, []string{"peer-differs"}, "web: 192.0.2.3 "},
		{"the peer has more VIPs", func(s *scene) {
			s.backup()
			s.snapshot.Adverts = nil
			s.advert("eth0", "192.0.2.3", 51, func(p *vrrp.Packet) { p.VIPs = append(p.VIPs, netip.MustParseAddr("192.0.2.101")) })
		}, []string{"peer-differs"}, "192.0.2.101"},
		{"the peer's heartbeat to our address comes over the same interface", func(s *scene) {
			s.extra = `heartbeat = [{ peer = "192.0.2.3" }]`
			s.backup()
			s.advert("eth0", "192.0.2.3", 51)
			s.snapshot.Adverts[len(s.snapshot.Adverts)-1].Destination = netip.MustParseAddr("192.0.2.2")
		}, nil, ""},
		{"VRRP cannot come in", func(s *scene) {
			s.filter(Flow{"eth0", vrrp.Group4, 0}, false, Chain{Family: "inet", Table: "site", Name: "in"})
		},
			[]string{"vrrp-filtered"}, "fix: nft insert rule inet site in meta l4proto 112 accept"},
		{"and the peer is master too: the cause comes alone", func(s *scene) {
			s.filter(Flow{"eth0", vrrp.Group4, 0}, false)
			s.owner("02:00:00:00:00:02", "192.0.2.3")
			s.advert("eth0", "192.0.2.3", 51)
		}, []string{"vrrp-filtered"}, "error vrrp-filtered: this machine's firewall drops incoming VRRP (IP protocol 112 to 224.0.0.18) on eth0; "},
		{"but a backup hears its master", func(s *scene) { s.backup(); s.filter(Flow{"eth0", vrrp.Group4, 0}, false) },
			[]string{"vrrp-filtered"}, "no fault if a rule accepts it from the other director's address"},
		{"VRRP cannot leave", func(s *scene) { s.filter(Flow{"eth0", vrrp.Group6, 0}, true) }, []string{"vrrp-filtered"}, "`ip6tables -I OUTPUT -p 112 -j ACCEPT`"},
		{"sync cannot come in", func(s *scene) { s.filter(Flow{"eth0", netip.MustParseAddr("224.0.0.81"), 8848}, false) }, []string{"sync-filtered"}, "--dport 8848"},
		{"the peer has another vrid", func(s *scene) { s.advert("eth0", "192.0.2.3", 52); s.owner("02:00:00:00:00:02", "192.0.2.3") },
			[]string{"vrid-differs"}, "192.0.2.3 advertises 192.0.2.100 with vrid 52 on eth0, and the vrid of web is 51 here"},
		{"another machine has our address", func(s *scene) {
			s.advert("eth0", "192.0.2.2", 51)
			s.snapshot.Adverts[0].Hardware = "02:00:00:00:00:02"
		}, []string{"duplicate-address"}, "02:00:00:00:00:02"},
		{"the VIP on lo of the backup", func(s *scene) { s.backup(); s.address("lo", "192.0.2.100/32") },
			[]string{"vip-misplaced"}, "ip address del 192.0.2.100/32 dev lo"},
		{"the VIP's network is on another interface", func(s *scene) {
			s.address("eth1", "192.0.2.2/24")
			s.link(func(l *vrrp.Link) { l.Addrs = []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24"), l.Addrs[1]} })
		}, []string{"wrong-interface"}, `write interface = "eth1"`},
		{"and on both", func(s *scene) { s.address("eth1", "192.0.2.5/24") }, nil, ""},
		{"the VIP of a larger network", func(s *scene) { s.link(func(l *vrrp.Link) { l.Addrs[0] = netip.MustParsePrefix("192.0.2.2/25") }) },
			[]string{"prefix-length"}, `write "192.0.2.100/25"`},
		{"the VIP of a smaller network", func(s *scene) { s.link(func(l *vrrp.Link) { l.Addrs[0] = netip.MustParsePrefix("192.0.2.2/16") }) },
			[]string{"prefix-length"}, "warning prefix-length: web: the prefix length of 192.0.2.100/24"},
		{"the server answers at both addresses", func(s *scene) { s.answers(Accepts, Accepts, NotAsked) }, nil, ""},
		{"the server lacks the VIP", func(s *scene) { s.answers(Accepts, Silent, NotAsked) }, []string{"server-lacks-vip"}, "`tandem realserver apply --vip 192.0.2.100`"},
		{"the server listens at its own address only", func(s *scene) { s.answers(Accepts, Refuses, NotAsked) }, []string{"server-refuses-vip"}, "192.0.2.100:80"},
		{"the server listens at the VIP only", func(s *scene) { s.answers(Refuses, Accepts, NotAsked) }, nil, ""},
		{"and clients get no answer from it", func(s *scene) {
			s.answers(Accepts, Silent, NotAsked)
			is := api.Unanswered{Server: "www/192.0.2.11:80", Connections: 37, OthersPercent: 100, Checked: true}
			s.snapshot.Status.Services = []api.Service{{Servers: []api.Server{{Unanswered: &is}}}}
		}, []string{"server-lacks-vip"}, "apply"},
		{"and its service has lost its quorum", func(s *scene) {
			s.answers(Accepts, Silent, NotAsked)
			s.snapshot.Status.Warnings = []string{"www has lost its quorum"}
			s.snapshot.Status.ServerWarnings = s.snapshot.Status.Warnings
		}, []string{"server-lacks-vip"}, "apply"},
		{"the quorum is lost, and no server says why", func(s *scene) {
			s.snapshot.Status.Warnings = []string{"www has lost its quorum"}
			s.snapshot.Status.ServerWarnings = s.snapshot.Status.Warnings
		}, []string{"director-warns"}, "quorum"},
		{"two servers with one fault", func(s *scene) {
			s.answers(Accepts, Silent, NotAsked)
			other := s.snapshot.Servers[0]
			other.Server = netip.MustParseAddrPort("192.0.2.12:80")
			s.snapshot.Servers = append(s.snapshot.Servers, other)
		}, []string{"server-lacks-vip"}, "real servers 192.0.2.11, 192.0.2.12 of www: connections to its own address"},
		{"the server refuses", func(s *scene) { s.answers(Refuses, Refuses, NotAsked) }, []string{"server-refuses"}, "port 80"},
		{"the server is silent", func(s *scene) { s.answers(Silent, Silent, NotAsked) }, []string{"server-silent"}, "port 80"},
		{"the server is not there", func(s *scene) { s.answers(Unreachable, NotAsked, NotAsked) }, []string{"server-unreachable"}, "correct it on both directors"},
		{"the server's answers do not come back", func(s *scene) { s.nat(); s.answers(Accepts, NotAsked, Silent) },
			[]string{"answers-elsewhere"}, "`tandem realserver apply --vip 192.0.2.100 --mode nat`"},
		{"a drained server that refuses", func(s *scene) {
			s.answers(Refuses, Refuses, NotAsked)
			s.snapshot.Status.Services = []api.Service{{Name: "www", Servers: []api.Server{{Address: netip.MustParseAddr("192.0.2.11"), Drained: true}}}}
		}, nil, ""},
		{"clients' packets are dropped", func(s *scene) {
			s.snapshot.Dropped = []DroppedPacket{{Service: "www", Chain: Chain{Family: "inet", Table: "site", Name: "in"}, From: "eth0", Port: 80}}
		}, []string{"service-filtered"}, "nft insert rule inet site in tcp dport 80 accept"},
		{"servers' answers are dropped", func(s *scene) {
			s.snapshot.Dropped = []DroppedPacket{{"www", Chain{Family: "inet", Table: "site", Name: "forward"}, true, "eth1", 80}, {"dns", Chain{Family: "inet", Table: "site", Name: "forward"}, true, "eth1", 53}}
		}, []string{"forward-filtered"}, "nft insert rule inet site forward iifname eth1 accept"},
		{"the peer serves as this director would", func(s *scene) { s.synced(7, "192.0.2.100:80", "192.0.2.11:80", lvs.DR) }, nil, ""},
		{"the peer has another server", func(s *scene) {
			s.synced(7, "192.0.2.100:80", "192.0.2.11:80", lvs.DR)
			s.synced(7, "192.0.2.100:80", "192.0.2.12:80", lvs.DR)
			s.synced(7, "192.0.2.100:80", "192.0.2.12:80", lvs.DR)
		}, []string{"services-differ"}, "192.0.2.3 sends clients of www to 192.0.2.12:80, which is no server of it here"},
		{"the peer has the server at another port", func(s *scene) { s.synced(7, "192.0.2.100:80", "192.0.2.11:8080", lvs.DR) },
			[]string{"services-differ"}, "to 192.0.2.11:8080, which"},
		{"the peer has another method", func(s *scene) { s.synced(7, "192.0.2.100:80", "192.0.2.11:80", lvs.NAT) },
			[]string{"services-differ"}, "by method nat, and here it has method dr"},
		{"the peer has another service", func(s *scene) { s.synced(7, "192.0.2.100:443", "192.0.2.11:443", lvs.DR) },
			[]string{"services-differ"}, "192.0.2.3 serves tcp at 192.0.2.100:443, and this director has no such service"},
		{"the peer serves an address of another pair", func(s *scene) { s.synced(7, "192.0.2.200:443", "192.0.2.11:443", lvs.DR) }, nil, ""},
		{"the peer has another sync id", func(s *scene) { s.synced(8, "192.0.2.100:80", "192.0.2.11:80", lvs.DR) },
			[]string{"sync-id-differs"}, "with the sync id 8, and this director has 7"},
		{"another pair has another sync id", func(s *scene) { s.synced(8, "192.0.2.200:80", "192.0.2.11:80", lvs.DR) }, nil, ""},
		{"a server that was removed serves the connections that it has", func(s *scene) {
			s.synced(7, "192.0.2.100:80", "192.0.2.12:80", lvs.DR)
			s.snapshot.Status.Services = []api.Service{{Name: "www", Servers: []api.Server{{Address: netip.MustParseAddr("192.0.2.12"), Leaving: true}}}}
		}, nil, ""},
		{"what is not certain of a connection", func(s *scene) {
			s.synced(7, "192.0.2.100:443", "192.0.2.11:443", lvs.DR)
			c := s.snapshot.Synced[0].Connections
			template, marked, other := c[0], c[0], c[0]
			template.template, marked.Mark, other.Protocol = true, 3, 0
			s.snapshot.Synced[0].Connections = []SyncedConnection{template, marked, other}
		}, nil, ""},
		{"what the director has heard is looked at anew", func(s *scene) {
			s.snapshot.Status.Warnings = []string{"web: 192.0.2.9 is master as well"}
			s.snapshot.Status.WireWarnings = s.snapshot.Status.Warnings
		}, nil, ""},
		{"the clock was set meanwhile", func(s *scene) { s.snapshot.Clock.Stepped = -time.Hour }, []string{"clock-step"}, "by -1h0m0s during the examination"},
		{"the clock was set before", func(s *scene) { s.snapshot.Clock.SteppedBefore = time.Minute }, []string{"clock-step-before"}, "by 1m0s since the director started"},
		{"nobody keeps the clock", func(s *scene) { s.snapshot.Clock.Unsynchronised = true }, []string{"clock-unsynchronised"}, "chrony"},
		{"two others have it", func(s *scene) { s.backup(); s.owner("02:00:00:00:00:77") }, []string{"two-owners"}, "02:00:00:00:00:77"},
		{"nobody has it", func(s *scene) { s.started(time.Hour) }, []string{"nobody-owns"}, "no director advertises it; here, web is in state backup"},
		{"the master's answers are lost", func(s *scene) { s.backup(); s.snapshot.Owners = nil }, []string{"nobody-owns"},
			"192.0.2.3 advertises 192.0.2.100 on eth0, and does not answer address resolution for it"},
		{"a master that leaves", func(s *scene) {
			s.started(time.Hour)
			s.advert("eth0", "192.0.2.3", 51, func(p *vrrp.Packet) { p.Priority = vrrp.PriorityLeaving })
		}, []string{"nobody-owns"}, "no director advertises it"},
		{"nobody has it yet", func(s *scene) { s.started(2 * time.Second) }, []string{"election-open"}, "it becomes master after 3.609s"},
		{"it became master after the owners were asked", func(s *scene) { s.started(-time.Second); s.snapshot.Status.VRRP[0].State = "master" },
			[]string{"election-open"}, "192.0.2.100"},
		{"nobody has it in time", func(s *scene) { s.started(5 * time.Second) }, []string{"nobody-owns"}, "192.0.2.100"},
		{"a router that cannot take part", func(s *scene) {
			s.started(time.Second)
			s.snapshot.Status.VRRP[0].State = "fault"
			s.snapshot.Status.VRRP[0].Reason = "tracked eth1"
		},
			[]string{"nobody-owns"}, "web is in state fault (tracked eth1)"},
		{"the peer's advertisements are dropped", func(s *scene) { s.advert("eth0", "192.0.2.3", 51) }, []string{"two-masters"}, "192.0.2.3 advertises virtual router 51"},
		{"others' virtual routers", func(s *scene) {
			s.advert("eth0", "192.0.2.7", 52, func(p *vrrp.Packet) { p.VIPs[0] = netip.MustParseAddr("192.0.2.200") })
			s.advert("eth0", "fe80::7", 51)
			s.advert("eth1", "192.0.2.7", 51)
		}, nil, ""},
		{"our own, by the virtual MAC address", func(s *scene) { s.advert("eth0", "192.0.2.2", 51) }, nil, ""},
		{"keepalived", func(s *scene) { s.snapshot.Programs = append(s.snapshot.Programs, "keepalived") }, []string{"keepalived-runs"}, "systemctl"},
		{"NetworkManager", func(s *scene) { s.snapshot.Programs = append(s.snapshot.Programs, "NetworkManager") }, []string{"address-manager"}, "nmcli"},
		{"networkd", func(s *scene) { s.snapshot.Programs = append(s.snapshot.Programs, "systemd-network") }, []string{"address-manager"}, "KeepConfiguration"},
		{"the worst comes first", func(s *scene) { s.snapshot.Status = nil; s.snapshot.IPVS = false }, []string{"ipvs-missing", "not-running"}, "IPVS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := master()
			tt.change(s)
			c := parsed(t, pairText(s.method, s.extra))
			for _, w := range c.Warnings {
				if s.warns {
					s.snapshot.Status.Warnings = append(s.snapshot.Status.Warnings, w.Error())
				}
			}
			got := Director(c, s.snapshot)
			if !slices.Equal(ids(got), tt.want) {
				t.Errorf("findings %v, want %v", ids(got), tt.want)
			}
			if len(got) > 0 && !strings.Contains(got[0].String(), tt.says) {
				t.Errorf("%q does not say %q", got[0], tt.says)
			}
			for _, f := range got {
				if f.What == "" || f.Why == "" || f.Mend == "" || f.Severity == 0 || strings.Contains(f.String(), "\n") {
					t.Errorf("incomplete: %+v", f)
				}
			}
		})
	}
}

// TestPeerDiffersOnce: what the running director warns of too is reported once, as the doctor sees it now.
func TestPeerDiffersOnce(t *testing.T) {
	s := master()
	s.backup()
	s.snapshot.Adverts = nil
	s.advert("eth0", "192.0.2.3", 51, func(p *vrrp.Packet) { p.Version = vrrp.Version2 })
	c := parsed(t, pairText("dr", ""))
	got := Director(c, s.snapshot)
	if !slices.Equal(ids(got), []string{"peer-differs"}) || got[0].Severity != diagnosis.Error {
		t.Fatalf("got %v", got)
	}
	s.snapshot.Status.Warnings = []string{got[0].What}
	s.snapshot.Status.WireWarnings = s.snapshot.Status.Warnings
	if got := Director(c, s.snapshot); !slices.Equal(ids(got), []string{"peer-differs"}) {
		t.Errorf("with the director's warning: %v", got)
	}
}
