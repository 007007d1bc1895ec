// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A proxyRow is a pair with HAProxy on both directors, and how its directors see that HAProxy runs.
type proxyRow struct {
	subject string // tandem or keepalived
	track   string // in words
	keys    string // of the configuration
	check   time.Duration
	advert  time.Duration
}

// bound is when the VIP has moved at the latest: the check's own bound, and the skew time of the backup, which waits for so long
// after the master's last advertisement, of priority 0 (RFC 9568, section 6.1).
func (r proxyRow) bound() time.Duration {
	return r.check + time.Duration(256-lab.PriorityB)*r.advert/256
}

func (r proxyRow) String() string {
	return fmt.Sprintf("proxy: %s, %s, advertisement every %s", r.subject, r.track, r.advert)
}

const (
	proxyService = lab.VIP + ":80"
	clientAddr   = "192.0.2.1"
)

// proxyRows are the rows. The check's own bound is interval × fall + timeout. To look for a process takes no time.
func proxyRows() []proxyRow {
	const script = `script = ["/usr/bin/killall", "-0", "haproxy"], user = "root", interval = "1s", timeout = "1s", fall = 1`
	page := func(keys string) string {
		return `check = { type = "http", port = 8404, path = "/health", interval = "500ms", timeout = "500ms", fall = 3` + keys + ` }`
	}
	second := time.Second
	return []proxyRow{
		{"tandem", `process = "haproxy"`, `process = "haproxy"`, 200 * time.Millisecond, second},
		{"tandem", `process = "haproxy"`, `process = "haproxy"`, 200 * time.Millisecond, second / 10},
		{"tandem", "http every 500 ms, fall 3", page(""), 3*second/2 + second/2, second},
		{"tandem", "http every 500 ms, fall 3, fast_interval 50 ms", page(`, fast_interval = "50ms"`), second/2 + 2*second/20 + second/2, second},
		{"tandem", "killall -0 haproxy every 1 s", script, second + second, second},
		{"keepalived", "killall -0 haproxy every 1 s", "", 2 * second, second},
	}
}

// killProxies measures the rows that match, prints a table, and reports whether tandem is within its bounds.
func killProxies(match *regexp.Regexp, tries int, seed uint64, verbose bool) bool {
	ok, printed := true, false
	for _, r := range proxyRows() {
		if !match.MatchString(r.String()) {
			continue
		}
		if !printed {
			fmt.Printf("\n%s. killall -9 haproxy on the master, %d times. A client asks for a new connection every 1 ms. How long it gets none:\n\n", haproxyVersion(), tries)
			fmt.Println("| | HAProxy is tracked by | advertisement every | bound | half of the outages within | longest outage | when HAProxy is back |")
			fmt.Println("|---|---|---:|---:|---:|---:|---:|")
			printed = true
		}
		attempt := lab.NewAttempt(r.String())
		reason := attempt.Do(func() {
			s := newProxySite(attempt, r, seed)
			s.measure(tries)
			if verbose {
				attempt.Logf("%s", s.Written(time.Time{}))
			}
		})
		ok = conclude(attempt, reason, verbose) && ok
	}
	return ok
}

// haproxyVersion is the first line of what HAProxy says about itself.
func haproxyVersion() string {
	text, err := exec.Command("haproxy", "-v").CombinedOutput()
	if err != nil {
		return fmt.Sprintf("HAProxy of an unknown version (%v)", err)
	}
	line, _, _ := strings.Cut(string(text), " - ")
	return strings.TrimSpace(line)
}

// A proxySite is the network of a row.
type proxySite struct {
	*lab.Lab
	t      *lab.Attempt
	row    proxyRow
	random *rand.Rand
	client *lab.Host
	a, b   *box
}

// A box is a director with processes of its own. killall would end those of both directors otherwise.
type box struct {
	*lab.Director
	own *lab.Box
}

func newBox(d *lab.Director) *box { return &box{d, d.Box(nil)} }

// proxy starts HAProxy as Debian's unit does. Its page is the name of the machine.
func (b *box) proxy() {
	b.own.Start("haproxy", "-Ws", "-f", b.WriteFile("haproxy.cfg", fmt.Sprintf(`
defaults
    mode http
    timeout client 5s
    timeout server 5s
    timeout connect 5s
frontend www
    bind *:80
    http-request return status 200 content-type text/plain string "%s"
frontend health
    bind 127.0.0.1:8404
    monitor-uri /health
`, b.Name)))
}

func (b *box) launch(r proxyRow, priority int) {
	if r.subject == "tandem" {
		b.Configure(lab.DuoSettings{Advert: r.advert, Keys: "track = [{ " + r.keys + " }]"}.Config(b.Name, priority))
		b.own.Start(b.Program(), "run", "-c", b.File)
		return
	}
	pid := b.Dir() + "/keepalived.pid"
	b.own.Start("keepalived", "--vrrp", "--dont-fork", "--log-console", "--log-detail", "-p", pid, "-r", pid+".vrrp",
		"-f", b.WriteFile("keepalived.conf", fmt.Sprintf(`
global_defs {
    router_id %s
    script_user root
    enable_script_security
}
vrrp_script haproxy {
    script "/usr/bin/killall -0 haproxy"
    interval 1
    timeout 1
    fall 1
    rise 1
}
vrrp_instance web {
    state BACKUP
    interface eth0
    virtual_router_id 51
    version 3
    priority %d
    advert_int %g
    virtual_ipaddress {
        %s/24
    }
    track_script {
        haproxy
    }
}
`, b.Name, priority, r.advert.Seconds(), lab.VIP)))
}

func newProxySite(t *lab.Attempt, r proxyRow, seed uint64) *proxySite {
	l := lab.New(t)
	s := &proxySite{Lab: l, t: t, row: r, random: rand.New(rand.NewPCG(seed, 1)), client: l.Host("client", clientAddr+"/24")}
	s.a = newBox(l.Director("director-a", "192.0.2.2/24", ""))
	s.b = newBox(l.Director("director-b", "192.0.2.3/24", ""))
	for b, priority := range map[*box]int{s.a: lab.PriorityA, s.b: lab.PriorityB} {
		b.proxy()
		b.launch(r, priority)
	}
	s.await(s.a, s.b)
	return s
}

// await waits until a director has the VIP alone, and its HAProxy answers there.
func (s *proxySite) await(b, other *box) {
	s.Eventually(30*time.Second, b.Name+" serves at the VIP", func() error {
		if !b.Has(lab.VIP) || other.Has(lab.VIP) {
			return fmt.Errorf("VIP on %s: %t, on %s: %t", b.Name, b.Has(lab.VIP), other.Name, other.Has(lab.VIP))
		}
		if page, err := s.client.Get("http://" + proxyService + "/"); err != nil || page != b.Name {
			return fmt.Errorf("%q, %w", page, err)
		}
		return nil
	})
}

// probe asks for a new connection every millisecond, and waits until the client is served.
func (s *proxySite) probe() *lab.Prober {
	p := s.client.ProbeTCP(netip.MustParseAddr(clientAddr), netip.MustParseAddrPort(proxyService), time.Millisecond)
	s.served(p)
	return p
}

func (s *proxySite) served(p *lab.Prober) {
	s.Eventually(20*time.Second, "the client is served", func() error {
		if n := p.Answered(100); n < 98 {
			return fmt.Errorf("%d of the last 100 questions answered", n)
		}
		return nil
	})
}

// measure kills HAProxy a number of times, and prints the row.
func (s *proxySite) measure(tries int) {
	var outages, back []time.Duration
	note := ""
	for range tries {
		p := s.probe()
		stalls, lock := s.WatchStalls(), s.a.WatchLock()
		// HAProxy dies at any point between two checks.
		time.Sleep(time.Duration(s.random.IntN(1000)) * time.Millisecond)
		s.a.own.Run("killall", "-9", "haproxy")
		s.await(s.b, s.a)
		s.served(p)
		out := p.Stop()
		still := stalls.Stop() + lab.StallError + lock.Stop() + max(0, out.Gap-time.Millisecond)
		s.Logf("%s; the machine stood still for up to %s", out, still)
		if outages = append(outages, out.Longest); s.row.subject == "tandem" && out.Longest > s.row.bound()+allowance+still {
			s.t.Errorf("%s: the outage of %s is longer than %s, of which %s are for a machine that stood still",
				s.row, milliseconds(out.Longest), milliseconds(s.row.bound()+allowance+still), milliseconds(still))
			note = " **too long**"
		}
		p = s.probe()
		s.a.proxy()
		s.await(s.a, s.b)
		s.served(p)
		back = append(back, p.Stop().Longest)
	}
	slices.Sort(outages)
	bound := milliseconds(s.row.bound())
	if s.row.subject != "tandem" {
		bound = "—"
	}
	fmt.Printf("| %s | %s | %s | %s | %s | %s%s | %s |\n", s.row.subject, s.row.track, s.row.advert, bound,
		milliseconds(outages[len(outages)/2]), milliseconds(outages[len(outages)-1]), note, milliseconds(slices.Max(back)))
}

// allowance is for the client's question and the announcement.
const allowance = 20 * time.Millisecond
