// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// idleSizes are the numbers of services that an idle director holds, each with two servers.
var idleSizes = []int{10, 100, 1000, 10_000}

// idleSpan is the time for which an idle director is watched.
const idleSpan = 30 * time.Second

// measureIdle measures the processor time of a master that only sends its advertisements. It has no checks, no peer and no
// changes.
func measureIdle(b *bench) {
	for _, n := range idleSizes {
		what := fmt.Sprintf("%d services × 2 servers", n)
		for _, s := range b.subjects(tandem, keepalived) {
			b.measure(what, s.name, func(t *lab.Attempt) {
				p := &pair{Lab: lab.New(t), attempt: t}
				p.a = p.Director("director", "192.0.2.2/24", "")
				s.serve(p.a, services{count: n, servers: 2, router: true})
				p.awaitTable(10*time.Minute, n*2)
				// A new master repeats its announcements for five seconds, and a start leaves work to do.
				p.pause(15 * time.Second)
				before, woken, began := processorTime(t, p.a.Host), wakeUps(t, p.a.Host), time.Now()
				p.pause(idleSpan)
				used, took := processorTime(t, p.a.Host)-before, time.Since(began)
				woken = wakeUps(t, p.a.Host) - woken
				b.report(what, s.name, 100*used.Seconds()/took.Seconds(), "% of a core",
					fmt.Sprintf("%.3f CPU seconds of all its processes in %.1f s", used.Seconds(), took.Seconds()))
				b.report(what+": wake-ups", s.name, float64(woken)/took.Seconds(), "a second", "of all threads; a busy machine hardly changes it")
			})
		}
	}
}

// wakeUps counts how often the threads of a host's processes have waited. A thread that has ended does not count.
func wakeUps(t *lab.Attempt, h *lab.Host) (sum int) {
	for _, pid := range h.Pids() {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		if err != nil || len(files) == 0 {
			t.Fatalf("no threads of process %d: %v", pid, err)
		}
		for _, file := range files {
			text, _ := os.ReadFile(file)
			for line := range strings.Lines(string(text)) {
				n := 0
				_, _ = fmt.Sscanf(line, "voluntary_ctxt_switches: %d", &n) // other lines leave it at 0
				sum += n
			}
		}
	}
	return sum
}

// awaitTable waits until the table of director-a has that many servers. It looks once a second only, because reading a
// large table slows down the program that fills it.
func (p *pair) awaitTable(limit time.Duration, servers int) {
	var next time.Time
	p.Eventually(limit, fmt.Sprintf("%d servers in the table", servers), func() error {
		if time.Now().Before(next) {
			return fmt.Errorf("not looked yet")
		}
		n := p.a.Servers()
		next = time.Now().Add(time.Second)
		if n != servers {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
}

// services are what a director is to hold: services at one port of different addresses.
type services struct {
	count   int
	servers int    // of each service
	router  bool   // with the virtual router of lab.VIP
	check   string // the check of the first service, "" for none
}

func (s services) address(i int) string   { return nth("10.1.0.0", i).String() }
func (s services) server(i, j int) string { return nth("10.2.0.0", i*s.servers+j).String() }
func (s services) name(i int) string      { return fmt.Sprintf("s%d", i) }

// serveTandem returns what starts tandem with services.
func serveTandem(program lab.Cargo) func(*lab.Director, services) {
	return func(d *lab.Director, s services) {
		d.Use(program)
		d.Configure(s.tandemConfig())
		d.Launch()
	}
}

func (s services) tandemConfig() string {
	var b strings.Builder
	if s.router {
		fmt.Fprintf(&b, "[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nvips = [\"%s/24\"]\n", lab.VIP)
	}
	for i := range s.count {
		fmt.Fprintf(&b, "[[service]]\nname = %q\nvirtual = \"%s:80\"\nscheduler = \"wrr\"\n", s.name(i), s.address(i))
		if i == 0 {
			b.WriteString(s.check)
		}
		for j := range s.servers {
			fmt.Fprintf(&b, "[[service.server]]\naddress = %q\n", s.server(i, j))
		}
	}
	return b.String()
}

// serveKeepalived starts keepalived with services.
func serveKeepalived(d *lab.Director, s services) {
	var b strings.Builder
	fmt.Fprintf(&b, "global_defs {\n router_id %s\n}\n", d.Name)
	if s.router {
		fmt.Fprintf(&b, "vrrp_instance web {\n state BACKUP\n interface eth0\n virtual_router_id 51\n version 3\n advert_int 1\n"+
			" virtual_ipaddress {\n %s/24\n }\n}\n", lab.VIP)
	}
	for i := range s.count {
		fmt.Fprintf(&b, "virtual_server %s 80 {\n lb_algo wrr\n lb_kind DR\n protocol TCP\n", s.address(i))
		for j := range s.servers {
			fmt.Fprintf(&b, " real_server %s 80 {\n weight 1\n }\n", s.server(i, j))
		}
		b.WriteString("}\n")
	}
	conf, pid := d.WriteFile("keepalived.conf", b.String()), d.Dir()+"/keepalived.pid"
	d.Run("ipvsadm", "-Ln") // loads IPVS
	d.Start("keepalived", "--dont-fork", "--log-console", "-f", conf, "-p", pid, "-r", pid+".vrrp", "-c", pid+".check")
}
