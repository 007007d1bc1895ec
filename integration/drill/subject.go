// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// The settings that both subjects have in common, and that the bounds are made of.
const (
	checkInterval = time.Second
	checkTimeout  = time.Second
	checkFall     = 2
	priorityA     = lab.PriorityA
	priorityB     = lab.PriorityB
)

// advert is the interval of advertisements. A machine that often stands still for longer needs another one.
var advert = 100 * time.Millisecond

// masterDown is how long the backup waits after the last advertisement: three intervals and its skew (RFC 9568, 6.1).
func masterDown() time.Duration { return 3*advert + (256-priorityB)*advert/256 }

// detection is the longest time after which the checks of a lost server have failed.
const detection = checkFall*checkInterval + checkTimeout

// A subject is what is drilled.
type subject struct {
	name   string
	config func(settings) string
	start  func(*lab.Director, string) *lab.Process
	// election and checker are the process of the virtual routers and the one that checks.
	election, checker func(*lab.Director, *lab.Process) (int, error)
}

var tandem = subject{
	name:   "tandem",
	config: tandemConfig,
	start: func(d *lab.Director, config string) *lab.Process {
		d.Configure(config)
		return d.Launch()
	},
	election: func(d *lab.Director, _ *lab.Process) (int, error) { return d.ElectionPid() },
	checker:  func(_ *lab.Director, p *lab.Process) (int, error) { return p.Pid(), nil },
}

var keepalived = subject{
	name:   "keepalived",
	config: keepalivedConfig,
	start: func(d *lab.Director, config string) *lab.Process {
		pid := d.Dir() + "/keepalived.pid"
		// A keepalived that was killed leaves its files behind, and another one does not start while their processes live.
		for _, end := range []string{"", ".vrrp", ".check"} {
			_ = os.Remove(pid + end)
		}
		args := []string{"--dont-fork", "--log-console", "--log-detail",
			"-f", d.WriteFile("keepalived.conf", config), "-p", pid, "-r", pid + ".vrrp", "-c", pid + ".check"}
		if !strings.Contains(config, "virtual_server ") {
			args = append(args, "--vrrp") // it asks for IPVS otherwise
		}
		return d.Start("keepalived", args...)
	},
	election: func(d *lab.Director, _ *lab.Process) (int, error) { return pidFile(d, ".vrrp") },
	checker:  func(d *lab.Director, _ *lab.Process) (int, error) { return pidFile(d, ".check") },
}

func pidFile(d *lab.Director, end string) (int, error) {
	text, err := os.ReadFile(d.Dir() + "/keepalived.pid" + end)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// Settings are what a configuration is made of.
type settings struct {
	name      string
	priority  int // of the virtual router; 0: there is none
	scheduler string
	weights   []int // of the web servers
	more      bool  // one service more
	network   network
	broken    bool          // the configuration ends in a mistake
	advert    time.Duration // 0: as usual
	program   string        // checks the web servers instead of a request; "" for none
	hungry    bool          // one service more, whose check's program takes hungryBytes of memory
}

// A service as both subjects know it.
type service struct {
	name, protocol, scheduler string
	port                      int
	persistent                bool
	page                      bool // checked by its page, else by a connection to port 80
	unchecked                 bool
	sorry                     bool
}

func (s settings) advertInterval() time.Duration { return cmp.Or(s.advert, advert) }

func (s settings) services() []service {
	switch s.network {
	case duo:
		return nil
	case pools:
		return poolServices(s.scheduler)
	}
	all := []service{
		{name: "www", protocol: "tcp", scheduler: s.scheduler, port: 80, page: true, sorry: true},
		{name: "echo", protocol: "udp", scheduler: "rr", port: 7, unchecked: true},
	}
	if s.more {
		all = append(all, service{name: "more", protocol: "tcp", scheduler: "rr", port: 81, unchecked: true})
	}
	return all
}

func webAddress(i int) string { return fmt.Sprintf("192.0.2.%d", 11+i) }

const sorryAddress = "192.0.2.20"

// secondsOf writes a duration as keepalived reads it.
func secondsOf(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'g', -1, 64) }

func tandemConfig(s settings) string {
	var b strings.Builder
	fmt.Fprintf(&b, "name = %q\n", s.name)
	if s.priority > 0 {
		fmt.Fprintf(&b, "[[vrrp]]\nname = \"web\"\ninterface = \"eth0\"\nvrid = 51\npriority = %d\n"+
			"advert_interval = %q\nvips = [\"%s/24\"]\n",
			s.priority, s.advertInterval(), lab.VIP)
	}
	for _, v := range s.services() {
		fmt.Fprintf(&b, "[[service]]\nname = %q\nvirtual = \"%s:%d\"\nprotocol = %q\nscheduler = %q\n",
			v.name, lab.VIP, v.port, v.protocol, v.scheduler)
		if v.sorry {
			fmt.Fprintf(&b, "sorry_server = { address = %q }\n", sorryAddress)
		}
		if v.persistent {
			b.WriteString("persistence = { timeout = \"5m\" }\n")
		}
		timing := fmt.Sprintf("interval = %q, timeout = %q, rise = 1, fall = %d", checkInterval, checkTimeout, checkFall)
		switch {
		case v.page && s.program != "":
			fmt.Fprintf(&b, "check = { type = \"exec\", command = [%q], %s }\n", s.program, timing)
		case v.page:
			fmt.Fprintf(&b, "check = { type = \"http\", path = \"/health\", %s }\n", timing)
		case !v.unchecked:
			fmt.Fprintf(&b, "check = { type = \"tcp\", port = 80, %s }\n", timing)
		}
		for i, weight := range s.weights {
			fmt.Fprintf(&b, "[[service.server]]\naddress = %q\nweight = %d\n", webAddress(i), weight)
		}
	}
	if s.hungry {
		fmt.Fprintf(&b, "[[service]]\nname = \"hungry\"\nvirtual = \"%s:82\"\nserver = [{ address = %q }]\n"+
			"check = { type = \"exec\", command = [%s], interval = \"2s\", timeout = \"2s\" }\n",
			lab.VIP, webAddress(0), `"`+strings.Join(hungryCommand, `", "`)+`"`)
	}
	if s.broken {
		b.WriteString("[[service]]\nvirtual = 17\nno_such_key = true\n")
	}
	return b.String()
}

func keepalivedConfig(s settings) string {
	var b strings.Builder
	fmt.Fprintf(&b, "global_defs {\n router_id %s\n script_user nobody\n}\n", s.name)
	if s.priority > 0 {
		fmt.Fprintf(&b, "vrrp_instance web {\n state BACKUP\n interface eth0\n virtual_router_id 51\n version 3\n priority %d\n"+
			" advert_int %s\n virtual_ipaddress {\n  %s/24\n }\n}\n", s.priority, secondsOf(s.advertInterval()), lab.VIP)
	}
	for _, v := range s.services() {
		fmt.Fprintf(&b, "virtual_server %s %d {\n delay_loop %s\n lb_algo %s\n lb_kind DR\n protocol %s\n",
			lab.VIP, v.port, secondsOf(checkInterval), v.scheduler, strings.ToUpper(v.protocol))
		if v.sorry {
			fmt.Fprintf(&b, " sorry_server %s %d\n", sorryAddress, v.port)
		}
		if v.persistent {
			b.WriteString(" persistence_timeout 300\n")
		}
		timing := fmt.Sprintf("connect_timeout %s\n retry %d\n delay_before_retry 0\n", secondsOf(checkTimeout), checkFall-1)
		check := ""
		switch {
		case v.page && s.program != "":
			check = fmt.Sprintf("  MISC_CHECK {\n misc_path %q\n misc_timeout %s\n }\n", s.program, secondsOf(checkTimeout))
		case v.page:
			check = "  HTTP_GET {\n url {\n path /health\n status_code 200\n }\n " + timing + " }\n"
		case !v.unchecked:
			check = "  TCP_CHECK {\n connect_port 80\n " + timing + " }\n"
		}
		for i, weight := range s.weights {
			fmt.Fprintf(&b, " real_server %s %d {\n weight %d\n%s }\n", webAddress(i), v.port, weight, check)
		}
		b.WriteString("}\n")
	}
	if s.hungry {
		fmt.Fprintf(&b, "virtual_server %s 82 {\n delay_loop 1\n lb_algo rr\n lb_kind DR\n protocol TCP\n real_server %s 82 {\n"+
			"  MISC_CHECK {\n misc_path \"%s\"\n misc_timeout 2\n }\n }\n}\n", lab.VIP, webAddress(0), strings.Join(hungryCommand, " "))
	}
	if s.broken {
		b.WriteString("virtual_server nonsense {\n no_such_key\n")
	}
	return b.String()
}

// hungryBytes is what hungryCommand takes.
const hungryBytes = 64 << 20

var hungryCommand = []string{
	"/usr/bin/busybox", "dd", "if=/dev/zero", "of=/dev/null", fmt.Sprintf("bs=%d", hungryBytes), "count=1",
}
