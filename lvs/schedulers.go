// SPDX-License-Identifier: Apache-2.0

package lvs

import "slices"

// schedulers are the modules ip_vs_<name> of Linux 6.x.
var schedulers = []string{
	"rr", "wrr", "lc", "wlc", "fo", "ovf", "lblc", "lblcr", "dh", "sh", "sed", "nq", "mh", "twos",
}

// countingSchedulers are the schedulers that do more with weights than compare them. sh gives a server as many of its 256
// buckets as its weight says, in the order of the servers, until no bucket is left. For the others a weight is a number of
// connections.
var countingSchedulers = []string{"sh", "ovf", "lblc", "lblcr"}

// sharesOnly reports whether a scheduler only compares weights.
func sharesOnly(scheduler string) bool { return !slices.Contains(countingSchedulers, scheduler) }

// SourceHashBuckets is the number of buckets of the scheduler sh. If the total weight is higher, the last servers get no
// clients.
const SourceHashBuckets = 256

// engines are the modules ip_vs_pe_<name> of Linux 6.x.
var engines = []string{"sip"}

// Schedulers returns the names of the schedulers that upstream Linux ships. A distribution's kernel may lack some.
func Schedulers() []string { return slices.Clone(schedulers) }

// Engines returns the names of the persistence engines that upstream Linux ships.
func Engines() []string { return slices.Clone(engines) }
