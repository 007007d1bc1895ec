// SPDX-License-Identifier: Apache-2.0

// Package machine tests tandem from end to end where that changes the machine as a whole: its kernel's modules, its clock,
// its disks. It always runs in a virtual machine.
package machine

import (
	"os"
	"testing"

	"github.com/tandem-lvs/tandem/integration/lab"
)

func TestMain(m *testing.M) {
	_ = os.Setenv("TANDEM_LAB", "vm") // never on a kernel that is somebody's
	lab.Main(m, lab.Tandem)
}
