// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"testing"
)

func TestTable(t *testing.T) {
	var b bytes.Buffer
	Table(&b, "lrl", [][]string{{"what", "ms", "verdict"}, {"group", "", ""}, {"10 ± 2 %", "1234", "pass"}})
	const want = "what        ms  verdict\ngroup\n10 ± 2 %  1234  pass\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
