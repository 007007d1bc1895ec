// SPDX-License-Identifier: Apache-2.0

//go:build ipvs

package lvs_test

import (
	"testing"

	"github.com/tandem-lvs/tandem/integration/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }
