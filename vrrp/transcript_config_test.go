// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// configure changes a configuration by the arguments of a command.
func (p *transcript) configure(c *Config, args string) {
	for arg := range strings.FieldsSeq(args) {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "priority":
			c.Priority = uint8(p.number(value))
		case "version":
			c.Version = uint8(p.number(value))
		case "interval":
			c.AdvertInterval = p.duration(value)
		case "preempt":
			c.Preempt = value == "true"
		case "preempt_delay":
			c.PreemptDelay = p.duration(value)
		case "startup_delay":
			c.StartupDelay = p.duration(value)
		case "password":
			c.Password = value
		case "vip":
			c.VIPs = nil
			for vip := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ',' }) {
				c.VIPs = append(c.VIPs, netip.MustParsePrefix(vip))
			}
		case "down":
			c.DownAdverts = uint8(p.number(value))
		case "group":
			c.SyncGroup = value
		case "fenced":
			c.Fenced = true
		case "witnessed":
			c.Witnessed = true
		case "paths":
			c.Heartbeat = nil
			for i := 1; i < p.number(value); i++ {
				c.Heartbeat = append(c.Heartbeat, Path{Interface: fmt.Sprintf("eth%d", i)})
			}
		case "virtual_mac":
			c.VirtualMAC = true
		case "hmac":
			c.HMAC = p.hmac(value)
		default:
			p.t.Fatalf("unknown key %q", key)
		}
	}
}

func (p *transcript) number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

func (p *transcript) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}
