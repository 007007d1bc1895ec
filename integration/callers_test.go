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

	callers []*lab.Caller // the conversations that began before the failure
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

// callAll makes every client call a service once.
func callAll(client *lab.Host, s *callService) []*lab.Caller {
	from := make([]netip.Addr, callerCount)
	for i := range from {
		from[i] = netip.AddrFrom4([4]byte{192, 0, 2, byte(151 + i)})
	}
	return client.Call(s.protocol, s.address(), callLimit, from...)
}

func (s *callService) address() string { return fmt.Sprintf("%s:%d", vip, s.port) }

// answerCalls makes a real server of a host: it has its checked port, and answers at all services.
func answerCalls(h *lab.Host, services []*callService) {
	addresses := map[string][]string{"tcp": {"0.0.0.0:80"}}
	for _, s := range services {
		addresses[s.protocol] = append(addresses[s.protocol], s.address())
	}
	h.AnswerCalls(addresses["tcp"], addresses["udp"])
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
func (s *callService) count(client *lab.Host, lost string) callCount {
	var n callCount
	fresh := callAll(client, s)
	for _, c := range fresh {
		switch {
		case c.Err != nil:
			n.example = c.Err
		case c.Server == lost:
			n.astray++
			fallthrough
		default:
			n.served++
		}
		c.Close()
	}
	was := make([]string, len(s.callers))
	for i, c := range s.callers {
		was[i] = c.Server
	}
	lab.AskAgain(s.callers, callLimit)
	var live []*lab.Caller
	for i, c := range s.callers {
		switch {
		case was[i] != lost:
			if n.others++; c.Err != nil {
				n.broken++
				n.example = c.Err
			}
		case c.Err == nil:
			n.kept++
		case errors.Is(c.Err, unix.ETIMEDOUT):
			n.silent++
		default:
			n.ended++
		}
		if c.Err == nil {
			live = append(live, c)
			continue
		}
		c.Close()
	}
	s.callers = live
	return n
}
