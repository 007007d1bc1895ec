// SPDX-License-Identifier: Apache-2.0

package porttest

import (
	"errors"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// A reserved port refuses connections, can be listened on, and refuses them again afterwards.
func TestReserve(t *testing.T) {
	addr := Reserve(t)
	refused := func() {
		t.Helper()
		if conn, err := net.Dial("tcp", addr.String()); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("%v, %v", conn, err)
		}
	}
	refused()
	l, err := net.Listen("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	_ = l.Close()
	refused()
	if Reserve(t) == addr {
		t.Errorf("%s was reserved twice", addr)
	}
}
