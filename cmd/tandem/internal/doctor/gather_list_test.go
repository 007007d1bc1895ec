// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"errors"
	"testing"

	"github.com/vishvananda/netlink"
)

// TestAgain: a list that changes while it is read is read again, and any other error is one.
func TestAgain(t *testing.T) {
	broken := errors.New("no")
	for _, c := range []struct {
		name    string
		answers []error
		reads   int
		err     error
	}{
		{"it changes twice", []error{netlink.ErrDumpInterrupted, netlink.ErrDumpInterrupted, nil}, 3, nil},
		{"it cannot be read", []error{broken}, 1, broken},
	} {
		reads := 0
		list, err := again(func() ([]int, error) {
			reads++
			return []int{reads}, c.answers[reads-1]
		})
		if reads != c.reads || !errors.Is(err, c.err) || len(list) != 1 || list[0] != reads {
			t.Errorf("%s: %d reads, %v, %v", c.name, reads, list, err)
		}
	}
	if _, err := again(func() ([]int, error) { return nil, netlink.ErrDumpInterrupted }); !errors.Is(err, netlink.ErrDumpInterrupted) {
		t.Errorf("it changes for ever: %v", err)
	}
}
