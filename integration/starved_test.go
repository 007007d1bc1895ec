// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestStarvedDirector: a director that gets too little of the processor removes no healthy server. It checks 200 fast servers
// with 25, 10 and 5 % of a processor, and is then stopped four times for 2 s. A server that dies meanwhile is removed afterwards.
func TestStarvedDirector(t *testing.T) {
	t.Parallel()
	const servers = 200
	l := lab.New(t)
	web := l.Host("web", "192.0.2.11/24")
	var config strings.Builder
	fmt.Fprintf(&config, "[[service]]\nvirtual = \"%s:80\"\ncheck = { type = \"http\", contains = \"fine\" }\n", lab.VIP)
	script := ""
	for i := range servers {
		addr := fmt.Sprintf("10.0.0.%d", i+1)
		script += "ip addr add " + addr + "/24 dev eth0\n"
		fmt.Fprintf(&config, "[[service.server]]\naddress = %q\n", addr)
	}
	web.Run("sh", "-ec", script)
	d := l.Director("director", "192.0.2.2/24", config.String())
	d.Run("ip", "addr", "add", "10.0.0.254/24", "dev", "eth0")
	serve(t, web, "all is fine")
	d.Run("ipvsadm", "-Ln") // loads the module whose table is read
	d.Launch()
	healthy := func() error {
		up := 0
		for _, weight := range d.Weights() {
			if weight > 0 {
				up++
			}
		}
		if up < servers {
			return fmt.Errorf("%d of %d servers have their weight", up, servers)
		}
		return nil
	}
	l.Eventually(3*time.Minute, "all servers are healthy", healthy)
	for _, limit := range []struct {
		percent int
		span    time.Duration
	}{{25, 6 * time.Second}, {10, 8 * time.Second}, {5, 16 * time.Second}} {
		d.LimitCPU(limit.percent)
		before := len(lost(d))
		for end := time.Now().Add(limit.span); time.Now().Before(end); time.Sleep(time.Second) {
			if err := healthy(); err != nil {
				t.Errorf("at %d %% of a processor: %v", limit.percent, err)
				break
			}
		}
		l.Logf("at %d %%: %d verdicts against healthy servers", limit.percent, len(lost(d))-before)
	}
	d.LimitCPU(0)
	before := len(lost(d))
	for range 4 {
		d.Process().Signal(syscall.SIGSTOP)
		time.Sleep(2 * time.Second)
		d.Process().Signal(syscall.SIGCONT)
		time.Sleep(time.Second)
	}
	l.Logf("stopped for 2 s four times: %d verdicts against healthy servers", len(lost(d))-before)
	if all := lost(d); len(all) > 0 {
		t.Errorf("%d verdicts against healthy servers, the first: %s", len(all), all[0])
	}
	if err := healthy(); err != nil {
		t.Error(err)
	}
	web.Run("ip", "addr", "del", "10.0.0.7/24", "dev", "eth0")
	// A machine that is slow itself counts only every second silence.
	l.Eventually(2*time.Minute, "a server that is gone is taken out", func() error {
		if d.Weights()["tcp 10.0.0.7"] > 0 {
			return errors.New("it has its weight")
		}
		return nil
	})
}

// lost returns the log lines about servers that were found unhealthy.
func lost(d *lab.Director) (lines []string) {
	for line := range strings.Lines(d.Process().Output()) {
		if strings.Contains(line, "server is unhealthy") {
			lines = append(lines, line)
		}
	}
	return lines
}

// serve runs a web server on port 80 of all the host's addresses. It runs in this process, so a request starts no process.
func serve(t *testing.T, h *lab.Host, body string) {
	t.Helper()
	var listener net.Listener
	if err := h.Do(func() (err error) {
		listener, err = net.Listen("tcp4", ":80")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
}
