// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/tandem-lvs/tandem/configs"
)

// strangers is the name of the scene in which each check asks servers of other protocols.
const strangers = "another protocol"

// A stranger is a server that checks of other protocols ask.
type stranger struct {
	name  string
	port  int
	check string // its own
}

// otherProtocols asks each server by the checks of all others.
func otherProtocols(s *stage) {
	h := s.first
	s.start(h, "redis-server", "--port", "6379", "--bind", firstAddress, "--save", "", "--protected-mode", "no", "--dir", h.Dir())
	s.start(h, "memcached", "-u", "nobody", "-l", firstAddress, "-U", "11211")
	s.installMariaDB(h, filepath.Join(h.Dir(), "mariadb"))
	s.serveMariaDB(h, filepath.Join(h.Dir(), "mariadb"), filepath.Join(h.Dir(), "mariadb.sock"), firstAddress)
	s.newPostgres(h, "trust").serve(firstAddress)
	s.serveLDAP(h, firstAddress, "ldap", "", "")
	s.start(h, "busybox", "httpd", "-f", "-p", firstAddress+":80", "-h", h.Dir())
	servers := []stranger{
		{"redis", 6379, "redis"}, {"memcached", 11211, "memcached"}, {"mariadb", 3306, ""}, {"postgresql", 5432, "postgresql"},
		{"slapd", 389, "ldap"}, {"busybox httpd", 80, ""},
	}
	checks := []string{"redis", "redis-master", "memcached", "mysql", "postgresql", "ldap"}
	file := s.director.WriteFile("strangers.toml", strangersFile(configs.Checks, servers, append(checks, "radius")))
	for _, server := range servers {
		s.server = server.name
		if server.check != "" {
			s.judgeAt(file, "up", serviceOf(server.check, server), firstAddress, "healthy", answered)
		} else {
			s.listening(s.first, fmt.Sprintf("%s:%d", firstAddress, server.port))
		}
		for _, check := range checks {
			if check != server.check {
				s.judgeAt(file, "is no server of this check", serviceOf(check, server), firstAddress, "unhealthy", strangeReasons[server.name][check])
			}
		}
	}
	s.server = "memcached over UDP"
	s.judgeAt(file, "is no server of this check", serviceOf("radius", servers[1]), firstAddress, "unhealthy", radiusSilent)
}

// serviceOf is the name of a service whose servers are asked by a check.
func serviceOf(check string, server stranger) string {
	return check + "-" + strings.ReplaceAll(server.name, " ", "-")
}

// strangersFile returns a configuration in which each check asks each server. The checks are the shipped ones.
func strangersFile(shipped string, servers []stranger, checks []string) string {
	var b strings.Builder
	checksAlone, _, _ := strings.Cut(shipped, "\n[[service]]")
	b.WriteString(checksAlone)
	for i, server := range servers {
		for j, check := range checks {
			protocol := "tcp"
			if check == "radius" {
				protocol = "udp"
			}
			fmt.Fprintf(&b, "\n[[service]]\nname = %q\nvirtual = \"192.0.2.100:%d\"\nprotocol = %q\nmethod = \"nat\"\ncheck = %q\n"+
				"server = [{ address = %q, port = %d }]\n", serviceOf(check, server), 1000+100*i+j, protocol, check, firstAddress, server.port)
		}
	}
	return b.String()
}

// strangeReasons are the reasons by server and check.
var strangeReasons = map[string]map[string]string{
	"redis": {
		"redis-master": "step 1: " + minus, // the server has no such user
		"memcached":    `answered, but without a match of "^VERSION .*\\r\\n" within 1s`,
		"mysql":        "step 1: " + silent, "postgresql": silent, "ldap": "step 1: " + silent,
	},
	"memcached": {
		"redis":        `answered, but without "+PONG\r\n" within 1s`,
		"redis-master": `step 1: answered, but without "+OK\r\n" within 1s`,
		"mysql":        "step 1: " + silent, "postgresql": silent,
		"ldap": `step 1: answered, but without "\n\x01\x00\x04\x00\x04\x00" within 1s`,
	},
	"mariadb": {
		"redis": hungUp, "redis-master": "step 1: " + hungUp, "memcached": hungUp, "mysql": "step 1: " + hungUp, "postgresql": hungUp,
		"ldap": "step 1: " + hungUp,
	},
	"postgresql": {
		"redis": hungUp, "redis-master": "step 1: " + hungUp, "memcached": hungUp, "mysql": "step 1: " + silent, "ldap": "step 1: " + hungUp,
	},
	"slapd": {
		"redis": silent, "redis-master": "step 1: " + silent, "memcached": silent, "mysql": "step 1: " + silent, "postgresql": hungUp,
	},
	"busybox httpd": {
		"redis": minus, "redis-master": "step 1: " + minus, "memcached": hungUp, "mysql": "step 1: " + silent, "postgresql": silent,
		"ldap": "step 1: " + hungUp,
	},
}
