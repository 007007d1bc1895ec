// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/integration/lab"
)

const (
	// advert is so long that an emulated machine that stalls does not make a backup take over.
	advert = 300 * time.Millisecond
	// service is where clients keep connections open: the servers answer each line with their name. asked is where they ask by UDP.
	service     = lab.VIP + ":2000"
	asked       = lab.VIP + ":7"
	connections = 200
	// asker and keeper are where the two probers of the client's machine listen: one asks, the other keeps connections open.
	asker  = "192.0.2.1:8475"
	keeper = "192.0.2.1:8476"
	key    = "hex:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
)

// groups is where the control groups are, and systemctl is what stands for systemd's: the unit of a director is a control group of its
// name, and the loop in launch restarts it as Restart=on-failure does.
const (
	groups    = "/sys/fs/cgroup"
	systemctl = "#!/bin/sh\ntest \"$1\" = show && printf 'Restart=on-failure\\nWatchdogUSec=0\\n'\nexit 0\n"
)

// prepare gives the machine what all rows need.
func prepare() {
	var errs []error
	if _, err := os.Stat(groups + "/cgroup.controllers"); err != nil {
		errs = append(errs, unix.Mount("cgroup2", groups, "cgroup2", unix.MS_NOSUID, ""))
	}
	errs = append(errs, os.MkdirAll("/dev/pts", 0o755))
	if _, err := os.Stat("/dev/pts/ptmx"); err != nil {
		errs = append(errs, unix.Mount("devpts", "/dev/pts", "devpts", 0, "mode=620,ptmxmode=666"))
	}
	errs = append(errs, os.WriteFile(filepath.Join(filepath.Dir(lab.Tandem.Path()), "systemctl"), []byte(systemctl), 0o755))
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, "failed to prepare the machine:", err)
		os.Exit(1)
	}
}

// A site is a pair with real servers and a client.
type site struct {
	*lab.Lab
	t      *lab.Attempt
	client *lab.Host
	webs   []*lab.Host
	a, b   *lab.Director
	key    string // the file of the probes
}

// config returns a director's configuration. router has further keys of the virtual router.
func config(name string, priority int, other, router string) string {
	return fmt.Sprintf(`
name = %q
[log]
level = "debug"
[peer]
address = "%s:8474"
key = %q
[lvs]
sync = { interface = "eth0", id = 51 }

[[vrrp]]
name = "web"
interface = "eth0"
vrid = 51
priority = %d
advert_interval = %q
vips = ["%s/24"]
%s

[[service]]
name = "lines"
virtual = %q
scheduler = "rr"
method = "dr"
check = { type = "tcp", interval = "1s", timeout = "1s", rise = 1, fall = 3 }
server = [{ address = "192.0.2.11" }, { address = "192.0.2.12" }]

[[service]]
name = "echo"
virtual = %q
protocol = "udp"
scheduler = "rr"
method = "dr"
check = { type = "tcp", port = 2000, interval = "1s", timeout = "1s", rise = 1, fall = 3 }
server = [{ address = "192.0.2.11" }, { address = "192.0.2.12" }]
`, name, other, key, priority, advert, lab.VIP, router, service, asked)
}

// newSite makes the network, and starts the directors with a build of tandem. They are units: when one dies it is started again.
func newSite(t *lab.Attempt, program lab.Cargo, router string) *site {
	s := &site{Lab: lab.New(t), t: t}
	s.client = s.Host("client", "192.0.2.1/24")
	s.a = s.Director("director-a", "192.0.2.2/24", "")
	s.b = s.Director("director-b", "192.0.2.3/24", "")
	s.a.Configure(config(s.a.Name, lab.PriorityA, "192.0.2.3", router))
	s.b.Configure(config(s.b.Name, lab.PriorityB, "192.0.2.2", router))
	s.key = s.client.WriteFile("probe.key", key)
	if err := os.Chmod(s.key, 0o600); err != nil {
		t.Fatalf("%v", err)
	}
	s.a.Run("ipvsadm", "-Ln") // loads IPVS
	s.a.Disk("state")         // a file system on which files can be immutable
	s.a.Run("ip", "-6", "addr", "add", "2001:db8::25/64", "dev", "eth0", "nodad")
	for i := range 2 {
		web := s.Host(fmt.Sprintf("web%d", i+1), fmt.Sprintf("192.0.2.%d/24", 11+i))
		web.RealServer(lab.VIP)
		web.EchoServer("0.0.0.0:7")
		s.serve(web)
		s.webs = append(s.webs, web)
	}
	for _, d := range []*lab.Director{s.a, s.b} {
		d.Use(program)
		s.launch(d)
	}
	s.await(60 * time.Second)
	return s
}

// unit is the control group of a director, which has the name of a unit of systemd.
func unit(d *lab.Director) string { return filepath.Join(groups, d.Name+".service") }

// launch starts a director as systemd does, and again when it dies.
func (s *site) launch(d *lab.Director) {
	if err := os.MkdirAll(unit(d), 0o755); err != nil {
		s.t.Fatalf("%v", err)
	}
	d.Start("busybox", "sh", "-c", fmt.Sprintf("echo $$ >%s/cgroup.procs; while :; do %s run -c %s; sleep 0.1; done", unit(d), d.Program(), d.File))
}

// serve answers each line on a connection with the host's name, until the row ends.
func (s *site) serve(h *lab.Host) {
	var listener net.Listener
	err := h.Do(func() (err error) {
		listener, err = net.Listen("tcp4", ":2000")
		return err
	})
	if err != nil {
		s.t.Fatalf("%v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
				for in := bufio.NewScanner(conn); in.Scan(); {
					if _, err := fmt.Fprintln(conn, h.Name); err != nil {
						return
					}
				}
			})
		}
	})
	s.t.Cleanup(func() {
		cancel()
		_ = listener.Close()
		open.Wait()
	})
}

// await waits until the pair is ready for a drill: director-a is master alone, both know all servers, and each other's clock.
func (s *site) await(limit time.Duration) {
	s.Eventually(limit, "the pair is ready for a drill", func() error {
		if !s.a.Has(lab.VIP) || s.b.Has(lab.VIP) || s.a.State() != "master" || s.b.State() != "backup" {
			return errors.New("director-a is not master alone")
		}
		for _, d := range []*lab.Director{s.a, s.b} {
			if up := strings.Count(d.Table(), " Route 1\n"); up != 2*len(s.webs) {
				return fmt.Errorf("%s has %d servers", d.Name, up)
			}
		}
		out, err := s.a.TryRun(s.a.Program(), "status", "--pair", "--socket", s.a.Socket)
		if err != nil || !strings.Contains(out, "clock of director-b") {
			return fmt.Errorf("the directors do not know each other yet: %w: %s", err, out)
		}
		// Two masters, as at the start of a pair, are remembered for some seconds: a drill would be refused.
		_, err = s.a.TryRun(s.a.Program(), "drill", "-c", s.a.File, "failover", "--dry-run")
		return err
	})
}

// probe starts tandem probe on the client twice. Both wait until drills drive them. One asks every 20 ms by UDP: a question needs no
// connection, so it is lost only if nobody takes it. An emulated machine may be slow: what is answered within a second is served. The other
// keeps connections open.
func (s *site) probe(flows int) {
	for _, args := range [][]string{
		{asked, "--udp", "--every", "20ms", "--slow", "1s", "--listen", asker},
		{service, "--every", "30s", "--flows", fmt.Sprint(flows), "--listen", keeper},
	} {
		p := s.client.Start(lab.Tandem.Path(), append([]string{"probe", "--key", s.key, "--send", `hello\n`}, args...)...)
		p.AwaitOutput(20*time.Second, "waiting at ")
	}
}
