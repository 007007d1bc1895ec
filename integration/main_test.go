// SPDX-License-Identifier: Apache-2.0

// Package integration tests tandem from end to end: pairs of directors, real servers and a client in a small network, on a
// kernel that has IPVS. Package lab makes the network and, if this machine's kernel has no IPVS, brings a kernel.
package integration

import (
	"testing"

	"github.com/tandem-lvs/tandem/integration/lab"
)

func TestMain(m *testing.M) { lab.Main(m, lab.Tandem, lvsTests) }
