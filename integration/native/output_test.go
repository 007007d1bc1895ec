// SPDX-License-Identifier: Apache-2.0

package native

import (
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestOutputIsWhole: when Wait returns, Output has everything that a process wrote, even a last line without a line end.
func TestOutputIsWhole(t *testing.T) {
	h := lab.New(t).Host("host")
	for range 20 {
		p := h.Start("sh", "-c", "seq 1 20000; printf last")
		if code := p.Wait(10 * time.Second); code != 0 {
			t.Fatalf("it ended with code %d", code)
		}
		if out := p.Output(); !strings.HasSuffix(out, "\n20000\nlast\n") {
			t.Fatalf("the output ends with %q", out[max(0, len(out)-40):])
		}
	}
}
