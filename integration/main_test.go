// SPDX-License-Identifier: Apache-2.0

// Package integration runs tandem from end to end: pairs of directors, real servers and a client in a small network on
// a kernel that has IPVS, wherever it is started. Package lab brings the network and, where need be, the kernel.
package integration

import (
	"testing"

	"github.com/tandem-lvs/tandem/integration/lab"
)

func TestMain(m *testing.M) { lab.Main(m, lab.Tandem, lvsTests) }
