// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/tandem-lvs/tandem/healthcheck"
)

const trackedFile = `
[check.deep]
type = "http"
path = "/health"
[[service]]
name = "www"
virtual = "192.0.2.100:80"
check = "deep"
check_pass = "any"
server = [{ address = "192.0.2.11" }, { address = "192.0.2.12" }]
[[service]]
name = "tls"
virtual = "192.0.2.100:443"
track = "www"
server = [{ address = "192.0.2.11" }, { address = "192.0.2.12", check = { type = "tcp" } }, { address = "192.0.2.13", track = "www/192.0.2.12:80" }]
`

// A server that tracks another one has the probes of that one: the same address, port and settings, so that each is made once.
func TestTrackedServers(t *testing.T) {
	c, err := Parse("t.toml", []byte(trackedFile))
	if err != nil {
		t.Fatal(err)
	}
	www, tls := c.Services[0].Servers, c.Services[1].Servers
	for i, of := range map[int]int{0: 0, 2: 1} {
		a := healthcheck.Target{Addr: addrPort(www[of]), Config: www[of].Checks[0]}
		b := healthcheck.Target{Addr: addrPort(tls[i]), Config: tls[i].Checks[0]}
		if a.Endpoint() != b.Endpoint() || !a.Config.SameProbe(&b.Config) || tls[i].Pass != PassAny {
			t.Errorf("server %d: %s, %+v; want %s", i, b.Endpoint(), tls[i], a.Endpoint())
		}
	}
	if tls[0].Track != "www/192.0.2.11:80" || tls[2].Track != "www/192.0.2.12:80" {
		t.Errorf("tracks %q and %q", tls[0].Track, tls[2].Track)
	}
	if tls[1].Track != "" || tls[1].Checks[0].Type != healthcheck.TCP {
		t.Errorf("a server with its own check: %+v", tls[1])
	}
	if !reflect.DeepEqual(www[0].Checks[0], c.Services[0].Servers[1].Checks[0]) || www[0].Checks[0].Port != 0 {
		t.Errorf("the tracked server has changed: %+v", www[0].Checks[0])
	}
}

func addrPort(s Server) netip.AddrPort { return netip.AddrPortFrom(s.Addr, s.Port) }

func TestMistakesOfTrackedServers(t *testing.T) {
	// The second service begins in line 5.
	file := func(lines string) string {
		return "[[service]]\nname = \"www\"\nvirtual = \"192.0.2.100:80\"\nserver = [{ address = \"192.0.2.11\" }]\n" +
			"[[service]]\nname = \"tls\"\nvirtual = \"192.0.2.100:443\"\n" + lines
	}
	const server = "server = [{ address = \"192.0.2.11\" }]\n"
	run(t, []mistaken{
		{"an unknown service", file("track = \"wwww\"\n" + server), []string{"8: service[1].track: there is no service \"wwww\"; did you mean `www`?"}},
		{"itself", file("track = \"tls\"\n" + server), []string{"8: service[1].track: is the service itself; name another service"}},
		{"an unknown server", file("track = \"www\"\nserver = [{ address = \"192.0.2.12\" }]"), []string{
			"8: service[1].track: service www has no server 192.0.2.12"}},
		{"an unknown port", file("server = [{ address = \"192.0.2.11\", track = \"www/192.0.2.11:81\" }]"), []string{
			"8: service[1].server[0].track: service www has no server 192.0.2.11:81"}},
		{"a service where a server is wanted", file("server = [{ address = \"192.0.2.11\", track = \"www\" }]"), []string{
			"8: service[1].server[0].track: service www has no server "}},
		{"a check too", file("track = \"www\"\ncheck = { type = \"tcp\" }\n" + server), []string{
			"8: service[1].track: has no meaning beside check; remove one of them"}},
		{"a check of the server too", file("server = [{ address = \"192.0.2.11\", track = \"www/192.0.2.11\", check = { type = \"tcp\" } }]"), []string{
			"8: service[1].server[0].track: has no meaning beside check; remove one of them"}},
		{"a chain", file("track = \"www\"\n" + server + "[[service]]\nname = \"third\"\nvirtual = \"192.0.2.100:444\"\ntrack = \"tls\"\n" + server), []string{
			"13: service[2].track: tls/192.0.2.11 tracks another server itself; track www/192.0.2.11:80"}},
	})
}
