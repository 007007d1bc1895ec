// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// exim is a mail server. The last line says what it does with clients. Its own user can read no directory of a test. Without
// a certificate it makes one at each start, which takes an emulated machine ten seconds.
const exim = `
primary_hostname = mail.example.org
spool_directory = %[1]s/spool
log_file_path = syslog
pid_file_path = %[1]s/exim.pid
local_interfaces = 0.0.0.0
daemon_smtp_ports = 25
disable_ipv6
host_lookup =
keep_environment =
tls_advertise_hosts =
tls_certificate = %[1]s/mail.pem
tls_privatekey = %[1]s/mail.key
acl_smtp_connect = %[2]s
`

// Of a query for the address of www.example.org, and of 10.0.2.80 in the answer.
const (
	rawQuery  = `\u0012\u0034\u0001\u0000\u0000\u0001\u0000\u0000\u0000\u0000\u0000\u0000\u0003www\u0007example\u0003org\u0000\u0000\u0001\u0000\u0001`
	rawAnswer = `\u0004\n\u0000\u0002P`
)

// A nameAndMailServer is a host with dnsmasq and exim.
type nameAndMailServer struct {
	*lab.Host
	running []*lab.Process
}

// run starts both. dnsmasq knows addresses, and exim treats clients as acl says.
func (s *nameAndMailServer) run(acl string, addresses ...string) {
	conf := "no-resolv\nno-hosts\nno-daemon\nport=53\nuser=root\npid-file=\n"
	for _, a := range addresses {
		conf += "address=/" + a + "\n"
	}
	conf = s.WriteFile("dnsmasq.conf", conf)
	s.running = append(s.running, s.Start("dnsmasq", "--keep-in-foreground", "-C", conf))
	conf = s.WriteFile("exim.conf", fmt.Sprintf(exim, s.Dir(), acl))
	s.running = append(s.running, s.Start("exim4", "-C", conf, "-bdf"))
}

func (s *nameAndMailServer) stop() {
	for _, p := range s.running {
		p.Stop()
	}
	s.running = nil
}

// TestChecksOfNameAndMailServers: the checks of DNS, UDP, SMTP and TCP find dnsmasq and exim healthy. They find them
// unhealthy if an answer is wrong, and if they are down. They do so at the servers' own address and through the VIP. First
// the director does not have the VIP, as on a backup, and then it does, as on a master.
func TestChecksOfNameAndMailServers(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	host := &nameAndMailServer{Host: l.Host("server", server+"/24")}
	host.RealServer(lab.VIP)
	// Four checks by UDP ask once a second, and the kernel would refuse one of them a second.
	host.Sysctl(map[string]string{"net.ipv4.icmp_ratelimit": "0"})
	cert, key := certificate(t)
	host.WriteFile("mail.pem", cert)
	host.WriteFile("mail.key", key)
	text := ""
	want := map[string]map[string][]string{"up": {}, "down": {}, "lying": {}}
	for i, s := range []struct{ check, up, lying string }{
		{`type = "dns", port = 53, query = "www.example.org", query_type = "A", answer = "10.0.2.80"`,
			"NOERROR with the expected record", `no A record "10.0.2.80" in the answer`},
		{`type = "dns", port = 53, query = "www.example.org", query_type = "A", over_tcp = true`,
			"NOERROR with the expected record", ""},
		{`type = "dns", port = 53, query = "mail.example.org", query_type = "A", over_tcp = true`,
			"NOERROR with the expected record", "REFUSED, want NOERROR"},
		{`type = "udp", port = 53, send = "` + rawQuery + `", expect = "` + rawAnswer + `"`,
			"answered as expected", `answered, but without "\x04\n\x00\x02P" within 700ms: "4 www example org"`},
		{`type = "smtp", port = 25, hello = "lb1.example.org"`, "greeted", "greeting 550, want 220"},
		{`type = "tcp", port = 25, expect = "220 mail.example.org ESMTP Exim"`,
			"answered as expected", `connection closed before the expected answer: "550 Administrative prohibition"`},
	} {
		for j, via := range []string{"server", "vip"} {
			name := fmt.Sprintf("s%d-%s", i, via)
			text += fmt.Sprintf("[[service]]\nname = %q\nvirtual = \"%s:%d\"\nserver = [{ address = %q }]\ncheck = { interval = \"1s\", timeout = \"700ms\", fall = 1, rise = 1, via = %q, %s }\n",
				name, lab.VIP, 8000+10*i+j, server, via, s.check)
			want["up"][name] = []string{"healthy: " + s.up}
			want["down"][name] = []string{"unhealthy: connection refused"}
			want["lying"][name] = []string{"unhealthy: " + s.lying}
			if s.lying == "" { // what it does not ask for
				want["lying"][name] = want["up"][name]
			}
		}
	}
	d := l.Director("director", "192.0.2.2/24", text)
	host.run("accept", "www.example.org/10.0.2.80", "mail.example.org/10.0.2.25")
	d.Launch()
	spoken(l, d, want["up"])
	checkProbeConnections(t, d)
	d.Run("ip", "address", "add", lab.VIP+"/24", "dev", "eth0") // as a master has it
	l.Logf("the director has the VIP")
	probed(l, d)
	spoken(l, d, want["up"])
	host.stop()
	l.Logf("both are down")
	spoken(l, d, want["down"])
	host.run("deny", "www.example.org/10.0.2.81")
	l.Logf("both are lying")
	spoken(l, d, want["lying"])
}

// checkProbeConnections checks that probes of servers that answer leave no connection that the kernel keeps for long. There
// are no entries of datagrams, and only connections that are open or in their last ten seconds. (If a server refuses, as
// before its start, the kernel does not see this, and keeps the entry for a minute.)
func checkProbeConnections(t *testing.T, d *lab.Director) {
	t.Helper()
	closed, others := 0, 0
	table := d.Run("ipvsadm", "-Lnc")
	for line := range strings.Lines(table) {
		f := strings.Fields(line) // protocol, time left, state, client, virtual, server
		switch {
		case len(f) < 6 || f[0] != "TCP" && f[0] != "UDP":
		case f[0] == "UDP":
			t.Errorf("an entry for a datagram: %s", line)
		case f[2] == "CLOSE" && f[1] <= "00:10":
			closed++
		case f[2] != "SYN_RECV":
			others++
		}
	}
	if closed == 0 || others > 4 { // as many checks by TCP go through the VIP
		t.Errorf("%d closed connections of probes, %d others:\n%s", closed, others, table)
	}
}
