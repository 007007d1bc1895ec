// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// RequestLimit is the maximum time of a request.
const RequestLimit = 3 * time.Second

// HTTPServer runs a web server on port 80 of all the host's addresses. It serves the body at "/" and "/health".
func (h *Host) HTTPServer(body string) *Process {
	h.lab.t.Helper()
	h.WriteFile("www/index.html", body)
	h.WriteFile("www/health", body)
	p := h.Start("busybox", "httpd", "-f", "-p", "80", "-h", filepath.Join(h.dir, "www"))
	h.lab.Eventually(10*time.Second, "web server on "+h.Name, func() error {
		_, err := h.Get("http://127.0.0.1/")
		return err
	})
	return p
}

// RemoveHealthPage makes the web server answer 404 for "/health".
func (h *Host) RemoveHealthPage() {
	h.lab.t.Helper()
	if err := os.Remove(filepath.Join(h.dir, "www/health")); err != nil {
		h.lab.t.Fatalf("host %s: %v", h.Name, err)
	}
}

// Get asks a web server at an address (not a name) from the host, on a connection of its own, and returns the body.
// Any status but 200 is an error.
//
// Each request comes from a port that none of the 20,000 before it had. The kernel takes a port again as soon as the server has closed the
// connection, and IPVS then sends the new connection to the old one's server for up to 2 minutes (state FIN_WAIT), also after a
// failover: the scheduler is not asked.
func (h *Host) Get(url string) (string, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	req.Close = true
	deadline := time.Now().Add(RequestLimit)
	address := req.URL.Host
	if req.URL.Port() == "" {
		address = net.JoinHostPort(req.URL.Hostname(), "80")
	}
	var conn net.Conn
	err = h.Do(func() error {
		var err error
		conn, err = (&net.Dialer{Deadline: deadline, LocalAddr: &net.TCPAddr{Port: h.lab.nextPort()}}).Dial("tcp", address)
		return err
	})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	if err := req.Write(conn); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	return string(body), err
}

// nextPort returns the ports below those that the kernel chooses (32768), and above those of the lab's servers, in turn.
func (l *Lab) nextPort() int {
	const first, end = 10000, 32768
	return first + int(l.requests.Add(1))%(end-first)
}

// A Request is one request of a Load.
type Request struct {
	Start time.Time
	End   time.Time
	Body  string
	Err   error
}

// A Load asks a web server again and again.
type Load struct {
	stop chan struct{}
	done chan struct{}

	mu       sync.Mutex
	requests []Request
}

// Load asks the web server from the host at an interval. Each request has a new connection, and does not wait for the
// requests before it.
func (h *Host) Load(url string, every time.Duration) *Load {
	l := &Load{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		var open sync.WaitGroup
		defer open.Wait()
		for {
			select {
			case <-l.stop:
				return
			case <-ticker.C:
			}
			open.Go(func() {
				r := Request{Start: time.Now()}
				r.Body, r.Err = h.Get(url)
				r.End = time.Now()
				l.mu.Lock()
				l.requests = append(l.requests, r)
				l.mu.Unlock()
			})
		}
	}()
	h.lab.t.Cleanup(func() { l.Stop() })
	return l
}

// Stop ends the load, waits for the open requests, and returns all in the order of their ends.
func (l *Load) Stop() []Request {
	select {
	case <-l.done:
	default:
		close(l.stop)
		<-l.done
	}
	return l.Requests()
}

// Requests returns the requests that have ended so far.
func (l *Load) Requests() []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Request(nil), l.requests...)
}
