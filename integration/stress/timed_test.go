// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// untimed are packages whose tests use durations but do not wait, and packages that run on an emulated machine.
var untimed = []string{"configs", "configs/internal/toml", "configs/package", "integration", "integration/bench", "integration/deployments",
	"integration/drill", "integration/hooks", "integration/imported", "integration/machine", "integration/masters"}

// TestEveryTimedPackageIsStressed: a package whose tests use package time is among those that make stress runs many times, or
// in the list of packages whose tests do not wait.
func TestEveryTimedPackageIsStressed(t *testing.T) {
	const format = "{{range .TestImports}}{{if eq . \"time\"}}{{$.ImportPath}} {{end}}{{end}}" +
		"{{range .XTestImports}}{{if eq . \"time\"}}{{$.ImportPath}} {{end}}{{end}}"
	list := func(args ...string) []string {
		cmd := exec.Command("go", append([]string{"list"}, args...)...)
		cmd.Dir = "../.."
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list %v: %v", args, err)
		}
		return strings.Fields(strings.ReplaceAll(string(out), "github.com/tandem-lvs/tandem/", ""))
	}
	stressed := list(timed...)
	all := list("-f", format, "./...")
	if len(all) < 20 {
		t.Fatalf("only %d packages have tests that use package time: %v", len(all), all)
	}
	for _, name := range all {
		if !slices.Contains(stressed, name) && !slices.Contains(untimed, name) {
			t.Errorf("the tests of %s use package time, and make stress does not run them: add it to timed", name)
		}
	}
	for _, name := range untimed {
		if !slices.Contains(all, name) {
			t.Errorf("%s is named untimed for nothing", name)
		}
	}
}
