// SPDX-License-Identifier: Apache-2.0

// Package machine runs from end to end what alters the machine as a whole, its kernel's modules and its clock, in a
// virtual machine wherever it is started.
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
