// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A subject is a program that is measured.
type subject struct {
	name   string
	launch func(d *lab.Director, n network, priority int)
	serve  func(d *lab.Director, s services)
}

var (
	tandem     = subject{"tandem", launchTandem("", lab.Tandem), serveTandem(lab.Tandem)}
	before     = subject{"tandem before", launchTandem("", tandemBefore), serveTandem(tandemBefore)}
	realtime   = subject{"tandem, realtime", launchTandem("[election]\nrealtime = true\n", lab.Tandem), nil}
	keepalived = subject{"keepalived", launchKeepalived(""), serveKeepalived}
	rtPriority = subject{"keepalived, vrrp_rt_priority", launchKeepalived("vrrp_rt_priority 50"), nil}
)

// tandemBefore is the daemon of an older revision as cargo. Its source is added where it is built.
var tandemBefore = lab.Cargo{Name: "tandem-before", Package: lab.Tandem.Package}

// subjects returns the subjects to measure: those given, and beside tandem its older revision, if one is named.
func (b *bench) subjects(wanted ...subject) (all []subject) {
	for _, s := range wanted {
		all = append(all, s)
		if s.name == tandem.name && b.options.before != "" {
			all = append(all, before)
		}
	}
	return all
}

// isTandem reports whether the subject is tandem, of whatever revision.
func (s subject) isTandem() bool { return s.name == tandem.name || s.name == before.name }

// program returns the binary of a subject that is tandem.
func (s subject) program() lab.Cargo {
	if s.name == before.name {
		return tandemBefore
	}
	return lab.Tandem
}

func launchTandem(tables string, program lab.Cargo) func(*lab.Director, network, int) {
	return func(d *lab.Director, n network, priority int) {
		d.Use(program)
		var b strings.Builder
		b.WriteString(tables)
		n.each(func(ifi string, vrid int, vip string) {
			fmt.Fprintf(&b, "[[vrrp]]\ninterface = %q\nvrid = %d\npriority = %d\nadvert_interval = %q\nvips = [%q]\n",
				ifi, vrid, priority, n.advert, vip)
		})
		d.Configure(b.String())
		d.Launch()
	}
}

func launchKeepalived(globals string) func(*lab.Director, network, int) {
	return func(d *lab.Director, n network, priority int) {
		var routers []lab.KeepalivedRouter
		n.each(func(ifi string, vrid int, vip string) {
			routers = append(routers, lab.KeepalivedRouter{
				Interface: ifi, VRID: vrid, Priority: priority, Advert: n.advert, VIPs: []string{vip},
			})
		})
		d.Keepalived(globals, routers...)
	}
}
