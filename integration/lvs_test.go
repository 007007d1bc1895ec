// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"regexp"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// lvsTests are package lvs's own tests against a real kernel.
var lvsTests = lab.Cargo{Name: "lvs.test", Package: "github.com/tandem-lvs/tandem/lvs", Tests: true, Tags: "ipvs"}

var result = regexp.MustCompile(`(?m)^--- (PASS|FAIL|SKIP): (\S+)`)

// TestLVSOnRealKernel runs them, each reported as a test of its own.
func TestLVSOnRealKernel(t *testing.T) {
	l := lab.New(t)
	host := l.Host("lvs")
	out, err := host.TryRun(lvsTests.Path(), "-test.v", "-test.run=RealKernel", "-test.timeout=100s")
	results := result.FindAllStringSubmatch(out, -1)
	for _, r := range results {
		t.Run(strings.TrimPrefix(r[2], "Test"), func(t *testing.T) {
			if r[1] != "PASS" {
				t.Errorf("%s in package lvs: %s", r[2], r[1])
			}
		})
	}
	if err != nil || len(results) == 0 {
		t.Errorf("%d results, %v\n%s", len(results), err, out)
	}
}
