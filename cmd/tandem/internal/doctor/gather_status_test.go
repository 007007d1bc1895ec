// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

// TestAtLast: a warning that ends during the examination is no finding, and one that begins is. The roles are those of the beginning, the
// tracks those of the end.
func TestAtLast(t *testing.T) {
	first := &control.Status{Warnings: []string{"www has lost its quorum"}, VRRP: []control.Router{{State: "backup", Track: []control.Track{{OK: false}}}}}
	last := &control.Status{Warnings: []string{"mail has lost its quorum"}, VRRP: []control.Router{{State: "master", Track: []control.Track{{OK: true}}}}}
	if got := atLast(first, last); len(got.Warnings) != 1 || got.Warnings[0] != last.Warnings[0] || got.VRRP[0].State != "backup" ||
		!got.VRRP[0].Track[0].OK || first.VRRP[0].Track[0].OK {
		t.Errorf("%+v", got)
	}
	if got := atLast(first, nil); got != first {
		t.Errorf("a director that ended: %+v, want %+v", got, first)
	}
	if got := atLast(nil, last); got != nil {
		t.Errorf("a director that started: %+v, want nil", got)
	}
}
