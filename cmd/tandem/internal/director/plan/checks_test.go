// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"testing"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// A plan names the keys of a check as the file does, and does not show what a check sends: it may be a password.
func TestChangesOfConversations(t *testing.T) {
	was, is := healthcheck.DefaultConfig(healthcheck.TCP), healthcheck.DefaultConfig(healthcheck.TCP)
	is.Send, is.Expect, is.Forbid, is.Proxy = "AUTH secret\r\n", "+OK", "-ERR", 2
	is.Steps = []healthcheck.Step{{Send: "AUTH secret\r\n"}}
	is.Fields, is.Content.Lacks = []healthcheck.FieldRule{{Name: "A"}}, "maintenance"
	var got []string
	for _, f := range differing(was, is) {
		got = append(got, f.String())
	}
	want := []string{"send changed", `expect "" → "+OK"`, `expect_not "" → "-ERR"`, "steps changed", "proxy_protocol 0 → 2",
		"expect_headers changed", `not_contains "" → "maintenance"`}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
