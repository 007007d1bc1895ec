// SPDX-License-Identifier: Apache-2.0

// Package native tests virtual routers from end to end on the machine's own kernel. They need no IPVS, and an emulated
// machine would distort their times.
package native

import (
	"os"
	"testing"

	"github.com/tandem-lvs/tandem/integration/lab"
)

const (
	vip     = lab.VIP
	echoVIP = lab.VIP + ":7"
)

func TestMain(m *testing.M) {
	if os.Getenv("TANDEM_LAB") == "" && os.Geteuid() == 0 {
		_ = os.Setenv("TANDEM_LAB", "direct")
	}
	lab.Main(m, lab.Tandem)
}
