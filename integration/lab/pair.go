// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"strings"
	"time"
)

// VIP is the virtual address of a Pair, which serves the web at port 80 and a UDP echo at port 7.
const VIP = "192.0.2.100"

// A Pair is the usual network: a client, two directors with tandem, and web servers for direct routing.
type Pair struct {
	*Lab
	Client *Host
	A, B   *Director // A has the higher priority
	Webs   []*Host
	HTTP   []*Process // the web servers' programs; each page is the host's name

	settings PairSettings
}

// PairSettings are the settings of a Pair. The comments name the defaults, which zero values stand for.
type PairSettings struct {
	Advert    time.Duration // 100 ms
	Interval  time.Duration // between checks: 1 s
	Timeout   time.Duration // of a check: 1 s, which a stall of the machine does not reach
	Rise      int           // 2
	Fall      int           // 2
	OnFailure string        // weight-zero
	Path      string        // that checks ask for: /health
	Webs      int           // 2
}

func (s PairSettings) withDefaults() PairSettings {
	orDuration := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	orInt := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	orDuration(&s.Advert, 100*time.Millisecond)
	orDuration(&s.Interval, time.Second)
	orDuration(&s.Timeout, time.Second)
	orInt(&s.Rise, 2)
	orInt(&s.Fall, 2)
	orInt(&s.Webs, 2)
	if s.OnFailure == "" {
		s.OnFailure = "weight-zero"
	}
	if s.Path == "" {
		s.Path = "/health"
	}
	return s
}

// Priorities of the two directors.
const (
	PriorityA = 150
	PriorityB = 100
)

// Config returns a director's configuration. The web servers have the weights given; those without one have weight 1.
func (s PairSettings) Config(name string, priority int, weights ...int) string {
	s = s.withDefaults()
	servers := func() string {
		var b strings.Builder
		for i := range s.Webs {
			weight := 1
			if i < len(weights) {
				weight = weights[i]
			}
			fmt.Fprintf(&b, "  [[service.server]]\n  address = %q\n  weight = %d\n", webAddr(i), weight)
		}
		return b.String()
	}()
	return webRouter(name, priority, s.Advert) + fmt.Sprintf(`
[[service]]
name = "www"
virtual = "%[1]s:80"
scheduler = "wrr"
method = "dr"
on_failure = %[2]q
  [service.check]
  type = "http"
  path = %[3]q
  interval = %[4]q
  timeout = %[5]q
  rise = %[6]d
  fall = %[7]d
%[8]s
[[service]]
name = "echo"
virtual = "%[1]s:7"
protocol = "udp"
scheduler = "rr"
method = "dr"
%[8]s`, VIP, s.OnFailure, s.Path, s.Interval, s.Timeout, s.Rise, s.Fall, servers)
}

// webRouter returns the beginning of a director's configuration: a virtual router with VIP. It ends within the table [[vrrp]].
func webRouter(name string, priority int, advert time.Duration) string {
	return fmt.Sprintf(`
name = %q
[log]
level = "debug"

[[vrrp]]
name = "web"
interface = "eth0"
vrid = 51
priority = %d
advert_interval = %q
vips = ["%s/24"]
`, name, priority, advert, VIP)
}

func webAddr(i int) string { return fmt.Sprintf("192.0.2.%d", 11+i) }

// NewPair makes the network and starts the web servers. It does not start tandem.
func NewPair(t T, s PairSettings) *Pair {
	t.Helper()
	s = s.withDefaults()
	p := &Pair{Lab: New(t), settings: s}
	p.Client = p.Host("client", "192.0.2.1/24")
	p.A = p.Director("director-a", "192.0.2.2/24", s.Config("director-a", PriorityA))
	p.B = p.Director("director-b", "192.0.2.3/24", s.Config("director-b", PriorityB))
	for i := range s.Webs {
		web := p.Host(fmt.Sprintf("web%d", i+1), webAddr(i)+"/24")
		web.RealServer(VIP)
		web.EchoServer("0.0.0.0:7")
		p.Webs = append(p.Webs, web)
		p.HTTP = append(p.HTTP, web.HTTPServer(web.Name))
	}
	return p
}

// Launch starts tandem on both directors and waits until A is master, B is backup, and both have all servers in use.
func (p *Pair) Launch() {
	p.t.Helper()
	p.A.Launch()
	p.B.Launch()
	p.AwaitMaster(p.A)
	for _, d := range []*Director{p.A, p.B} {
		p.AwaitWeights(20*time.Second, d, 1)
	}
	p.Eventually(10*time.Second, "the client is served", func() error {
		_, err := p.Client.Get("http://" + VIP + "/")
		return err
	})
}

// AwaitMaster waits until a director has the VIP and says that it is master, and the other director has lost the VIP.
func (p *Pair) AwaitMaster(d *Director) {
	p.t.Helper()
	other := p.A
	if d == p.A {
		other = p.B
	}
	p.Eventually(30*time.Second, d.Name+" is master alone", func() error {
		if !d.Has(VIP) || other.Has(VIP) {
			return fmt.Errorf("VIP on %s: %t, on %s: %t", d.Name, d.Has(VIP), other.Name, other.Has(VIP))
		}
		if state := d.State(); state != "master" {
			return fmt.Errorf("%s says that it is %q", d.Name, state)
		}
		return nil
	})
}

// AwaitWeights waits until a director's kernel has every web server at a weight.
func (p *Pair) AwaitWeights(limit time.Duration, d *Director, weight int) {
	p.t.Helper()
	p.Eventually(limit, fmt.Sprintf("all servers of %s at weight %d", d.Name, weight), func() error {
		weights := d.Weights()
		for i := range p.settings.Webs {
			if w, ok := weights["tcp "+webAddr(i)]; !ok || w != weight {
				return fmt.Errorf("%v", weights)
			}
		}
		return nil
	})
}

// ChecksFail returns the longest time after which the checks of a lost server have failed.
func (p *Pair) ChecksFail() time.Duration {
	return time.Duration(p.settings.Fall)*p.settings.Interval + p.settings.Timeout
}

// MasterDown returns how long a backup of the priority waits after an advertisement of its master (RFC 9568, section 6.1):
// three intervals and the skew.
func (p *Pair) MasterDown(priority int) time.Duration {
	i := p.settings.Advert
	return 3*i + time.Duration(256-priority)*i/256
}
