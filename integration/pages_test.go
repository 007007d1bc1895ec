// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	printed "github.com/tandem-lvs/tandem/integration/topology"
)

// TestPages does what the pages of two topologies print, command by command: the set-up, the look at it, the failover by hand with a
// connection that stays open, and the way back. `make topologies` does it for all of them.
func TestPages(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"behind-a-router", "nat"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := printed.Build(t, name)
			n.SetUp()
			n.Look()
			finish := openRequest(t, n)
			n.FailOver()
			finish()
			n.Undo()
			for _, m := range append(n.Webs, n.A, n.B) {
				if m.Has(n.VIP.Addr().String()) {
					t.Errorf("%s has the VIP after the removal", m.Name)
				}
			}
		})
	}
}

// openRequest connects to the service and sends half a request. The function sends the rest and wants the answer.
func openRequest(t *testing.T, n *printed.Network) (finish func()) {
	t.Helper()
	var conn net.Conn
	err := n.Client.Do(func() (err error) {
		conn, err = net.DialTimeout("tcp", n.VIP.String(), 5*time.Second)
		return err
	})
	if err == nil {
		_, err = io.WriteString(conn, "GET / HTTP/1.1\r\n")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return func() {
		t.Helper()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(conn, "Host: www\r\nConnection: close\r\n\r\n"); err != nil {
			t.Errorf("a connection that was open during the failover: %v", err)
			return
		}
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("a connection that was open during the failover: %+v, %v", resp, err)
		}
	}
}
