// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"testing"
)

// TestTally: results of runs are counted, also that of a run that ended without one.
func TestTally(t *testing.T) {
	var all tally
	exit := errors.New("exit status 1")
	good := []byte("=== RUN   TestA\n--- PASS: TestA (0.50s)\n    --- PASS: TestA/sub (0.50s)\n--- SKIP: TestC (0.00s)\nPASS\n")
	bad := []byte("--- FAIL: TestA (1.50s)\n    --- FAIL: TestA/sub (1.00s)\n--- PASS: TestB (0.00s)\nFAIL\n")
	for _, tt := range []struct {
		out  []byte
		err  error
		want int
	}{{good, nil, 0}, {bad, exit, 1}, {[]byte("panic: test timed out\n"), exit, 1}} {
		if got := all.add("p", tt.out, tt.err); got != tt.want {
			t.Errorf("%q: %d failed, want %d", tt.out, got, tt.want)
		}
	}
	var out bytes.Buffer
	all.print(&out)
	const want = "" +
		"  failed  runs     rate    mean  longest  test\n" +
		"       1     1  100.0 %  0.00 s   0.00 s  p (the run as a whole)\n" +
		"       1     2   50.0 %  1.00 s   1.50 s  p TestA\n" +
		"1 more tests, of less than 0.05 s each, never failed.\n"
	if out.String() != want || !all.failed() {
		t.Errorf("the table is\n%s\nwant\n%s", out.String(), want)
	}
}
