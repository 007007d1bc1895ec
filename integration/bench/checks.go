// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// The number of servers and the interval of their checks. All servers are addresses of one machine behind a router, so that
// the neighbour table and the cost of a thousand machines are not measured.
const (
	checkedServers = 1000
	checkInterval  = 10 * time.Second
)

// measureChecks measures what a check costs a director, by processor time and by the checks that the servers counted.
func measureChecks(b *bench) {
	span := 2 * checkInterval
	if b.options.long {
		span = 6 * checkInterval
	}
	for _, typ := range []string{"tcp", "http"} {
		what := fmt.Sprintf("%d servers every %s, %s", checkedServers, checkInterval, typ)
		for _, s := range b.subjects(tandem, keepalived) {
			b.measure(what, s.name, func(t *lab.Attempt) { checkCost(b, t, s, typ, what, span) })
		}
	}
}

func checkCost(b *bench, t *lab.Attempt, s subject, typ, what string, span time.Duration) {
	l := lab.New(t)
	web := l.Host("web", "192.0.2.11/24")
	web.Run("ip", "route", "add", "local", "198.18.0.0/16", "dev", "lo")
	_, count := countConnections(t, web)
	h := startChecker(l, s, typ)
	l.Eventually(2*time.Minute, "all servers have passed their check", func() error {
		up := 0
		for _, weight := range h.Weights() {
			up += weight
		}
		if up != checkedServers {
			return fmt.Errorf("%d of them", up)
		}
		return nil
	})
	l.Eventually(2*checkInterval, "the checks are spread", passed(checkInterval))
	before, checks := processorTime(t, h), count.Load()
	l.Eventually(2*span, "the time is over", passed(span))
	used, done := processorTime(t, h)-before, count.Load()-checks
	if done == 0 {
		t.Fatalf("no check arrived")
	}
	var memory int64
	for _, pid := range h.Pids() {
		size, err := lab.ResidentMemory(pid)
		if err != nil {
			t.Fatalf("%v", err)
		}
		memory += size
	}
	b.report(what+": processor", s.name, used.Seconds()*1000/float64(done), "ms a check",
		fmt.Sprintf("%.2f CPU seconds, %d checks counted at the servers in %s", used.Seconds(), done, span))
	b.report(what+": memory", s.name, float64(memory)/1e6, "MB", "resident, of all its processes")
}

// passed returns a condition that holds once the time has passed.
func passed(d time.Duration) func() error {
	begin := time.Now()
	return func() error {
		if time.Since(begin) < d {
			return errors.New("not yet")
		}
		return nil
	}
}

// processorTime returns what all processes of a host have used.
func processorTime(t *lab.Attempt, h *lab.Host) (sum time.Duration) {
	for _, pid := range h.Pids() {
		used, err := lab.CPUTime(pid)
		if err != nil {
			t.Fatalf("%v", err)
		}
		sum += used
	}
	return sum
}

// countConnections starts a web server at port 80 of all the host's addresses and returns it with its count of connections.
func countConnections(t *lab.Attempt, h *lab.Host) (listener net.Listener, count *atomic.Int64) {
	err := h.Do(func() error {
		var err error
		listener, err = net.Listen("tcp4", ":80")
		return err
	})
	if err != nil {
		t.Fatalf("web server: %v", err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	count = new(atomic.Int64)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			count.Add(1)
			go func() {
				defer conn.Close()
				if n, _ := conn.Read(make([]byte, 1024)); n > 0 {
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
				}
			}()
		}
	}()
	return listener, count
}

// startChecker starts a subject's checks on a host of its own.
func startChecker(l *lab.Lab, s subject, typ string) *lab.Host {
	address := func(i int) string { return fmt.Sprintf("198.18.%d.%d", i/250, 1+i%250) }
	route := func(h *lab.Host) {
		h.Run("ip", "route", "add", "198.18.0.0/16", "via", "192.0.2.11")
		h.Run("ipvsadm", "-Ln") // loads IPVS
	}
	var text strings.Builder
	if s.isTandem() {
		fmt.Fprintf(&text, "[[service]]\nvirtual = \"%s:80\"\ncheck = { type = %q, interval = %q, timeout = \"3s\", rise = 1, fall = 1 }\n",
			lab.VIP, typ, checkInterval)
		for i := range checkedServers {
			fmt.Fprintf(&text, "[[service.server]]\naddress = %q\n", address(i))
		}
		d := l.Director("director", "192.0.2.2/24", text.String())
		d.Use(s.program())
		route(d.Host)
		d.Launch()
		return d.Host
	}
	h := l.Host("director", "192.0.2.2/24")
	route(h)
	check := "TCP_CHECK { connect_timeout 3\n }"
	if typ == "http" {
		check = "HTTP_GET { connect_timeout 3\n url { path /\n status_code 200\n }\n }"
	}
	fmt.Fprintf(&text, "virtual_server %s 80 {\n delay_loop %g\n lb_algo wlc\n lb_kind DR\n protocol TCP\n", lab.VIP, checkInterval.Seconds())
	for i := range checkedServers {
		fmt.Fprintf(&text, "real_server %s 80 { weight 1\n inhibit_on_failure\n %s\n }\n", address(i), check)
	}
	conf, pid := h.WriteFile("keepalived.conf", text.String()+"}\n"), h.Dir()+"/keepalived.pid"
	h.Start("keepalived", "--check", "--dont-fork", "--log-console", "-f", conf, "-p", pid, "-c", pid+".check")
	return h
}
