// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A site is the network of one subject: a client, two directors, web servers, a sorry server and a stranger. Many rows share
// a site. Each of them puts back what it has changed.
type site struct {
	*lab.Lab
	attempt  *lab.Attempt
	subject  subject
	network  network
	client   *lab.Host
	a, b     *lab.Director // a has the higher priority; there is no b beside pools
	webs     []*lab.Host
	httpd    []*lab.Process
	sorry    *lab.Host
	stranger *lab.Host
	disk     *lab.Disk // of a's state; nil where there is none

	scheduler string // of pools

	running map[*lab.Director]*lab.Process
	start   map[*lab.Director]string // tables and addresses as they were when all was well
	callers map[service][]*lab.Caller
	busiest int    // the server with the most of them
	undo    func() // what a fault leaves for the row's restore
}

// webCount is the number of web servers.
const webCount = 3

// newSite makes the network and starts the subject. It returns the reason too if that was not possible.
func newSite(s subject, n network) (*site, string) {
	t := &site{attempt: lab.NewAttempt(s.name), subject: s, network: n, scheduler: usualScheduler,
		running: map[*lab.Director]*lab.Process{}}
	reason := t.attempt.Keep(func() {
		t.Lab = lab.New(t.attempt)
		t.client = t.Host("client", clientAddresses(n)...)
		t.a = t.Director("director-a", "192.0.2.2/24", "")
		switch n {
		case pools:
			t.a.Run("ip", "address", "add", lab.VIP+"/24", "dev", "eth0")
		default:
			t.b = t.Director("director-b", "192.0.2.3/24", "")
			t.stranger = t.Host("stranger", "192.0.2.66/24")
		}
		if n == duo {
			t.each(func(d *lab.Director) {
				d.EchoServer("0.0.0.0:7")
				// A former master that routes would forward to the new one what it still gets.
				d.Sysctl(map[string]string{"net.ipv4.ip_forward": "0"})
			})
		} else {
			t.addServers()
		}
		if lab.Place() == "vm" && n == pair {
			t.disk = t.a.Disk("state")
		}
		// The drill is over then: a hand-over would only take time.
		t.attempt.Cleanup(func() { t.each(func(d *lab.Director) { t.signalAll(d, syscall.SIGKILL) }) })
		t.each(func(d *lab.Director) { t.launch(d) })
		t.await(30*time.Second, "the pair is ready", t.ready)
		t.start = t.snapshot()
	})
	return t, reason
}

// addServers makes the web servers and the sorry server.
func (s *site) addServers() {
	s.a.Run("ipvsadm", "-Ln") // loads IPVS
	for i := range webCount {
		web := s.Host(fmt.Sprintf("web%d", i+1), webAddress(i)+"/24")
		web.RealServer(lab.VIP)
		s.webs = append(s.webs, web)
		s.httpd = append(s.httpd, web.HTTPServer(web.Name))
		if s.network == pools {
			addresses := map[string][]string{}
			for _, scheduler := range schedulers {
				for _, v := range poolServices(scheduler) {
					addresses[v.protocol] = append(addresses[v.protocol], v.address())
				}
			}
			web.AnswerCalls(addresses["tcp"], addresses["udp"])
		} else {
			web.EchoServer("0.0.0.0:7")
		}
	}
	s.sorry = s.Host("sorry", sorryAddress+"/24")
	s.sorry.RealServer(lab.VIP)
	s.sorry.HTTPServer("sorry")
}

// each calls f for each director.
func (s *site) each(f func(*lab.Director)) {
	f(s.a)
	if s.b != nil {
		f(s.b)
	}
}

// settings are a director's usual ones.
func (s *site) settings(d *lab.Director) settings {
	c := settings{name: d.Name, scheduler: "wrr", weights: []int{1, 1, 1}, network: s.network}
	switch {
	case s.network == pools:
		c.scheduler, c.weights = s.scheduler, poolWeights(s.scheduler)
	case d == s.a:
		c.priority = priorityA
	default:
		c.priority = priorityB
	}
	return c
}

// launch starts the subject with the usual settings.
func (s *site) launch(d *lab.Director) { s.launchWith(d, s.settings(d)) }

func (s *site) launchWith(d *lab.Director, c settings) {
	s.running[d] = s.subject.start(d, s.subject.config(c))
}

// configure writes other settings, which the subject does not read yet.
func (s *site) configure(d *lab.Director, c settings) {
	if s.subject.name == tandem.name {
		d.Configure(s.subject.config(c))
		return
	}
	d.WriteFile("keepalived.conf", s.subject.config(c))
}

// reload has the director read other settings.
func (s *site) reload(d *lab.Director, c settings) {
	s.configure(d, c)
	s.running[d].Signal(syscall.SIGHUP)
}

// signalAll sends a signal to all processes of a director.
func (s *site) signalAll(d *lab.Director, sig syscall.Signal) {
	for _, pid := range d.Pids() {
		_ = syscall.Kill(pid, sig)
	}
}

// election and checker are processes of the subject.
func (s *site) election(d *lab.Director) int { return s.pid(d, "election", s.subject.election) }
func (s *site) checker(d *lab.Director) int  { return s.pid(d, "checker", s.subject.checker) }

func (s *site) pid(d *lab.Director, what string, find func(*lab.Director, *lab.Process) (int, error)) int {
	pid, err := find(d, s.running[d])
	if err != nil {
		s.attempt.Fatalf("failed to find the %s process of %s: %v", what, d.Name, err)
	}
	return pid
}

func (s *site) kill(pid int, sig syscall.Signal) {
	if err := syscall.Kill(pid, sig); err != nil {
		s.attempt.Fatalf("failed to signal process %d: %v", pid, err)
	}
}

// await is Eventually of the lab.
func (s *site) await(limit time.Duration, what string, check func() error) {
	s.Eventually(limit, what, check)
}

// pause lets time pass in which the subject is left alone.
func (s *site) pause(d time.Duration) { time.Sleep(d) }

// ready reports what is missing until the site is as it should be: a is master alone, all servers are in use, and the client
// is served.
func (s *site) ready() error {
	if !s.a.Has(lab.VIP) || s.b != nil && s.b.Has(lab.VIP) {
		return errors.New("director-a does not have the VIP alone")
	}
	want := map[string]int{}
	for i := range s.webs {
		want["tcp "+webAddress(i)], want["udp "+webAddress(i)] = 1, 1
	}
	var err error
	s.each(func(d *lab.Director) {
		if err == nil && s.network.ipvs() {
			if got := d.Weights(); !maps.Equal(got, want) {
				err = fmt.Errorf("the weights on %s are %v", d.Name, got)
			}
		}
		if err == nil {
			err = s.content(d)
		}
	})
	if err != nil || s.network != pair {
		return err
	}
	_, err = s.client.Get("http://" + lab.VIP + "/")
	return err
}

// content reports whether the subject itself says that all is well: keepalived has nothing that could be asked.
func (s *site) content(d *lab.Director) error {
	if s.subject.name != tandem.name || s.network == pools {
		return nil
	}
	want := "backup"
	if d == s.a {
		want = "master"
	}
	if got := d.State(); got != want {
		return fmt.Errorf("%s is %q, want %s", d.Name, got, want)
	}
	return nil
}

// snapshot is the table and the addresses of each director.
func (s *site) snapshot() map[*lab.Director]string {
	all := map[*lab.Director]string{}
	s.each(func(d *lab.Director) {
		var b strings.Builder
		if s.network.ipvs() {
			b.WriteString(d.Table())
		}
		for line := range strings.Lines(d.Run("ip", "-oneline", "-4", "address")) {
			fields := strings.Fields(line)
			if len(fields) >= 4 {
				fmt.Fprintf(&b, "%s %s\n", fields[1], fields[3])
			}
		}
		all[d] = b.String()
	})
	return all
}

// putBack waits until the site is as it was before the row, and reports what is not.
func (s *site) putBack() error {
	var err error
	for end := time.Now().Add(putBackLimit); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = s.ready(); err != nil {
			continue
		}
		now := s.snapshot()
		err = nil
		s.each(func(d *lab.Director) {
			if now[d] != s.start[d] && err == nil {
				err = fmt.Errorf("%s had\n%sand has\n%s", d.Name, s.start[d], now[d])
			}
		})
		if err == nil {
			return nil
		}
	}
	return fmt.Errorf("not put back within %s: %w", putBackLimit, err)
}

// putBackLimit is how long a site may take to be as it was.
const putBackLimit = 15 * time.Second

// fillDisk writes to the disk of a's state until it is full.
func (s *site) fillDisk() error {
	f, err := os.Create(s.disk.Dir() + "/filler")
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 4096)
	for {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
