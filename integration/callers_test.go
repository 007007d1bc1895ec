// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/integration/lab"
)

const (
	// callerCount is the number of clients, each with an address of its own.
	callerCount = 40
	// callLimit is how long an answer may take. It covers the second attempts of TCP, and a stall of the machine.
	callLimit = 4 * time.Second
	// firstCallPort is the port of the first service of the matrix. The others follow.
	firstCallPort = 8000
)

// callSchedulers are the schedulers that Debian's kernel has, with the weights of the servers. If all clients go to the
// server with the largest weight, this is the server that fails.
var callSchedulers = []struct {
	name    string
	weights [3]int
}{
	{"rr", [3]int{1, 1, 1}}, {"wrr", [3]int{1, 1, 1}}, {"lc", [3]int{1, 1, 1}}, {"wlc", [3]int{1, 1, 1}},
	{"sed", [3]int{1, 1, 1}}, {"nq", [3]int{1, 1, 1}}, {"sh", [3]int{1, 1, 1}}, {"mh", [3]int{1, 1, 1}},
	{"dh", [3]int{1, 1, 1}}, {"lblc", [3]int{200, 200, 200}}, {"lblcr", [3]int{200, 200, 200}},
	{"fo", [3]int{100, 150, 200}}, {"ovf", [3]int{100, 150, 200}},
}

// A callService is one cell of the matrix.
type callService struct {
	scheduler  string
	protocol   string
	persistent bool
	port       int

	callers []*caller // the conversations that began before the failure
}

func (s *callService) name() string {
	return strings.TrimSuffix(fmt.Sprintf("%s-%s-%s", s.scheduler, s.protocol, map[bool]string{true: "persistent"}[s.persistent]), "-")
}

// callServices are all services, and their configuration.
func callServices() (all []*callService, config string) {
	var text strings.Builder
	for _, scheduler := range callSchedulers {
		for _, protocol := range []string{"tcp", "udp"} {
			for _, persistent := range []bool{false, true} {
				s := &callService{scheduler: scheduler.name, protocol: protocol, persistent: persistent, port: firstCallPort + len(all)}
				all = append(all, s)
				fmt.Fprintf(&text, "[[service]]\nname = %q\nvirtual = \"%s:%d\"\nprotocol = %q\nscheduler = %q\n",
					s.name(), vip, s.port, protocol, scheduler.name)
				if persistent {
					text.WriteString("persistence = { timeout = \"5m\" }\n")
				}
				text.WriteString("check = { type = \"tcp\", port = 80, interval = \"2s\", timeout = \"1s\", fall = 2, rise = 1 }\n")
				for i, weight := range scheduler.weights {
					fmt.Fprintf(&text, "[[service.server]]\naddress = \"192.0.2.%d\"\nweight = %d\n", 11+i, weight)
				}
			}
		}
	}
	return all, text.String()
}

// A caller is one client's socket.
type caller struct {
	fd     int
	server string // that answered last
	err    error
	asked  bool
	done   bool
}

// call opens a socket of a client and begins to connect it. The calling thread is in the client's namespace.
func call(protocol string, client, port int) *caller {
	kind := unix.SOCK_STREAM
	if protocol == "udp" {
		kind = unix.SOCK_DGRAM
	}
	c := &caller{fd: -1}
	if c.fd, c.err = unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); c.err != nil {
		return c
	}
	local, _ := sockaddr(netip.MustParseAddrPort(fmt.Sprintf("192.0.2.%d:0", 151+client)))
	remote, _ := sockaddr(netip.MustParseAddrPort(fmt.Sprintf("%s:%d", vip, port)))
	if c.err = unix.Bind(c.fd, local); c.err == nil {
		if c.err = unix.Connect(c.fd, remote); errors.Is(c.err, unix.EINPROGRESS) {
			c.err = nil
		}
	}
	return c
}

// askAll asks each of the sockets for the server's name, all at the same time.
func askAll(callers []*caller) {
	deadline := time.Now().Add(callLimit)
	for _, c := range callers {
		c.server, c.asked, c.done = "", false, c.err != nil
	}
	for {
		var polled []unix.PollFd
		var waiting []*caller
		for _, c := range callers {
			if c.done {
				continue
			}
			events := int16(unix.POLLIN)
			if !c.asked {
				events = unix.POLLOUT
			}
			polled, waiting = append(polled, unix.PollFd{Fd: int32(c.fd), Events: events}), append(waiting, c)
		}
		left := time.Until(deadline)
		if len(waiting) == 0 || left <= 0 {
			break
		}
		if _, err := unix.Poll(polled, int(left.Milliseconds())+1); err != nil {
			continue // EINTR
		}
		for i, c := range waiting {
			if polled[i].Revents != 0 {
				c.goOn()
			}
		}
	}
	for _, c := range callers {
		if !c.done {
			c.err = unix.ETIMEDOUT
		}
	}
}

// goOn asks, or reads the answer.
func (c *caller) goOn() {
	if !c.asked {
		_, err := unix.Write(c.fd, []byte("?"))
		if c.asked = err == nil; err != nil && !errors.Is(err, unix.EAGAIN) {
			c.err, c.done = err, true
		}
		return
	}
	var buf [32]byte
	n, err := unix.Read(c.fd, buf[:])
	if errors.Is(err, unix.EAGAIN) {
		return
	}
	if c.err, c.done = err, true; err == nil {
		c.server = string(buf[:n])
	}
	if err == nil && n == 0 {
		c.err = unix.ECONNRESET
	}
}

func (c *caller) close() {
	if c.fd >= 0 {
		_ = unix.Close(c.fd)
	}
}

// callAll makes every client call a service once.
func callAll(t *testing.T, client *lab.Host, s *callService) []*caller {
	t.Helper()
	all := make([]*caller, callerCount)
	if err := client.Do(func() error {
		for i := range all {
			all[i] = call(s.protocol, i, s.port)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	askAll(all)
	return all
}

// answerCalls answers each question with the host's name, by TCP and UDP at the VIP, until the test ends.
func answerCalls(t *testing.T, h *lab.Host, services []*callService) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var open []interface{ Close() error }
	serve := func(conn net.Conn) {
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
		var buf [32]byte
		for {
			if _, err := conn.Read(buf[:]); err != nil {
				return
			}
			if _, err := conn.Write([]byte(h.Name)); err != nil {
				return
			}
		}
	}
	listen := func(address string) error {
		l, err := net.Listen("tcp4", address)
		if err != nil {
			return err
		}
		open = append(open, l)
		running.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				running.Go(func() { serve(conn) })
			}
		})
		return nil
	}
	err := h.Do(func() error {
		errs := []error{listen("0.0.0.0:80")}
		for _, s := range services {
			address := fmt.Sprintf("%s:%d", vip, s.port)
			if s.protocol == "tcp" {
				errs = append(errs, listen(address))
				continue
			}
			l, err := net.ListenPacket("udp4", address)
			if errs = append(errs, err); err != nil {
				continue
			}
			open = append(open, l)
			running.Go(func() {
				var buf [32]byte
				for {
					_, from, err := l.ReadFrom(buf[:])
					if err != nil {
						return
					}
					_, _ = l.WriteTo([]byte(h.Name), from)
				}
			})
		}
		return errors.Join(errs...)
	})
	t.Cleanup(func() {
		cancel()
		for _, l := range open {
			_ = l.Close()
		}
		running.Wait()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// commandServer sends a command as the command line does. Starting a program fifty times would take an emulated machine too
// long.
func commandServer(t *testing.T, d *lab.Director, action, server string) {
	t.Helper()
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", d.Socket)
		},
	}}
	body := fmt.Sprintf(`{"server": %q, "action": %q}`, server, action)
	resp, err := client.Post("http://tandem/v1/servers", "application/json", bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatalf("%s %s: %v", action, server, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s", action, server, resp.Status)
	}
}

// A callCount counts the results of one service's clients after a server was lost or drained.
type callCount struct {
	served  int // new conversations
	astray  int // new conversations that came to the lost or drained server
	kept    int // conversations with that server that continue
	ended   int // conversations with that server that were reset
	silent  int // conversations with that server without an answer
	others  int // conversations with other servers
	broken  int // of these, those that do not continue
	example error
}

// count asks over the sockets that are open, and over new ones.
func (s *callService) count(t *testing.T, client *lab.Host, lost string) callCount {
	t.Helper()
	var n callCount
	fresh := callAll(t, client, s)
	for _, c := range fresh {
		switch {
		case c.err != nil:
			n.example = c.err
		case c.server == lost:
			n.astray++
			fallthrough
		default:
			n.served++
		}
		c.close()
	}
	was := make([]string, len(s.callers))
	for i, c := range s.callers {
		was[i] = c.server
	}
	askAll(s.callers)
	var live []*caller
	for i, c := range s.callers {
		switch {
		case was[i] != lost:
			if n.others++; c.err != nil {
				n.broken++
				n.example = c.err
			}
		case c.err == nil:
			n.kept++
		case errors.Is(c.err, unix.ETIMEDOUT):
			n.silent++
		default:
			n.ended++
		}
		if c.err == nil {
			live = append(live, c)
			continue
		}
		c.close()
	}
	s.callers = live
	return n
}
