// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// wrongAfterFailure returns what breaks the rule in package lvs after a server has failed; empty: nothing.
func (s *callService) wrongAfterFailure(n callCount) string {
	switch {
	case n.served < callerCount:
		return fmt.Sprintf("%d of %d new clients served (%v)", n.served, callerCount, n.example)
	case n.astray > 0:
		return fmt.Sprintf("%d new clients came to the failed server", n.astray)
	case n.silent > 0:
		return fmt.Sprintf("%d conversations with the failed server are silent", n.silent)
	case s.protocol == "tcp" && n.kept > 0:
		return fmt.Sprintf("%d connections to the failed server go on", n.kept)
	case n.broken > 0:
		return fmt.Sprintf("%d of %d conversations with other servers were broken (%v)", n.broken, n.others, n.example)
	}
	return ""
}

// wrongAfterDrain returns what breaks the rule in package lvs after a server was drained; empty: nothing.
func (s *callService) wrongAfterDrain(n callCount) string {
	switch {
	case n.served < callerCount && s.scheduler != "dh": // the kernel has no way to avoid it
		return fmt.Sprintf("%d of %d new clients served (%v)", n.served, callerCount, n.example)
	case n.astray > 0:
		return fmt.Sprintf("%d new clients came to the drained server", n.astray)
	case n.silent+n.ended > 0:
		return fmt.Sprintf("%d conversations with the drained server were broken", n.silent+n.ended)
	case n.broken > 0:
		return fmt.Sprintf("%d of %d conversations with other servers were broken (%v)", n.broken, n.others, n.example)
	}
	return ""
}

// TestClientsOfALostServer: for every scheduler, with and without persistence, by TCP and UDP. One of three servers is
// powered off. One second after the verdict, 40 of 40 clients are served at the first attempt, connections to the lost server
// end with a reset, and datagrams from a port that is in use reach another server. Then another server is drained: 40 of 40
// clients are served by the last one, and conversations with the drained server continue.
func TestClientsOfALostServer(t *testing.T) {
	_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 16, Max: 1 << 16}) // else the hard limit must do
	l := lab.New(t)
	services, config := callServices()
	addresses := []string{"192.0.2.1/24"}
	for i := range callerCount {
		addresses = append(addresses, fmt.Sprintf("192.0.2.%d/24", 151+i))
	}
	client := l.Host("client", addresses...)
	d := l.Director("director", "192.0.2.2/24", config)
	d.Run("ip", "address", "add", vip+"/24", "dev", "eth0")
	hosts := map[string]*lab.Host{}
	for i := range 3 {
		h := l.Host(fmt.Sprintf("web%d", i+1), fmt.Sprintf("192.0.2.%d/24", 11+i))
		h.RealServer(vip)
		answerCalls(h, services)
		hosts[h.Name] = h
	}
	d.Launch()
	awaitHealth(l, d, map[string]string{"192.0.2.11": "healthy", "192.0.2.12": "healthy", "192.0.2.13": "healthy"})
	l.Eventually(20*time.Second, "all servers are in use", func() error {
		if table := d.Table(); strings.Count(table, "->") != 3*len(services) || strings.Contains(table, " Route 0\n") {
			return errors.New(table)
		}
		return nil
	})
	for _, s := range services {
		s.callers = callAll(client, s)
		for i, c := range s.callers {
			if c.Err != nil {
				t.Fatalf("%s: client %d is not served while all servers live: %v", s.name(), i, c.Err)
			}
		}
		t.Cleanup(func() {
			for _, c := range s.callers {
				c.Close()
			}
		})
	}
	l.Logf("%d services, %d conversations", len(services), len(services)*callerCount)

	const lost, lostAddr, drained, drainedAddr = "web3", "192.0.2.13", "web2", "192.0.2.12" // dh sends all clients to web3
	hosts[lost].Cut()
	died := time.Now()
	awaitHealth(l, d, map[string]string{"192.0.2.11": "healthy", lostAddr: "unhealthy", drainedAddr: "healthy"})
	l.Logf("all verdicts after %s", time.Since(died).Round(10*time.Millisecond))
	time.Sleep(time.Second)
	matrix(t, l, client, services, "a server has failed", lost, (*callService).wrongAfterFailure)

	for _, s := range services {
		commandServer(t, d, "drain", s.name()+"/"+drainedAddr)
	}
	matrix(t, l, client, services, "a server is drained", drained, (*callService).wrongAfterDrain)

	wantSettings(t, d, "1")
	d.Process().Signal(syscall.SIGTERM)
	if code := d.Process().Wait(15 * time.Second); code != 0 {
		t.Errorf("tandem run ended with code %d, want 0", code)
	}
	wantSettings(t, d, "0")
}

// wantSettings checks the settings that clients of a lost server need: they are set while the director runs, and restored
// after it.
func wantSettings(t *testing.T, d *lab.Director, want string) {
	t.Helper()
	for _, name := range []string{"expire_nodest_conn", "expire_quiescent_template"} {
		if got := strings.TrimSpace(d.Run("cat", "/proc/sys/net/ipv4/vs/"+name)); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

// TestRestartWhileTheSorryServerServes: all real servers are dead, and the daemon is restarted. No client is refused.
func TestRestartWhileTheSorryServerServes(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	client := l.Host("client", "192.0.2.1/24")
	web, sorry := l.Host("web", "192.0.2.11/24"), l.Host("sorry", "192.0.2.20/24")
	web.RealServer(vip)
	sorry.RealServer(vip)
	page := web.HTTPServer("web")
	sorry.HTTPServer("sorry")
	d := l.Director("director", "192.0.2.2/24", fmt.Sprintf("[[service]]\nname = \"www\"\nvirtual = \"%s:80\"\nsorry_server = { address = \"192.0.2.20\" }\n"+
		"check = { type = \"tcp\", interval = \"1s\", timeout = \"1s\", fall = 3, rise = 1 }\n"+
		"server = [{ address = \"192.0.2.11\" }, { address = \"192.0.2.12\" }]\n", vip))
	d.Run("ip", "address", "add", vip+"/24", "dev", "eth0")
	d.Launch()
	await := func(want string) {
		t.Helper()
		l.Eventually(20*time.Second, want+" serves", func() error {
			if body, err := client.Get("http://" + vip + "/"); err != nil || body != want {
				return fmt.Errorf("%q, %v", body, err)
			}
			return nil
		})
	}
	await("web")
	page.Stop()
	await("sorry")

	load := client.Load("http://"+vip+"/", 100*time.Millisecond)
	d.Process().Signal(syscall.SIGTERM)
	if code := d.Process().Wait(15 * time.Second); code != 0 {
		t.Errorf("tandem run ended with code %d, want 0", code)
	}
	d.Launch()
	l.Eventually(20*time.Second, "the restarted director has its verdicts", func() error {
		s, err := d.Status()
		if err != nil {
			return err
		}
		for _, addr := range []string{"192.0.2.11", "192.0.2.12"} {
			if srv, err := s.Server(addr); err != nil || srv.Health != "unhealthy" {
				return fmt.Errorf("%s is %s (%v)", addr, srv.Health, err)
			}
		}
		return nil
	})
	asked := load.Stop()
	failed := 0
	for _, r := range asked {
		if r.Err != nil || r.Body != "sorry" {
			failed++
		}
	}
	if l.Logf("%d questions, %d unanswered", len(asked), failed); failed > 0 {
		t.Errorf("%d of %d questions unanswered during the restart", failed, len(asked))
	}
	web.HTTPServer("web")
	await("web")
}

// matrix asks each service, and prints the results of the clients.
func matrix(t *testing.T, l *lab.Lab, client *lab.Host, services []*callService, what, server string, wrong func(*callService, callCount) string) {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "%s: new clients served of %d, and conversations with %s: kept/ended/silent\n%-8s", what, callerCount, server, "")
	for _, s := range services[:4] {
		fmt.Fprintf(&text, "%-16s", strings.TrimPrefix(s.name(), s.scheduler+"-"))
	}
	for i, s := range services {
		if i%4 == 0 {
			fmt.Fprintf(&text, "\n%-8s", s.scheduler)
		}
		n := s.count(client, server)
		fmt.Fprintf(&text, "%-16s", fmt.Sprintf("%d  %d/%d/%d", n.served, n.kept, n.ended, n.silent))
		if problem := wrong(s, n); problem != "" {
			t.Errorf("%s: %s: %s", what, s.name(), problem)
		}
	}
	l.Logf("%s", text.String())
}

// awaitHealth waits until the servers have that health in every service.
func awaitHealth(l *lab.Lab, d *lab.Director, want map[string]string) {
	l.Eventually(60*time.Second, "the checks have spoken", func() error {
		status, err := d.Status()
		if err != nil {
			return err
		}
		if len(status.Services) == 0 {
			return errors.New("there are no services")
		}
		for _, svc := range status.Services {
			for _, srv := range svc.Servers {
				if srv.Health != want[srv.Address] {
					return fmt.Errorf("%s of %s is %s", srv.Address, svc.Name, srv.Health)
				}
			}
		}
		return nil
	})
}
