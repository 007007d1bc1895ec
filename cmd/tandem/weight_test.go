// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestWeightWantsANumberOrReset(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"www/192.0.2.11", "the weight is missing"},
		{"www/192.0.2.11 65536", `"65536" is not a weight: write a number from 0 to 65535`},
		{"www/192.0.2.11 -- -1", `"-1" is not a weight`},
		{"www/192.0.2.11 5 --reset", "leave out the number"},
	} {
		if _, _, err := execute(t, append([]string{"weight"}, strings.Fields(c.args)...)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("tandem weight %s: %v", c.args, err)
		}
	}
}
