// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

const pairFile = `
name = "lb1"
[[vrrp]]
name = "web"
interface = "eth0"
vrid = 51
vips = ["192.0.2.100/24"]
EXTRA
[[service]]
name = "www"
virtual = "192.0.2.100:80"
scheduler = "wrr"
method = "METHOD"
  [service.check]
  [[service.server]]
  address = "192.0.2.11"
`

// pairText is pairFile with a method of forwarding, and with more after its virtual router.
func pairText(method, extra string) string {
	return strings.NewReplacer("METHOD", method, "EXTRA", extra).Replace(pairFile)
}

// parsed returns the configuration that a file has.
func parsed(t *testing.T, text string) *configs.Config {
	t.Helper()
	c, err := configs.Parse("x.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A scene is a configuration and a snapshot. Each row of a table changes it.
type scene struct {
	method, extra string
	replaced      []string // of the configuration, in pairs
	warns         bool     // the director warns of what is wrong in the file
	snapshot      Snapshot
}

// asked is when a scene's doctor asked who has the VIPs.
var asked = time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)

// master is a director without faults.
func master() *scene {
	return &scene{method: "dr", snapshot: Snapshot{
		IPVS: true, Schedulers: []string{"rr", "wrr"},
		Sysctls: map[string]string{"net/ipv4/ip_forward": "0", "net/ipv4/conf/all/rp_filter": "1",
			"net/ipv4/conf/all/send_redirects": "1", "net/ipv4/conf/eth0/send_redirects": "1"},
		Links: map[string]vrrp.Link{"eth0": {Name: "eth0", Index: 2, Up: true, Carrier: true, MTU: 1520,
			Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24"), netip.MustParsePrefix("192.0.2.100/24")}}},
		Owners:   map[string][]garp.Owner{},
		Routes:   map[netip.Addr]Route{netip.MustParseAddr("192.0.2.11"): {Interface: "eth0", MTU: 1520}},
		Programs: []string{"tandem", "sshd"},
		Director: Process{Files: 1024}, Listened: map[string]time.Duration{"eth0": 3 * time.Second}, Status: &control.Status{VRRP: []control.Router{{Name: "web", State: "master", Since: asked.Add(-time.Minute)}}},
		Asked: asked,
	}}
}

// tableFault has the director say that the kernel's table is not as it should be.
func (s *scene) tableFault(refused ...string) {
	const warning = "the kernel's IPVS table is not in line"
	s.snapshot.Status.Warnings = []string{warning}
	s.snapshot.Status.Table = &api.TableFault{Warning: warning, Refused: refused}
}

func (s *scene) link(change func(*vrrp.Link)) {
	l := s.snapshot.Links["eth0"]
	change(&l)
	s.snapshot.Links["eth0"] = l
}

// backup makes it a backup that hears its master.
func (s *scene) backup() {
	s.link(func(l *vrrp.Link) { l.Addrs = l.Addrs[:1] })
	s.snapshot.Status.VRRP[0].State = "backup"
	s.owner("02:00:00:00:00:02", "192.0.2.3")
	s.advert("eth0", "192.0.2.3", 51)
}

// started makes it a backup without a master, which started some time before the owners were asked.
func (s *scene) started(before time.Duration) {
	s.backup()
	s.snapshot.Owners, s.snapshot.Adverts = nil, nil
	s.snapshot.Status.VRRP[0].Since = asked.Add(-before)
}

func (s *scene) owner(hardware string, neighbours ...string) {
	o := garp.Owner{Address: netip.MustParseAddr("192.0.2.100"), Hardware: hardware}
	for _, n := range neighbours {
		o.Neighbours = append(o.Neighbours, netip.MustParseAddr(n))
	}
	s.snapshot.Owners["eth0"] = append(s.snapshot.Owners["eth0"], o)
}

func (s *scene) advert(iface, source string, vrid uint8, change ...func(*vrrp.Packet)) {
	vip := "192.0.2.100"
	dst := vrrp.Group4
	src := netip.MustParseAddr(source)
	if src.Is6() {
		vip, dst = "2001:db8::100", vrrp.Group6
	}
	p := vrrp.Packet{Version: 3, VRID: vrid, Priority: 100, Interval: time.Second, VIPs: []netip.Addr{netip.MustParseAddr(vip)}}
	for _, c := range change {
		c(&p)
	}
	s.snapshot.Adverts = append(s.snapshot.Adverts, Advert{Interface: iface, At: time.Unix(0, 0), Header: vrrp.Header{Source: src, Destination: dst, TTL: vrrp.TTL},
		Message: p.AppendTo(nil, src, dst), VRID: vrid, VIPs: p.VIPs, Leaving: p.Priority == vrrp.PriorityLeaving})
}

func (s *scene) filter(f Flow, out bool, chains ...Chain) {
	s.snapshot.Filtered = append(s.snapshot.Filtered, FilteredFlow{Flow: f, Out: out, Chains: chains})
}

// address gives an interface an address.
func (s *scene) address(iface, prefix string) {
	l := s.snapshot.Links[iface]
	l.Name, l.Addrs = iface, append(l.Addrs, netip.MustParsePrefix(prefix))
	s.snapshot.Links[iface] = l
}

// virtualMAC moves the VIP to an interface of its own.
func (s *scene) virtualMAC(filter string) {
	s.extra = "virtual_mac = true"
	s.snapshot.Sysctls["net/ipv4/conf/vrrp.51/rp_filter"] = filter
	s.link(func(l *vrrp.Link) { l.Addrs = l.Addrs[:1] })
	s.address("vrrp.51", "192.0.2.100/24")
}

// answers are those of the real server.
func (s *scene) answers(own, through, back Answer) {
	s.snapshot.Servers = []ServerAnswers{{Service: "www", Server: netip.MustParseAddrPort("192.0.2.11:80"),
		VIP: netip.MustParseAddrPort("192.0.2.100:80"), Own: own, Through: through, Back: back}}
}

// synced has the peer tell of a connection.
func (s *scene) synced(id uint8, virtual, server string, method lvs.Method) {
	s.extra = "[lvs]\nsync = { interface = \"eth0\", id = 7 }\n"
	s.snapshot.Synced = append(s.snapshot.Synced, SyncMessage{Interface: "eth0", Source: netip.MustParseAddr("192.0.2.3"), ID: id,
		Connections: []SyncedConnection{{Protocol: lvs.TCP, Client: netip.MustParseAddrPort("198.51.100.1:40000"),
			Virtual: netip.MustParseAddrPort(virtual), Server: netip.MustParseAddrPort(server), Method: method}}})
}

// tunnel has the answers of a real server of method tunnel.
func (s *scene) tunnel(through, wrapped Answer) {
	s.method = "tunnel"
	s.answers(Accepts, through, NotAsked)
	s.snapshot.Servers[0].Wrapped = wrapped
}

func (s *scene) nat() {
	s.method = "nat"
	s.snapshot.Sysctls["net/ipv4/ip_forward"] = "1"
	for _, name := range []string{"all", "eth0"} {
		s.snapshot.Sysctls["net/ipv4/conf/"+name+"/send_redirects"] = "0"
	}
}

func ids(findings []Finding) (all []string) {
	for _, f := range findings {
		all = append(all, f.ID)
	}
	return all
}
