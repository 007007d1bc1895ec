// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

const (
	vip     = "192.0.2.100"
	vipURL  = "http://192.0.2.100/"
	echoVIP = "192.0.2.100:7"
)

// TestDirectRouting tests the lab itself, without tandem: a director that ipvsadm has configured spreads a client's requests
// over two real servers, and their replies do not pass the director.
func TestDirectRouting(t *testing.T) {
	l := lab.New(t)
	client := l.Host("client", "192.0.2.1/24")
	director := l.Host("director", "192.0.2.2/24", vip+"/32")
	webs := map[string]bool{}
	for i := 1; i <= 2; i++ {
		web := l.Host(fmt.Sprintf("web%d", i), fmt.Sprintf("192.0.2.1%d/24", i))
		web.RealServer(vip)
		web.HTTPServer(web.Name)
		webs[web.MAC()] = true
	}
	director.Run("ipvsadm", "-A", "-t", vip+":80", "-s", "rr")
	director.Run("ipvsadm", "-a", "-t", vip+":80", "-r", "192.0.2.11", "-g")
	director.Run("ipvsadm", "-a", "-t", vip+":80", "-r", "192.0.2.12", "-g")
	web := director.Capture("eth0", isWeb)

	if got, want := client.WhoHas(vip), []string{director.MAC()}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v answer for the VIP, want the director alone, %v", got, want)
	}
	var got []string
	for range 6 {
		body, err := client.Get(vipURL)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, body)
	}
	if want := got[0] + got[1]; got[0] == got[1] || strings.Join(got, "") != want+want+want {
		t.Errorf("six requests were answered by %v, want two servers by turns", got)
	}
	forwarded := 0
	for _, f := range web.Frames() {
		switch {
		case f.Source().String() != director.MAC() && f.Destination().String() == director.MAC() && f.Data[35] == 80:
			t.Errorf("a reply passed the director: % x", f.Data)
		case f.Source().String() == director.MAC() && webs[f.Destination().String()]:
			forwarded++
		}
	}
	if forwarded < 6 {
		t.Errorf("%d frames were forwarded to a web server's hardware address, want one a request at least", forwarded)
	}
	foreignTable(t, director)
}

// foreignTable checks tandem on a machine that another program has made a director. check --live lists what tandem would
// replace, and tandem does not make the machine a real server of the same address.
func foreignTable(t *testing.T, h *lab.Host) {
	t.Helper()
	file := h.WriteFile("tandem.toml", "name = \"x\"\nstate.dir = \""+h.Dir()+"\"\n[[service]]\nvirtual = \""+vip+":80\"\n"+
		"scheduler = \"wrr\"\nserver = [{ address = \"192.0.2.11\" }]\n")
	out, err := h.TryRun(lab.Tandem.Path(), "check", "--live", file)
	for _, want := range []string{"set scheduler of tcp " + vip + ":80: rr → wrr", "delete 192.0.2.12:80 from tcp " + vip + ":80"} {
		if err != nil || !strings.Contains(out, "replaces what another program has set up: "+want+"\n") {
			t.Errorf("check --live: %v, %q, want %q", err, out, want)
		}
	}
	h.Run("ip", "addr", "del", vip+"/32", "dev", "eth0")
	out, err = tandemOn(h, "realserver", "apply", "--vip", vip, "--state-dir", h.Dir()+"/realserver")
	if err == nil || !strings.Contains(out, "refused: "+vip+" is a virtual address of the director on this machine") || h.Has(vip) {
		t.Errorf("realserver apply: %v, %q", err, out)
	}
}

// isWeb reports whether a frame is of a web server's connection: TCP over IPv4 without options, from or to port 80.
func isWeb(f lab.Frame) bool {
	return f.EtherType() == 0x0800 && len(f.Data) >= 38 && f.Data[23] == 6 &&
		(f.Data[34] == 0 && f.Data[35] == 80 || f.Data[36] == 0 && f.Data[37] == 80)
}

const keepalivedConf = `
global_defs {
    router_id %s
}
vrrp_instance web {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority %d
    version 3
    advert_int 0.1
    virtual_ipaddress {
        192.0.2.100/24
    }
}
`

// TestKeepalivedPair tests the lab itself, without tandem: a pair of Debian's keepalived fails over when its master's cable
// is cut. The lab sees the outage, the advertisements and who has the address.
func TestKeepalivedPair(t *testing.T) {
	l := lab.New(t)
	client := l.Host("client", "192.0.2.1/24")
	var pair []*lab.Host
	for i, name := range []string{"director-a", "director-b"} {
		h := l.Host(name, fmt.Sprintf("192.0.2.%d/24", 2+i))
		h.EchoServer("0.0.0.0:7")
		conf := h.WriteFile("keepalived.conf", fmt.Sprintf(keepalivedConf, name, 150-50*i))
		pid := h.Dir() + "/keepalived.pid"
		h.Start("keepalived", "-n", "-l", "-D", "-f", conf, "-p", pid, "-r", pid+".vrrp", "-c", pid+".check")
		pair = append(pair, h)
	}
	a, b := pair[0], pair[1]
	adverts := client.Capture("eth0", lab.Frame.IsVRRP)
	l.Eventually(20*time.Second, "director-a is master", func() error {
		if !a.Has(vip) || b.Has(vip) {
			return fmt.Errorf("VIP on a: %t, on b: %t", a.Has(vip), b.Has(vip))
		}
		return nil
	})
	probe := client.Probe(echoVIP)
	l.Eventually(10*time.Second, "the VIP answers", func() error {
		if n := probe.Answered(100); n < 50 {
			return fmt.Errorf("%d of the last 100 probes answered", n)
		}
		return nil
	})
	a.Cut()
	l.Eventually(10*time.Second, "director-b is master", func() error {
		if !b.Has(vip) {
			return fmt.Errorf("no VIP on b")
		}
		return nil
	})
	l.Eventually(10*time.Second, "the VIP answers again", func() error {
		if n := probe.Answered(100); n < 50 {
			return fmt.Errorf("%d of the last 100 probes answered", n)
		}
		return nil
	})
	out := probe.Stop()
	l.Logf("keepalived, cable cut at adverts of 100 ms: %s", out)
	// Three intervals and the skew, less one interval, plus the stalls of an emulated machine.
	if out.Longest < 200*time.Millisecond || out.Longest > 2*time.Second || out.Open {
		t.Errorf("outage of %s, want about 300 ms", out.Longest)
	}
	if got := client.WhoHas(vip); len(got) != 1 || got[0] != b.MAC() {
		t.Errorf("%v answer for the VIP, want director-b alone, %s", got, b.MAC())
	}
	seen := map[int]int{}
	for _, f := range adverts.Frames() {
		seen[f.VRRPPriority()]++
	}
	if seen[150] == 0 || seen[100] == 0 {
		t.Errorf("advertisements captured at the client, by priority: %v, want some of 150 and of 100", seen)
	}
}
