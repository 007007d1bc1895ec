// SPDX-License-Identifier: Apache-2.0

// Package probetest has what the tests of probes share: servers, targets and network namespaces.
package probetest

import (
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// Addr is the address of a server that is never asked.
var Addr = netip.MustParseAddrPort("192.0.2.1:80")

// Target returns a target of some type.
func Target(typ healthcheck.Type, addr netip.AddrPort, timeout time.Duration, change func(*healthcheck.Config)) healthcheck.Target {
	c := healthcheck.DefaultConfig(typ)
	c.Interval, c.Timeout = max(c.Interval, timeout), timeout
	change(&c)
	return healthcheck.Target{ID: "s", Addr: addr, Config: c}
}

// patience is the timeout of a check that ends by itself, however busy the machine is.
const patience = 30 * time.Second

// Timeout returns the timeout of a check whose reason is known: the one of limits that the reason names, since the check then needs all
// of it. Any other check ends by itself, and the timeout must not end it before that.
func Timeout(reason string, limits ...time.Duration) time.Duration {
	for _, limit := range limits {
		if strings.Contains(reason, limit.String()) {
			return limit
		}
	}
	return patience
}

// HTTPTarget returns a target of type http.
func HTTPTarget(addr netip.AddrPort, timeout time.Duration) healthcheck.Target {
	return Target(healthcheck.HTTP, addr, timeout, func(*healthcheck.Config) {})
}

// ExecTarget returns a target of type exec. The program runs as the user nobody. Its timeout is long, because a busy machine
// may be slow.
func ExecTarget(command ...string) healthcheck.Target {
	c := healthcheck.DefaultConfig(healthcheck.Exec)
	c.Interval, c.Timeout, c.Command = 30*time.Second, 30*time.Second, command
	return healthcheck.Target{ID: "script", Config: c}
}

// Shell returns a target that a shell script of one line checks.
func Shell(script string) healthcheck.Target { return ExecTarget("/bin/sh", "-c", script) }

// Eventually waits until done, and says whether that happened within limit.
func Eventually(limit time.Duration, done func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !done(); <-tick.C {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// NoLeftovers fails the test if it ends with more goroutines or file descriptors than it began with.
func NoLeftovers(t *testing.T) {
	t.Helper()
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	t.Cleanup(func() {
		var g, f int
		if !Eventually(5*time.Second, func() bool {
			g, f = runtime.NumGoroutine(), openFiles(t)
			return g <= goroutines && f <= files
		}) {
			t.Errorf("left over: goroutines %d, were %d; files %d, were %d", g, goroutines, f, files)
		}
	})
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// Serve starts a server on loopback that gives every connection to f and closes it afterwards.
func Serve(t *testing.T, f func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.AcceptTCP()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = conn.Close() }()
				f(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// Hear returns a server that reads the request and sends an answer.
func Hear(answer string) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		_, _ = c.Read(make([]byte, 1024))
		_, _ = c.Write([]byte(answer))
	}
}

// UntilGone is a server that waits for the client to end the connection.
func UntilGone[C net.Conn](c C) { _, _ = io.Copy(io.Discard, c) }

// Closed returns an address of the loopback interface where nobody listens: TCP connections to it are refused. Until the test ends, the
// kernel gives the port to nobody who asks for any free port, nor to a connection that goes out.
func Closed(t *testing.T) netip.AddrPort {
	t.Helper()
	_, addr := bound(t)
	return addr
}

// bound returns a TCP socket on the loopback interface that does not listen yet.
func bound(t *testing.T) (fd int, addr netip.AddrPort) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	is := name.(*unix.SockaddrInet4)
	return fd, netip.AddrPortFrom(netip.AddrFrom4(is.Addr), uint16(is.Port))
}

// NoChildren fails the test if this process has a child, or one that it has not waited for.
func NoChildren(t *testing.T) {
	t.Helper()
	var status unix.WaitStatus
	if pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("child %d is left: %v", pid, err)
	}
}

// Fail returns a failure as Words leaves it.
func Fail(reason string) healthcheck.Result {
	return healthcheck.Result{Outcome: healthcheck.Failed, Reason: reason}
}

// Words returns a result without its cause, which has tests of its own.
func Words(r healthcheck.Result) healthcheck.Result {
	r.Cause = healthcheck.Cause{}
	return r
}

// FullServer returns a server whose kernel does not answer, because no program accepts connections.
func FullServer(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, addr := bound(t)
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return addr
}
