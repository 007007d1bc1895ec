// SPDX-License-Identifier: Apache-2.0

package lvs

import "slices"

// schedulers are the modules ip_vs_<name> of Linux 6.x.
var schedulers = []string{
	"rr", "wrr", "lc", "wlc", "fo", "ovf", "lblc", "lblcr", "dh", "sh", "sed", "nq", "mh", "twos",
}

// engines are the modules ip_vs_pe_<name> of Linux 6.x.
var engines = []string{"sip"}

// Schedulers returns the names of the schedulers that upstream Linux ships. A distribution's kernel may lack some.
func Schedulers() []string { return slices.Clone(schedulers) }

// Engines returns the names of the persistence engines that upstream Linux ships.
func Engines() []string { return slices.Clone(engines) }
