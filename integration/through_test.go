// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// threeServers makes three web servers: a correct one, one without the VIPs, and one that listens on its own addresses only.
func threeServers(l *lab.Lab, vips []string, addrs ...string) []*lab.Host {
	var all []*lab.Host
	for i := range 3 {
		var own []string
		listen := []string{"80"}
		if i == 2 {
			listen = nil
		}
		for _, format := range addrs {
			addr := fmt.Sprintf(format, 11+i)
			own = append(own, addr)
			if bare, _, _ := strings.Cut(addr, "/"); i == 2 && strings.Contains(bare, ":") {
				listen = append(listen, "["+bare+"]:80")
			} else if i == 2 {
				listen = append(listen, bare+":80")
			}
		}
		web := l.Host(fmt.Sprintf("web%d", i+1), own...)
		if i == 1 {
			web.RealServer()
		} else {
			web.RealServer(vips...)
		}
		web.WriteFile("index.html", web.Name)
		for _, at := range listen {
			web.Start("busybox", "httpd", "-f", "-p", at, "-h", web.Dir())
		}
		all = append(all, web)
	}
	return all
}

// spoken waits until a director's checks have the wanted results for the servers of each service, by its name.
func spoken(l *lab.Lab, d *lab.Director, want map[string][]string) {
	l.Eventually(40*time.Second, "the checks of "+d.Name+" have spoken", func() error {
		s, err := d.Status()
		if err != nil {
			return err
		}
		if len(s.Services) != len(want) {
			return fmt.Errorf("%d services, want %d: those of probes are not the operator's", len(s.Services), len(want))
		}
		for _, svc := range s.Services {
			for i, server := range svc.Servers {
				if got := server.Health + ": " + server.Reason; got != want[svc.Name][i] {
					return fmt.Errorf("%s of %s is %s, want %s", server.Address, svc.Name, got, want[svc.Name][i])
				}
			}
		}
		return nil
	})
}

// probed waits until every check of the director has a new verdict. Its checks have an interval of 1s and a fall of at
// most 2.
func probed(l *lab.Lab, d *lab.Director) {
	since := time.Now()
	l.Eventually(40*time.Second, "the checks of "+d.Name+" have run since", func() error {
		s, err := d.Status()
		if err != nil {
			return err
		}
		for _, svc := range s.Services {
			for _, server := range svc.Servers {
				for _, check := range server.Checks {
					if check.LastAt.Sub(since) < 2*time.Second {
						return fmt.Errorf("that of %s in %s ran %s after", server.Address, svc.Name, check.LastAt.Sub(since))
					}
				}
			}
		}
		return nil
	})
}

// setting reads a kernel parameter of a host.
func setting(t *testing.T, h *lab.Host, path string) (value string) {
	t.Helper()
	err := h.Do(func() error {
		text, err := os.ReadFile("/proc/sys/" + path)
		value = strings.TrimSpace(string(text))
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return value
}

const acceptLocal = "net/ipv4/conf/eth0/accept_local"

// TestThroughTheVIP: of three real servers, one has no VIP and one listens on its own address only. Plain checks pass for
// all three. Checks through the VIP, by SYN and by HTTP, fail for those two: on the master, on the backup, and after a
// failover. The kernel settings of these checks are removed with the director, also by the next one after a SIGKILL.
func TestThroughTheVIP(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	config := func(name string, priority int) string {
		text := fmt.Sprintf("name = %q\n[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\npriority = %d\nadvert_interval = \"300ms\"\nvips = [\"%s/24\"]\n",
			name, priority, lab.VIP)
		for i, check := range []string{`type = "tcp", via = "vip"`, `type = "http", via = "vip"`, `type = "tcp"`, `type = "http"`} {
			text += fmt.Sprintf("[[service]]\nname = \"s%d\"\nvirtual = \"%s:%d\"\ncheck = { interval = \"1s\", timeout = \"700ms\", fall = 2, rise = 1, port = 80, %s }\n",
				i, lab.VIP, 80+i, check)
			for j := range 3 {
				text += fmt.Sprintf("[[service.server]]\naddress = \"192.0.2.%d\"\n", 11+j)
			}
		}
		return text
	}
	const silent = "unhealthy: timeout after 700ms while connecting through the VIP"
	want := map[string][]string{
		"s0": {"healthy: connected through the VIP", silent, "unhealthy: connection through the VIP refused"},
		"s1": {"healthy: status 200", silent, "unhealthy: connection refused"},
		"s2": {"healthy: connected", "healthy: connected", "healthy: connected"},
		"s3": {"healthy: status 200", "healthy: status 200", "healthy: status 200"},
	}
	a := l.Director("director-a", "192.0.2.2/24", config("director-a", 150))
	b := l.Director("director-b", "192.0.2.3/24", config("director-b", 100))
	threeServers(l, []string{lab.VIP}, "192.0.2.%d/24")
	a.Launch()
	a.AwaitState(20*time.Second, "master")
	b.Launch()
	b.AwaitState(20*time.Second, "backup")
	for _, d := range []*lab.Director{a, b} {
		spoken(l, d, want)
		if n := strings.Count(d.Table(), "FWM "); n != 3 {
			t.Errorf("%s: %d services for probes, want one for each real server:\n%s", d.Name, n, d.Table())
		}
	}
	a.PowerOff()
	b.AwaitState(20*time.Second, "master")
	probed(l, b)
	spoken(l, b, want)

	// A killed director leaves the changed setting to the next one, which knows the former value.
	if got := setting(t, b.Host, acceptLocal); got != "1" {
		t.Errorf("accept_local of a master is %s", got)
	}
	b.KillDirector()
	b.Process().Wait(5 * time.Second)
	b.Launch()
	b.AwaitState(20*time.Second, "master")
	spoken(l, b, want)
	b.Process().Signal(syscall.SIGTERM)
	b.Process().Wait(20 * time.Second)
	if got := setting(t, b.Host, acceptLocal); got != "0" {
		t.Errorf("after a stop accept_local is %s", got)
	}
	if table := b.Table(); strings.Contains(table, "FWM ") || strings.Count(table, "TCP ") != 4 {
		t.Errorf("after a stop the operator's services and no others are to stay:\n%s", table)
	}
}

// TestThroughTheVIPByOtherWays: the same with a master that has the VIP on an interface of its own and filters strictly, with
// a tunnel, and over IPv6.
func TestThroughTheVIPByOtherWays(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	const vip6 = "2001:db8::100"
	text := fmt.Sprintf("[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nadvert_interval = \"100ms\"\nvirtual_mac = true\nvips = [\"%s/24\", \"%s/64\"]\n",
		lab.VIP, vip6)
	const silent = "unhealthy: timeout after 700ms while connecting through the VIP"
	want := map[string][]string{}
	for i, s := range []struct{ virtual, server, more, check, good, own string }{
		{lab.VIP + ":80", "192.0.2.%d", "", `type = "http"`, "status 200", "connection refused"},
		{"[" + vip6 + "]:80", "2001:db8::%d", "", `type = "http"`, "status 200", "connection refused"},
		{lab.VIP + ":81", "192.0.2.%d", `method = "tunnel"`, `type = "tcp", port = 80`, "connected through the VIP", "connection refused"},
		{lab.VIP + ":82", "192.0.2.%d", `method = "tunnel"`, `type = "http", port = 80`, "status 200", "connection refused"},
		{"[" + vip6 + "]:82", "2001:db8::%d", "", `type = "tcp", port = 80`, "connected through the VIP", "connection through the VIP refused"},
	} {
		name := fmt.Sprintf("s%d", i)
		text += fmt.Sprintf("[[service]]\nname = %q\nvirtual = %q\n%s\ncheck = { interval = \"1s\", timeout = \"700ms\", fall = 2, rise = 1, via = \"vip\", %s }\n",
			name, s.virtual, s.more, s.check)
		for j := range 3 {
			text += fmt.Sprintf("[[service.server]]\naddress = %q\n", fmt.Sprintf(s.server, 11+j))
		}
		want[name] = []string{"healthy: " + s.good, silent, "unhealthy: " + s.own}
	}
	d := l.Director("director", "192.0.2.2/24", text)
	d.Run("ip", "address", "add", "2001:db8::2/64", "dev", "eth0", "nodad")
	d.Sysctl(map[string]string{"net.ipv4.conf.all.rp_filter": "1", "net.ipv4.conf.eth0.rp_filter": "1"})
	for _, web := range threeServers(l, []string{lab.VIP, vip6}, "192.0.2.%d/24", "2001:db8::%d/64") {
		web.Run("modprobe", "ipip")
		web.Run("ip", "link", "set", "tunl0", "up")
		web.Sysctl(map[string]string{"net.ipv4.conf.all.rp_filter": "0", "net.ipv4.conf.tunl0.rp_filter": "0"})
	}
	d.Launch()
	d.AwaitState(30*time.Second, "master")
	probed(l, d)
	spoken(l, d, want)
	if got := filters(t, d.Host); got != "rp_filter 2, accept_local 1" {
		t.Errorf("where the answers come in: %s", got)
	}
	// A reload restores the settings that are no longer needed, and makes those that are needed again.
	d.Configure(strings.ReplaceAll(text, `via = "vip"`, `via = "server"`))
	d.Process().Signal(syscall.SIGHUP)
	l.Eventually(20*time.Second, "all is as it was before", func() error {
		if got := filters(t, d.Host); got != "rp_filter 1, accept_local 0" || strings.Contains(d.Table(), "FWM ") {
			return fmt.Errorf("%s, %s", got, d.Table())
		}
		return nil
	})
	d.Configure(text)
	d.Process().Signal(syscall.SIGHUP)
	spoken(l, d, want)
	d.Process().Signal(syscall.SIGTERM)
	d.Process().Wait(20 * time.Second)
	if got := filters(t, d.Host); got != "rp_filter 1, accept_local 0" {
		t.Errorf("after a stop: %s", got)
	}
}

// filters returns the settings of eth0 that checks through the VIP change.
func filters(t *testing.T, h *lab.Host) string {
	t.Helper()
	return fmt.Sprintf("rp_filter %s, accept_local %s", setting(t, h, "net/ipv4/conf/eth0/rp_filter"), setting(t, h, acceptLocal))
}
