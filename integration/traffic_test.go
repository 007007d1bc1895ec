// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/integration/lab/scorecard"
)

// A trafficScene is a director with services of two or ten servers: good ones, and one that does not answer clients although
// its check passes.
type trafficScene struct {
	*lab.Lab
	router, client, good, second *lab.Host
	director                     *lab.Director
	web80                        func() // stops that of second
	breakages                    []breakage
	floods                       map[string][]float64 // SYNs a second that were sent, by tcp_syncookies
}

// A breakage is what is wrong with the second server of a service.
type breakage struct {
	name, what string
	port       int
	server     string    // SERVICE/ADDRESS:PORT
	mend       func()    // repairs it
	on         *lab.Host // instead, the command that the doctor advises repairs it here
	finding    string    // what the doctor finds; empty: it depends on the cause
}

const (
	clientsGateway = "192.0.2.254"
	floodSources   = "100.64.0.0/10"
	floodCable     = "flood0"
)

// newTrafficScene makes the scene. The clients are behind a router.
func newTrafficScene(t *testing.T) *trafficScene {
	l := lab.New(t)
	s := &trafficScene{Lab: l, floods: make(map[string][]float64)}
	s.router = l.Host("router", clientsGateway+"/24")
	s.router.Join("outside", "198.51.100.254/24")
	s.router.Sysctl(map[string]string{"net.ipv4.ip_forward": "1"})
	s.router.Run("ip", "route", "add", "blackhole", floodSources)
	s.client = outsider(t, l, "client", "outside", "198.51.100.7/24", "198.51.100.254")
	s.good = s.web("web1", "192.0.2.11", lab.VIP)
	s.listen(s.good, ":80")
	s.stage()
	s.director = l.Director("director", "192.0.2.2/24", s.config(2, s.breakages))
	s.director.Join("inner", "10.0.0.1/24")
	s.director.Sysctl(map[string]string{"net.ipv4.ip_forward": "1"})
	s.director.Run("ip", "route", "add", "default", "via", clientsGateway)
	return s
}

// config is the configuration of services that have so many servers each, with one that is broken.
func (s *trafficScene) config(of int, broken []breakage) string {
	config := fmt.Sprintf("[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nadvert_interval = \"300ms\"\nvips = [\"%s/24\"]\n", lab.VIP)
	for _, b := range broken {
		method, servers := "dr", []string{`address = "192.0.2.11"`, fmt.Sprintf("address = %q", serverAddr(b.server))}
		name, _, _ := strings.Cut(b.server, "/")
		switch b.name {
		case "tunnel":
			servers[1] += `, method = "tunnel"`
		case "nat", "refused":
			method = "nat"
			_, port, _ := net.SplitHostPort(b.server)
			servers = []string{`address = "10.0.0.11", port = 80`, fmt.Sprintf("address = %q, port = %s", serverAddr(b.server), port)}
		}
		for i := 2; i < of; i++ {
			servers = append(servers, fmt.Sprintf("address = %q", goodAddr(i)))
		}
		config += fmt.Sprintf("[[service]]\nname = %q\nvirtual = \"%s:%d\"\nscheduler = \"rr\"\nmethod = %q\nserver = [{ %s }]\n"+
			"check = { type = \"tcp\", port = 80, interval = \"1s\", timeout = \"1s\", fall = 3, rise = 1 }\n",
			name, lab.VIP, b.port, method, strings.Join(servers, " }, { "))
	}
	return config
}

// oneOfTen makes services of ten servers, of which one is broken: all others are addresses of one machine. It expects the
// broken ones to be named. Then the services of two servers are back.
func (s *trafficScene) oneOfTen(t *testing.T) {
	broken := slices.Clone(s.breakages[:4])
	for i, b := range broken {
		_, at, _ := strings.Cut(b.server, "/")
		broken[i].server, broken[i].what = b.name+"10/"+at, b.what+", one of ten"
	}
	for i := 2; i < manyServers; i++ {
		s.good.Run("ip", "addr", "add", goodAddr(i)+"/24", "dev", "eth0")
	}
	s.reload(manyServers, broken)
	crowds := s.named(t, broken)
	for _, c := range crowds {
		c.stop()
	}
	s.reload(2, s.breakages)
}

// reload puts a configuration in force.
func (s *trafficScene) reload(of int, broken []breakage) {
	s.director.Configure(s.config(of, broken))
	s.director.Run(s.director.Program(), "reload", "--socket", s.director.Socket)
	s.filled(of * len(broken))
}

// filled waits until the table has so many servers.
func (s *trafficScene) filled(servers int) {
	s.Eventually(30*time.Second, "all checks pass", func() error {
		if n := s.director.Servers(); n != servers {
			return fmt.Errorf("%d servers in the table, not %d", n, servers)
		}
		return nil
	})
}

// manyServers is how many servers a large service has.
const manyServers = 10

func goodAddr(i int) string { return fmt.Sprintf("192.0.2.%d", 20+i) }

func serverAddr(name string) string {
	_, at, _ := strings.Cut(name, "/")
	return netip.MustParseAddrPort(at).Addr().String()
}

// web makes a web server on the segment of the director. Its check asks port 80.
func (s *trafficScene) web(name, addr string, vips ...string) *lab.Host {
	h := s.Host(name, addr+"/24")
	h.RealServer(vips...)
	h.Sysctl(map[string]string{"net.ipv4.conf.all.rp_filter": "0"})
	h.Run("ip", "route", "add", "default", "via", clientsGateway)
	s.listen(h, ":81", ":82", ":83")
	return h
}

func (s *trafficScene) listen(h *lab.Host, at ...string) (stop func()) {
	return h.AnswerCalls(at, nil)
}

// inner makes a web server behind the director.
func (s *trafficScene) inner(name, addr string) *lab.Host {
	h := s.Host(name)
	h.Join("inner", addr+"/24")
	s.listen(h, ":80")
	return h
}

// stage makes the servers that do not answer clients.
func (s *trafficScene) stage() {
	add := func(name, what string, port int, server string, mend func()) {
		s.breakages = append(s.breakages, breakage{name, what, port, name + "/" + server, mend, nil, ""})
	}
	s.second = s.web("web2", "192.0.2.12")
	s.web80 = s.listen(s.second, ":80")
	add("vip", "VIP missing", 80, "192.0.2.12:80", nil)
	s.breakages[0].on = s.second

	own := s.Host("web3", "192.0.2.13/24")
	own.RealServer(lab.VIP)
	own.Run("ip", "route", "add", "default", "via", clientsGateway)
	s.listen(own, ":80")
	wrong := s.listen(own, "192.0.2.13:81")
	add("listener", "listener on the own address", 81, "192.0.2.13:81", func() { wrong(); s.listen(own, ":81") })

	lost := s.web("web4", "192.0.2.14", lab.VIP)
	lost.Run("ip", "route", "delete", "default")
	s.listen(lost, ":80")
	add("route", "no default route", 82, "192.0.2.14:82", func() { lost.Run("ip", "route", "add", "default", "via", clientsGateway) })
	s.breakages[len(s.breakages)-1].finding = "server-unanswered" // only clients of other networks get no answer

	far := s.web("web5", "192.0.2.15", lab.VIP)
	s.listen(far, ":80")
	far.Run("modprobe", "ipip")
	far.Run("ip", "link", "set", "tunl0", "up")
	far.Sysctl(map[string]string{"net.ipv4.conf.tunl0.rp_filter": "0"})
	add("tunnel", "IPIP dropped", 83, "192.0.2.15:83", dropTunnels(far))

	s.inner("in1", "10.0.0.11").Run("ip", "route", "add", "default", "via", "10.0.0.1")
	stray := s.inner("in2", "10.0.0.12")
	add("nat", "NAT, no default route", 84, "10.0.0.12:80", func() { stray.Run("ip", "route", "add", "default", "via", "10.0.0.1") })
	closed := s.inner("in3", "10.0.0.13")
	closed.Run("ip", "route", "add", "default", "via", "10.0.0.1")
	add("refused", "NAT, port closed", 85, "10.0.0.13:8080", func() { s.listen(closed, ":8080") })
}

func do(l *lab.Lab, h *lab.Host, f func() error) {
	if err := h.Do(f); err != nil {
		l.Logf("%s: %v", h.Name, err)
		panic(err)
	}
}

// unanswered are the servers that the status names, with what it says of them.
func (s *trafficScene) unanswered() (map[string]string, error) { return unanswered(s.director) }

func unanswered(d *lab.Director) (map[string]string, error) {
	status, err := d.Status()
	if err != nil {
		return nil, err
	}
	named := make(map[string]string)
	for _, svc := range status.Services {
		for _, srv := range svc.Servers {
			if u := srv.Unanswered; u != nil {
				named[u.Server] = fmt.Sprintf("0 of %d, others %d %%", u.Connections, u.OthersPercent)
			}
		}
	}
	return named, nil
}

// TestTrafficNamesServers: a server that passes its check and does not answer clients is named within 10 s at 20 connections a
// second, whatever the cause and the method, and one of ten as one of two. It is no longer named within 2 s of the repair. Then
// nobody is named during SYN floods, with slow clients, and while a server flaps.
func TestTrafficNamesServers(t *testing.T) {
	s := newTrafficScene(t)
	s.director.Launch()
	s.director.AwaitState(60*time.Second, "master")
	s.filled(2 * len(s.breakages))
	// A look at an emulated machine's table shows some hundred connections. So those that have ended leave it soon: otherwise
	// they would stay for two minutes.
	s.director.Run("ipvsadm", "--set", "0", "5", "0")
	s.oneOfTen(t)
	// The emulated machine does not carry the clients of all services at once.
	s.names(t, s.breakages[:3])
	s.names(t, s.breakages[3:])
	c := visit(s.client, s.breakages[0].port, perSecond20)
	defer c.stop()
	s.falseNames(t)
}

// perSecond20 is the interval of 20 connections a second.
const perSecond, perSecond20 = 20, time.Second / perSecond

// late tells whether something took longer than wanted, by the clock and by the connections that were opened meanwhile: an
// emulated machine that lacks processors opens fewer.
func late(took, most time.Duration, opened int64) bool {
	return took > most && opened > int64(most/perSecond20)
}

// named expects the director to name the servers that do not answer clients, and only these. Their clients go on.
func (s *trafficScene) named(t *testing.T, broken []breakage) map[string]*crowd {
	const within = 10 * time.Second
	crowds, took, opened := make(map[string]*crowd), make(map[string]time.Duration), make(map[string]int64)
	for _, b := range broken {
		crowds[b.server] = visit(s.client, b.port, perSecond20)
		t.Cleanup(crowds[b.server].stop)
	}
	var named map[string]string
	s.Eventually(60*time.Second, "all are named", func() (err error) {
		time.Sleep(100 * time.Millisecond)
		named, err = s.unanswered()
		for _, b := range broken {
			if says, ok := named[b.server]; ok && took[b.server] == 0 {
				took[b.server], opened[b.server] = time.Since(crowds[b.server].first), crowds[b.server].opened.Load()
				s.Logf("%s: %s named after %.1f s: %s", b.what, b.server, took[b.server].Seconds(), says)
			}
		}
		if err == nil && len(took) < len(broken) {
			err = fmt.Errorf("named: %v", named)
		}
		return err
	})
	if len(named) != len(broken) {
		t.Errorf("named %v; want one server of each service", named)
	}
	for _, b := range broken {
		if c := crowds[b.server]; late(took[b.server], within, opened[b.server]) {
			t.Errorf("%s: named after %s (%d connections answered, %d not), want within %s", b.what, took[b.server], c.answered.Load(), c.failed.Load(), within)
		}
	}
	return crowds
}

// names expects that servers are named until they are repaired.
func (s *trafficScene) names(t *testing.T, broken []breakage) {
	const mended = 2 * time.Second
	crowds := s.named(t, broken)
	for _, c := range crowds {
		defer c.stop()
	}
	found := s.advised(t, broken)
	for _, b := range broken {
		if b.on != nil {
			scorecard.Do(t, b.on, scorecard.CommandIn(found[b.server].Mend))
		} else {
			b.mend()
		}
		at, before := time.Now(), crowds[b.server].opened.Load()
		s.Eventually(20*time.Second, b.what+": repaired", func() error {
			named, err := s.unanswered()
			if _, still := named[b.server]; still {
				return errors.New("still named")
			}
			return err
		})
		const asking = 500 * time.Millisecond // for the status
		took := time.Since(at)
		if late(took, mended+asking, crowds[b.server].opened.Load()-before) {
			t.Errorf("%s: named for %s after the repair, want %s", b.what, took, mended)
		}
		answered := crowds[b.server].answered.Load()
		s.Eventually(20*time.Second, b.what+": clients are answered after the repair", func() error {
			if n := crowds[b.server].answered.Load(); n < answered+perSecond {
				return fmt.Errorf("%d more connections were answered", n-answered)
			}
			return nil
		})
		f := found[b.server]
		scorecard.Row(t, "traffic: "+b.what, f.ID, s.director.Name, f.Mend, took)
	}
}

// advised expects the doctor to name servers, with advice: by the cause where it finds one itself, and else by what clients see. It
// finds causes before clients come. It returns the finding about each server.
func (s *trafficScene) advised(t *testing.T, broken []breakage) map[string]lab.Finding {
	t.Helper()
	of := func(all []lab.Finding, b breakage) int {
		return slices.IndexFunc(all, func(f lab.Finding) bool { return strings.Contains(f.What, serverAddr(b.server)) })
	}
	var all []lab.Finding
	// On an emulated machine without enough processors, the doctor may not wait long enough for an answer.
	s.Eventually(60*time.Second, "the doctor names each server, with the causes that are known", func() error {
		all, _ = s.director.Doctor("-c", s.director.File)
		for _, b := range broken {
			want := b.finding
			if b.on != nil {
				want = "server-lacks-vip"
			}
			if i := of(all, b); i < 0 || want != "" && all[i].ID != want {
				return fmt.Errorf("%s: %+v", b.what, all)
			}
		}
		return nil
	})
	about := make(map[string]lab.Finding)
	for _, b := range broken {
		f := all[of(all, b)]
		about[b.server] = f
		switch f.ID {
		case "server-unanswered":
			if !strings.Contains(f.What, "its own check passes") || !strings.Contains(f.Mend, "VIP") {
				t.Errorf("the doctor says %+v", f)
			}
		case "server-lacks-vip", "server-refuses-vip", "server-refuses", "server-silent", "answers-elsewhere", "server-lacks-tunnel", "tunnel-dropped":
			if !strings.HasPrefix(f.What, "real server ") || f.Mend == "" {
				t.Errorf("the doctor says %+v", f)
			}
		default:
			t.Errorf("the doctor says %+v", f)
		}
	}
	return about
}
