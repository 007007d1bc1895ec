// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// serveLDAP starts a directory with an entry, or without one.
func (s *stage) serveLDAP(h *lab.Host, address, name, entry, rule string) *lab.Process {
	data := filepath.Join(h.Dir(), name)
	s.must(os.Mkdir(data, 0o755))
	file := h.WriteFile(name+".conf", fmt.Sprintf(`include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
%s
database mdb
suffix "dc=example,dc=org"
directory %s
`, rule, data))
	if entry != "" {
		h.Run("slapadd", "-f", file, "-l", h.WriteFile(name+".ldif", entry))
	}
	return s.start(h, "slapd", "-d", "0", "-f", file, "-h", "ldap://"+address+"/")
}

func openldap(s *stage) {
	const check, base = "ldap", "ldap-base"
	const entry = "dn: dc=example,dc=org\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n"
	p := s.serveLDAP(s.first, firstAddress, "up", entry, "")
	s.judge("up", check, "healthy", answered)
	s.judgeOwn("up", base, "healthy", answered)
	s.hang(p, check, "step 1: "+silent)
	s.down(p, check, unreachable)

	const other = `step 1: answered, but without "\n\x01\x00\x04\x00\x04\x00" within 1s`
	p = s.serveLDAP(s.first, firstAddress, "empty", "", "")
	s.judge("has no entries", check, "healthy", answered)
	s.judgeOwn("has no entries", base, "unhealthy", other)
	p.Stop()
	p = s.serveLDAP(s.first, firstAddress, "login", entry, "require authc")
	s.judge("wants a login", check, "unhealthy", other)
	p.Stop()
	p = s.serveLDAP(s.first, firstAddress, "tls", entry, "security ssf=128")
	s.judge("wants TLS", check, "unhealthy", other)
	p.Stop()
	s.judge("ended", check, "unhealthy", "connection refused")
}

// A radiusServer is what FreeRADIUS is told.
type radiusServer struct {
	client, secret, users string
	status                string // yes or no
}

// serveRADIUS starts FreeRADIUS with a configuration of its own: the shipped one has many parts that need more files.
func (s *stage) serveRADIUS(h *lab.Host, address string, r radiusServer) *lab.Process {
	dir := h.Dir()
	h.WriteFile("users", r.users)
	h.WriteFile("radiusd.conf", fmt.Sprintf(`name = freeradius
libdir = /usr/lib/freeradius
confdir = %[1]s
run_dir = %[1]s
logdir = %[1]s
security {
	allow_core_dumps = no
	status_server = %[2]s
}
modules {
	pap {
	}
	files {
		filename = %[1]s/users
	}
}
client director {
	ipaddr = %[3]s
	secret = %[4]s
}
server default {
	listen {
		type = auth
		ipaddr = %[5]s
		port = 1812
	}
	authorize {
		files
		pap
	}
	authenticate {
		Auth-Type PAP {
			pap
		}
	}
}
`, dir, r.status, r.client, r.secret, address))
	return s.start(h, "freeradius", "-f", "-l", "stdout", "-d", dir, "-D", "/usr/share/freeradius")
}

func freeradius(s *stage) {
	const check, status = "radius", "radius-status"
	right := radiusServer{
		client: "192.0.2.2", secret: "testing123", status: "yes",
		users: `tandem Cleartext-Password := "a password of more than 16 octets"` + "\n",
	}
	p := s.serveRADIUS(s.first, firstAddress, right)
	s.judge("up", check, "healthy", "the user is accepted")
	s.judgeOwn("up", status, "healthy", "the server is up")
	s.hang(p, check, radiusSilent)
	s.down(p, check, radiusSilent)

	for _, lie := range []struct {
		situation           string
		change              func(*radiusServer)
		health, reason      string
		statusHealth, state string
	}{
		{"the user has another password", func(r *radiusServer) { r.users = "tandem Cleartext-Password := \"other\"\n" },
			"unhealthy", "the user is rejected", "healthy", "the server is up"},
		{"the user does not exist", func(r *radiusServer) { r.users = "" },
			"unhealthy", "the user is rejected", "healthy", "the server is up"},
		{"the user is rejected, with a reason", func(r *radiusServer) {
			r.users = "tandem Auth-Type := Reject\n\tReply-Message := \"The account is closed\"\n"
		}, "unhealthy", "the user is rejected: The account is closed", "healthy", "the server is up"},
		{"has another secret", func(r *radiusServer) { r.secret = "other" }, "unhealthy", radiusSilent, "unhealthy", radiusSilent},
		{"does not know the director", func(r *radiusServer) { r.client = "192.0.2.3" }, "unhealthy", radiusSilent, "unhealthy", radiusSilent},
		{"status_server = no", func(r *radiusServer) { r.status = "no" }, "healthy", "the user is accepted", "unhealthy", radiusSilent},
	} {
		r := right
		lie.change(&r)
		p = s.serveRADIUS(s.first, firstAddress, r)
		s.judge(lie.situation, check, lie.health, lie.reason)
		s.judgeOwn(lie.situation, status, lie.statusHealth, lie.state)
		p.Stop()
	}
}
