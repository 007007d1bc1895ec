// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	example = "usr/share/doc/tandem/examples/pair.toml"
	config  = "etc/tandem/tandem.toml"
	// secondVIP has a MAC address of its own.
	secondVIP = "192.0.2.101"
)

// How the example grows. Each text is put before the line with which it ends.
var (
	// channel is what the page First pair of the guide adds.
	channel = []string{
		"[peer]\nkey = { file = \"/etc/tandem/peer.key\" }\n\n[director.lb1]",
		"peer.address = \"192.0.2.3:8474\"\nvrrp.web.priority       = 150",
		"peer.address = \"192.0.2.2:8474\"\nvrrp.web.priority       = 100",
	}
	// everything is what changes more of the kernel: sysctls and timeouts, checks through the VIP, and a virtual router with an
	// interface, a route and rules of its own.
	everything = []string{
		"via = \"vip\"\n  path = \"/health\"",
		`[lvs.sysctl]
sloppy_tcp = 1

[lvs.timeouts]
tcp = "20m"

[lvs.sync]`,
		`[[vrrp]]
name        = "web2"
interface   = "eth0"
vrid        = 52
virtual_mac = true
vips        = ["` + secondVIP + `/24"]

  [[vrrp.route]]
  to    = "198.51.100.0/24"
  via   = "192.0.2.1"
  table = 100

  [[vrrp.rule]]
  from     = "` + secondVIP + `"
  table    = 100
  priority = 1000

[lvs.sysctl]`,
		"vrrp.web2.priority = 150\nvrrp.web.priority       = 150",
		"vrrp.web2.priority = 100\nvrrp.web2.interface = \"ens3\"\nvrrp.web.priority       = 100",
	}
)

// grow returns a configuration with additions.
func grow(text string, additions []string) (string, error) {
	for _, a := range additions {
		last := a[strings.LastIndexByte(a, '\n')+1:] + "\n"
		if strings.Count(text, last) != 1 {
			return "", fmt.Errorf("%d places in the example end with the line %q, want one", strings.Count(text, last), last)
		}
		text = strings.Replace(text, last, a+"\n", 1)
	}
	return text, nil
}

// configure writes the configuration of a director: the example of the package, with additions.
func (m *machine) configure(additions ...string) {
	text, err := os.ReadFile(filepath.Join(m.root, example))
	var grown string
	if err == nil {
		grown, err = grow(string(text), additions)
	}
	if err == nil {
		err = m.write(config, grown, 0o644)
	}
	if err != nil {
		m.scene.Fatalf("configure %s: %v", m.Name, err)
	}
	m.must("tandem check /" + config)
}

// configureServer writes the configuration of a real server, as the page Real servers of the guide does.
func (m *machine) configureServer(vip string) {
	if err := m.write(config, fmt.Sprintf("[realserver]\nvips = [%q]\n", vip), 0o644); err != nil {
		m.scene.Fatalf("configure %s: %v", m.Name, err)
	}
}
