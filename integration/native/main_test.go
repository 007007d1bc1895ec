// SPDX-License-Identifier: Apache-2.0

// Package native tests virtual routers from end to end on the machine's own kernel. They need no IPVS, and an emulated
// machine would distort their times.
package native

import (
	"flag"
	"os"
	"testing"

	"github.com/tandem-lvs/tandem/integration/lab"
)

const (
	vip     = lab.VIP
	echoVIP = lab.VIP + ":7"
)

// atOnce is the number of scenes that run at the same time. They wait for most of their time.
const atOnce = "8"

func TestMain(m *testing.M) {
	// The command line comes later, and wins.
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	if os.Geteuid() == 0 {
		lab.Prefer("direct")
	}
	lab.RegisterHardened()
	lab.Main(m, lab.Tandem, lab.Harden)
}
