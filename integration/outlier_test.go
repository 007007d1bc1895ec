// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// An outlierScene is a director with servers that do not answer clients. Two services take out such a server: one waits for its
// trial, and of the last the others are disabled meanwhile. Two services are for UDP, with nat and with dr.
type outlierScene struct {
	*lab.Lab
	director            *lab.Director
	client, sick, stray *lab.Host
	out                 time.Time // when the server of the first service was taken out
}

const (
	sickAddr, strayAddr = "192.0.2.16", "10.0.0.12"
	trialPort, lastPort = 87, 88
	natPort, drPort     = 53, 54
)

func newOutlierScene(t *testing.T) *outlierScene {
	l := lab.New(t)
	s := &outlierScene{Lab: l, client: l.Host("client", "192.0.2.1/24")}
	good := l.Host("web1", "192.0.2.11/24", "192.0.2.12/24")
	good.RealServer(lab.VIP)
	s.sick = l.Host("web2", sickAddr+"/24")
	s.sick.RealServer()
	for _, h := range []*lab.Host{good, s.sick} {
		for _, port := range []int{trialPort, lastPort} {
			h.Start("busybox", "httpd", "-f", "-p", fmt.Sprint(port), "-h", h.Dir())
		}
		h.EchoServer(fmt.Sprintf("0.0.0.0:%d", drPort))
	}
	for i, addr := range []string{"10.0.0.11", strayAddr, "10.0.0.13"} {
		h := l.Host(fmt.Sprintf("resolver%d", i+1))
		h.Join("inner", addr+"/24")
		h.EchoServer(fmt.Sprintf("0.0.0.0:%d", natPort))
		if addr == strayAddr {
			s.stray = h
		} else {
			h.Run("ip", "route", "add", "default", "via", "10.0.0.1")
		}
	}
	config := fmt.Sprintf("[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nadvert_interval = \"300ms\"\nvips = [\"%s/24\"]\n", lab.VIP)
	add := func(name string, port int, settings string, servers ...string) {
		config += fmt.Sprintf("[[service]]\nname = %q\nvirtual = \"%s:%d\"\nscheduler = \"rr\"\n%s\nserver = [{ address = \"%s\" }]\n",
			name, lab.VIP, port, settings, strings.Join(servers, `" }, { address = "`))
	}
	const takesOut = "outlier = { action = \"weight-zero\" }\n" +
		"check = { type = \"tcp\", port = 87, interval = \"1s\", timeout = \"1s\", fall = 3, rise = 1 }"
	add("trial", trialPort, takesOut, "192.0.2.11", "192.0.2.12", sickAddr)
	add("last", lastPort, takesOut, "192.0.2.11", "192.0.2.12", sickAddr)
	add("nat", natPort, "protocol = \"udp\"\nmethod = \"nat\"", "10.0.0.11", strayAddr, "10.0.0.13")
	add("dr", drPort, "protocol = \"udp\"", "192.0.2.11", "192.0.2.12", sickAddr)
	s.director = l.Director("director", "192.0.2.2/24", config)
	s.director.Join("inner", "10.0.0.1/24")
	s.director.Sysctl(map[string]string{"net.ipv4.ip_forward": "1"})
	return s
}

// ask sends a datagram from a new port.
func (s *outlierScene) ask(port int) {
	_ = s.client.Do(func() error {
		conn, err := net.Dial("udp", net.JoinHostPort(lab.VIP, fmt.Sprint(port)))
		if err == nil {
			_, err = conn.Write([]byte("?"))
			time.AfterFunc(time.Second, func() { _ = conn.Close() }) // the answer finds the port open
		}
		return err
	})
}

// askAll sends datagrams to the services for UDP until stopped.
func (s *outlierScene) askAll() (stop func()) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(perSecond20)
		defer ticker.Stop()
		for {
			select {
			case <-end:
				return
			case <-ticker.C:
				s.ask(natPort)
				s.ask(drPort)
			}
		}
	}()
	return func() { close(end); <-done }
}

// await waits until a server of a service has a weight in the kernel, and its others have weight 1.
func (s *outlierScene) await(limit time.Duration, what string, port, weight int) time.Time {
	s.Eventually(limit, what, func() error {
		if table := s.director.Table(); !strings.Contains(table, fmt.Sprintf("-> %s:%d Route %d\n", sickAddr, port, weight)) {
			return errors.New("table:\n" + table)
		}
		return nil
	})
	return time.Now()
}

// takenOut expects the sick server to be out. Where it is the last one, it comes back at once.
func (s *outlierScene) takenOut(t *testing.T) {
	s.out = s.await(60*time.Second, "a server that does not answer clients gets no new ones", trialPort, 0)
	s.await(60*time.Second, "a server that does not answer clients gets no new ones", lastPort, 0)
	for _, port := range []int{trialPort, lastPort} {
		if table := s.director.Table(); strings.Count(table, fmt.Sprintf(":%d Route 1\n", port)) != 2 {
			t.Errorf("the two other servers at port %d must have weight 1:\n%s", port, table)
		}
	}
	commandServer(t, s.director, "disable", "last/192.0.2.11")
	commandServer(t, s.director, "disable", "last/192.0.2.12")
	s.await(10*time.Second, "the last server gets new clients again", lastPort, 1)
}

// returned expects the mended server to be tried again after its time, and to answer.
func (s *outlierScene) returned(t *testing.T) {
	const penalty, seen = 30 * time.Second, 5 * time.Second // it was seen to be out some time later than it was
	back := s.await(3*time.Minute, "the server is tried again", trialPort, 1)
	if was := back.Sub(s.out); was < penalty-seen {
		t.Errorf("the server was tried again after %s, want %s", was, penalty)
	}
	s.Logf("the server was tried again %.1f s after it was taken out", back.Sub(s.out).Seconds())
	s.Eventually(30*time.Second, "all servers answer", func() error {
		named, err := unanswered(s.director)
		if err == nil && len(named) > 0 {
			err = fmt.Errorf("named: %v", named)
		}
		return err
	})
}

// TestServersThatAreTakenOut: with action = "weight-zero" a server that does not answer clients gets no new ones, unless it is
// the last one, and it comes back by a trial. Over UDP, a server is named with nat, and nobody is with dr.
func TestServersThatAreTakenOut(t *testing.T) {
	t.Parallel()
	s := newOutlierScene(t)
	s.director.Launch()
	s.director.AwaitState(60*time.Second, "master")
	s.Eventually(30*time.Second, "all servers are in the table", func() error {
		if n := s.director.Servers(); n != 12 {
			return fmt.Errorf("%d servers", n)
		}
		return nil
	})
	const every = time.Second / 10
	began, asked := time.Now(), s.askAll()
	for _, port := range []int{trialPort, lastPort} {
		defer visit(s.client, port, every).stop()
	}
	s.takenOut(t)
	s.Eventually(60*time.Second, "the server that does not answer over UDP is named", func() error {
		named, err := unanswered(s.director)
		if _, ok := named["nat/"+strayAddr+":53"]; err == nil && !ok {
			err = fmt.Errorf("named: %v", named)
		}
		for server, says := range named {
			if strings.HasPrefix(server, "dr/") {
				t.Errorf("named %s: %s", server, says)
			}
		}
		return err
	})
	s.Logf("the server that does not answer over UDP was named within %.1f s", time.Since(began).Seconds())
	s.sick.RealServer(lab.VIP)
	s.stray.Run("ip", "route", "add", "default", "via", "10.0.0.1")
	s.returned(t)
	asked()
}
