// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"flag"
	"regexp"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// lvsTests are the tests of package lvs/kernel that need a kernel with IPVS.
var lvsTests = lab.Cargo{Name: "lvs.test", Package: "github.com/tandem-lvs/tandem/lvs/kernel", Tests: true, Tags: "ipvs"}

// lvsRun selects other tests of that package: -args -lvs.run=Bench runs its benchmarks.
var lvsRun = flag.String("lvs.run", "RealKernel", "pattern of the tests of package lvs/kernel to run")

var result = regexp.MustCompile(`(?m)^--- (PASS|FAIL|SKIP): (\S+)`)

// TestLVSOnRealKernel runs lvsTests and reports each of them as a test of its own. No other test runs at the same time: when
// the services of another network namespace change, the kernel leaves out services when it shows those of this one.
func TestLVSOnRealKernel(t *testing.T) {
	l := lab.New(t)
	host := l.Host("lvs")
	limit := "100s"
	if *lvsRun != "RealKernel" {
		limit = "10m"
	}
	out, err := host.TryRun(lvsTests.Path(), "-test.v", "-test.run="+*lvsRun, "-test.timeout="+limit)
	results := result.FindAllStringSubmatch(out, -1)
	for _, r := range results {
		t.Run(strings.TrimPrefix(r[2], "Test"), func(t *testing.T) {
			if r[1] != "PASS" {
				t.Errorf("%s in package lvs/kernel: %s", r[2], r[1])
			}
		})
	}
	if *lvsRun != "RealKernel" {
		t.Log("\n" + out)
	}
	if err != nil || len(results) == 0 {
		t.Errorf("%d results, %v\n%s", len(results), err, out)
	}
}
