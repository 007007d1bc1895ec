// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
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
			wantTurnsOf(t, n)
			finish := openRequest(t, n)
			n.FailOver()
			finish()
			if n.Router != nil {
				wantClientsBehindARouter(t, n)
			}
			n.Undo()
			for _, m := range append(n.Webs, n.A, n.B) {
				if m.Has(n.VIP.Addr().String()) {
					t.Errorf("%s has the VIP after the removal", m.Name)
				}
			}
		})
	}
}

// asTopology returns the network of a page for the checks of the other topologies.
func asTopology(n *printed.Network) *topology {
	all := &topology{Lab: n.Lab, name: n.Name, vip: n.VIP.Addr().String(), client: n.Client.Host, a: n.A.Director(), b: n.B.Director()}
	for _, d := range []string{"192.0.2.2", "192.0.2.3"} { // as the page's table says
		all.own = append(all.own, netip.MustParseAddr(d))
	}
	for _, w := range n.Webs {
		all.webs = append(all.webs, w.Host)
	}
	return all
}

// wantTurnsOf checks what the client gets: the web servers' pages in turn, as the page of the topology says.
func wantTurnsOf(t *testing.T, n *printed.Network) {
	t.Helper()
	asTopology(n).wantTurns(t)
}

// wantClientsBehindARouter checks what the clients of a network behind a router get, and on which way: requests go on to the web
// servers with other MAC addresses and no other change, answers do not pass the director, and the router knows the VIP at the
// master. Then the master is cut off, and clients are served again within VRRP's bound.
func wantClientsBehindARouter(t *testing.T, n *printed.Network) {
	t.Helper()
	all := asTopology(n)
	seen := all.a.Capture("eth0", isWeb)
	all.wantTurns(t)
	all.wantDirectRouting(t, seen.Frames())
	if got := neighbourOf(n.Router.Host, all.vip); got != all.a.MAC() {
		t.Errorf("the router knows the VIP at %s, want lb1's, %s", got, all.a.MAC())
	}
	all.wantFailover(t)
	if got := neighbourOf(n.Router.Host, all.vip); got != all.b.MAC() {
		t.Errorf("after the failover, the router knows the VIP at %s, want lb2's, %s", got, all.b.MAC())
	}
	all.a.Plug()
	n.AwaitPair()
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
