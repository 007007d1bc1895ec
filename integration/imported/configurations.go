// SPDX-License-Identifier: Apache-2.0

package main

import "embed"

// A configuration is a file of keepalived, made of files of the importer's tests for the addresses of the lab.
type configuration struct {
	name string
	dead []string // the servers whose checks fail: keepalived removes them, or sets their weight to 0
	has  []string // addresses that the director has when it is master
}

//go:embed conf/*.conf
var files embed.FS

func (c configuration) text() string {
	text, err := files.ReadFile("conf/" + c.name + ".conf")
	if err != nil {
		panic(err) // TestFiles reads them all
	}
	return string(text)
}

var configurations = []configuration{
	{name: "direct-routing", dead: []string{"192.0.2.13:80", "192.0.2.14:80"}, has: []string{"192.0.2.100", "192.0.2.101"}},
	{name: "nat", dead: []string{"10.0.0.13:8080"}, has: []string{"192.0.2.100", "10.0.0.1"}},
	{name: "tunnel", dead: []string{"192.0.2.13:80"}, has: []string{"192.0.2.101"}},
	{name: "marks", dead: []string{"192.0.2.13:80", "10.0.0.13:8080", "[2001:db8::13]:0"}, has: []string{"192.0.2.103"}},
	{name: "persistence", dead: []string{"192.0.2.13:0", "10.0.0.13:80", "[2001:db8::13]:80"}, has: []string{"192.0.2.103"}},
	{name: "udp", dead: []string{"192.0.2.13:53", "192.0.2.14:53", "10.0.0.14:5060"}, has: []string{"192.0.2.102"}},
	{name: "addresses", has: []string{"10.9.0.5", "198.51.100.101", "2001:db8::101"}},
	{name: "routes", has: []string{"192.0.2.100"}},
	{name: "password", has: []string{"192.0.2.100", "192.0.2.101", "10.0.0.100"}},
	{name: "ipv6", dead: []string{"[2001:db8::13]:80"}, has: []string{"2001:db8::100", "2001:db8::101"}},
	{name: "mail", dead: []string{"192.0.2.13:25", "10.0.0.12:25"}, has: []string{"192.0.2.100"}},
	{name: "virtual-mac", dead: []string{"192.0.2.13:80"}, has: []string{"192.0.2.100", "2001:db8::100"}},
}
