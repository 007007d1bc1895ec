// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A runner raises a low limit of open files.
func TestRaiseLimit(t *testing.T) {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	low := before
	low.Cur = 512
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	r := New(Options{MaxInFlight: 4096})
	r.raiseLimit()
	var after unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &after)
	if err == nil {
		err = unix.Setrlimit(unix.RLIMIT_NOFILE, &before)
	}
	if err != nil {
		t.Fatal(err)
	}
	if r.maxInFlight != 4096 || after.Cur < 4096+spareFiles {
		t.Errorf("%d probes with a limit of %d", r.maxInFlight, after.Cur)
	}
}
