// SPDX-License-Identifier: Apache-2.0

// Package integration tests tandem from end to end: pairs of directors, real servers and a client in a small network, on a
// kernel that has IPVS. Package lab makes the network and, if this machine's kernel has no IPVS, brings a kernel.
package integration

import (
	"flag"
	"testing"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// atOnce is the number of scenes that run at the same time, of those that allow it. They wait for most of their time.
const atOnce = "3"

func TestMain(m *testing.M) {
	// The command line is read later, and takes precedence.
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	lab.RegisterHardened()
	lab.Main(m, lab.Tandem, lab.Harden, lvsTests)
}
