// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/porttest"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober"
)

const ms = time.Millisecond

// listen answers each connection with f, until the test ends.
func listen(t *testing.T, f func(conn net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				f(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		running.Wait()
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

// request reads a request; false: there was none.
func request(conn net.Conn) bool {
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, err := http.ReadRequest(bufio.NewReader(conn))
	return err == nil
}

// answering answers each request with a text, and then closes the connection.
func answering(text string) func(net.Conn) {
	return func(conn net.Conn) {
		if request(conn) {
			_, _ = io.WriteString(conn, text)
		}
	}
}

// brief are the options of probes with some questions. No answer of theirs is slow on any machine.
var brief = prober.Options{Every: 10 * ms, For: 50 * ms, Timeout: 20 * time.Second, Slow: 20 * time.Second}

func run(t *testing.T, p Probe) prober.Report {
	t.Helper()
	r, err := Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const ok = "HTTP/1.1 200 OK\r\n"

// TestAnswers: what counts as an answer, what as a failure, and who answered.
func TestAnswers(t *testing.T) {
	accepting := listen(t, func(net.Conn) {})
	closed := porttest.Reserve(t)
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Served-By", "web1")
		_, _ = io.WriteString(w, "hello")
	}))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	secureAddr := netip.MustParseAddrPort(secure.Listener.Addr().String())
	chunked := ok + "X-Served-By: web3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	for _, c := range []struct {
		name   string
		target Target
		server func(net.Conn) // nil: Addr is given
		want   string         // "answered by NAME", or the cause
	}{
		{name: "connected", target: Target{Protocol: TCP, Addr: accepting}, want: "answered by "},
		{name: "connected and reset at once", target: Target{Protocol: TCP},
			server: func(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }, want: "answered by "},
		{name: "echo", target: Target{Protocol: TCP, Data: []byte("web1\nand more"), NamedBy: Body},
			server: func(conn net.Conn) { _, _ = io.CopyN(conn, conn, 4) }, want: "answered by web1"},
		{name: "refused", target: Target{Protocol: TCP, Addr: closed}, want: "connection refused"},
		{name: "refused datagram", target: Target{Protocol: UDP, Addr: closed, Data: []byte("?")}, want: "connection refused"},
		{name: "closed", target: Target{Protocol: TCP, Data: []byte("?")},
			server: func(conn net.Conn) { _, _ = conn.Read(make([]byte, 9)) }, want: "closed without an answer"},
		{name: "reset", target: Target{Protocol: HTTP, Path: "/"}, server: func(conn net.Conn) {
			request(conn)
			_ = conn.(*net.TCPConn).SetLinger(0)
		}, want: "connection reset"},
		{name: "length", target: Target{Protocol: HTTP, Path: "/", NamedBy: Body},
			server: answering(ok + "Content-Length: 5\r\n\r\nhello"), want: "answered by hello"},
		{name: "until the end", target: Target{Protocol: HTTP, Path: "/", NamedBy: Body},
			server: answering(ok + "\r\nweb2\nis well"), want: "answered by web2"},
		{name: "chunked", target: Target{Protocol: HTTP, Path: "/", NamedBy: "X-Served-By"},
			server: answering(chunked), want: "answered by web3"},
		{name: "short", target: Target{Protocol: HTTP, Path: "/"},
			server: answering(ok + "Content-Length: 50\r\n\r\nhello"), want: "closed within the answer"},
		{name: "redirect", target: Target{Protocol: HTTP, Path: "/"},
			server: answering("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"), want: "answered by "},
		{name: "error", target: Target{Protocol: HTTP, Path: "/"},
			server: answering("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"), want: "status 503"},
		{name: "no HTTP", target: Target{Protocol: HTTP, Path: "/"}, server: answering("SSH-2.0\r\n\r\n"), want: "not an HTTP response"},
		{name: "TLS", target: Target{Protocol: HTTPS, Addr: secureAddr, Host: "example.com", Path: "/", NamedBy: "X-Served-By", Insecure: true},
			want: "answered by web1"},
		{name: "untrusted", target: Target{Protocol: HTTPS, Addr: secureAddr, Host: "example.com", Path: "/"},
			want: "tls: failed to verify certificate: x509: certificate signed by unknown authority"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.server != nil {
				c.target.Addr = listen(t, c.server)
			}
			r := run(t, Probe{Target: c.target, Options: brief})
			got := "answered by "
			for cause, n := range r.Failures {
				got = cause
				if n != r.Failed {
					t.Errorf("several causes: %v", r.Failures)
				}
			}
			for _, s := range r.Servers {
				got += s.Name
			}
			if got != c.want || r.Asked == 0 || r.Asked+r.NotAsked != 5 || r.Answered != 0 && r.Failed != 0 {
				t.Errorf("got %q, want %q; %+v", got, c.want, r.Counts)
			}
		})
	}
}

// TestDatagrams: each question has its own socket, and so is a new connection for IPVS.
func TestDatagrams(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ports := make(map[string]bool)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 100)
		for {
			n, from, err := l.ReadFrom(buf)
			if err != nil {
				return
			}
			ports[from.String()] = true
			// It answers when all sockets are open: the kernel may give the port of a closed one again.
			answer := bytes.Clone(buf[:n])
			time.AfterFunc(200*ms, func() { _, _ = l.WriteTo(answer, from) })
		}
	}()
	r := run(t, Probe{Options: brief, Target: Target{
		Protocol: UDP, Addr: netip.MustParseAddrPort(l.LocalAddr().String()), Data: []byte("web1"), NamedBy: Body,
	}})
	_ = l.Close()
	<-done
	if len(ports) != r.Asked || r.Answered != r.Asked || len(r.Servers) != 1 || r.Servers[0].Name != "web1" {
		t.Errorf("%d ports, %+v, servers %v", len(ports), r.Counts, r.Servers)
	}
}

// TestPause: a server that pauses for 500 ms. Sending goes on meanwhile, and the pause is in the report. The exact length is tested
// with given times: see TestOutages in package prober.
func TestPause(t *testing.T) {
	const every, lasts = 5 * ms, 500 * ms
	var mu sync.Mutex // is held in the pause
	served := 0
	began := time.Now()
	addr := listen(t, func(conn net.Conn) {
		if request(conn) {
			mu.Lock()
			served++
			mu.Unlock()
			_, _ = io.WriteString(conn, ok+"Content-Length: 0\r\n\r\n")
		}
	})
	var from, to time.Time
	paused := make(chan struct{})
	time.AfterFunc(500*ms, func() {
		defer close(paused)
		mu.Lock()
		from = time.Now()
		time.Sleep(lasts)
		to = time.Now()
		mu.Unlock()
	})
	shown := make(chan prober.Live, 1000)
	r := run(t, Probe{
		Target:  Target{Protocol: HTTP, Addr: addr, Host: "x", Path: "/"},
		Options: prober.Options{Every: every, For: 1500 * ms, Timeout: 30 * time.Second, Slow: 100 * ms},
		Show:    func(v prober.Live) { shown <- v }, ShowEvery: 50 * ms,
	})
	<-paused
	if r.Asked+r.NotAsked != 300 || r.Answered != r.Asked {
		t.Errorf("asked %d, answered %d, not asked %d, want 300 in all", r.Asked, r.Answered, r.NotAsked)
	}
	// The prober can miss the beginning of the pause by an interval, and by what it was late itself. What it was late between two
	// questions is not known: at most another interval.
	own := time.Duration(r.Prober.LateMost)
	for _, p := range r.Prober.Pauses {
		own = max(own, time.Duration(p.Length))
	}
	if least := to.Sub(from) - 2*every - own - ms; time.Duration(r.Longest) < least {
		t.Errorf("the longest outage is %v, but the server paused for %v", time.Duration(r.Longest), to.Sub(from))
	}
	found := false
	for _, o := range r.Outages {
		start := began.Add(time.Duration(o.Start))
		found = found || start.Before(to) && start.Add(time.Duration(o.Length)).After(from)
	}
	if !found {
		t.Errorf("no outage in the pause (%v to %v): %+v", from.Sub(began), to.Sub(began), r.Outages)
	}
	mu.Lock()
	defer mu.Unlock()
	if served != r.Answered {
		t.Errorf("the server answered %d questions, the prober saw %d answers", served, r.Answered)
	}
	if len(shown) == 0 {
		t.Fatal("nothing was shown")
	}
	if v := <-shown; v.For != prober.Seconds(1500*ms) || v.Asked == 0 {
		t.Errorf("shown: %+v", v)
	}
}

// TestEnd: the end of the context ends a probe at once, whatever is open.
func TestEnd(t *testing.T) {
	hang := make(chan struct{})
	addr := listen(t, func(net.Conn) { <-hang })
	defer close(hang)
	for _, protocol := range []Protocol{HTTP, HTTPS} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := time.AfterFunc(50*ms, cancel)
		r, err := Run(ctx, Probe{
			Target:  Target{Protocol: protocol, Addr: addr, Host: "x", Path: "/"},
			Options: prober.Options{Every: 5 * ms, Timeout: time.Hour / 60, Slow: time.Minute}, Flows: 3, FlowEvery: ms,
		})
		ended.Stop()
		if err != nil || r.Failed != 0 {
			t.Errorf("protocol %d: %v, %+v", protocol, err, r.Counts)
		}
	}
}

// TestFlows: connections that live are told from those that break, and from those that end in good order.
func TestFlows(t *testing.T) {
	var mu sync.Mutex
	resets, renewals, answers := 0, 0, 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	once := func(n *int) bool { // the first time
		mu.Lock()
		defer mu.Unlock()
		*n++
		return *n == 1
	}
	addr := listen(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		for n := 0; ; n++ {
			q, err := http.ReadRequest(r)
			switch {
			case err != nil:
				return
			case q.Close: // a question, not a flow
			case n == 2 && once(&resets):
				_ = conn.(*net.TCPConn).SetLinger(0)
				return
			case n == 3 && once(&renewals):
				_, _ = io.WriteString(conn, ok+"Content-Length: 0\r\nConnection: close\r\n\r\n")
				return
			}
			_, _ = io.WriteString(conn, ok+"Content-Length: 0\r\n\r\n")
			if mu.Lock(); !q.Close {
				answers++
			}
			if answers == 50 {
				cancel()
			}
			mu.Unlock()
		}
	})
	r, err := Run(ctx, Probe{
		Target:  Target{Protocol: HTTP, Addr: addr, Host: "x", Path: "/"},
		Options: prober.Options{Every: 20 * ms, Timeout: 20 * time.Second, Slow: 20 * time.Second}, Flows: 4, FlowEvery: 5 * ms,
	})
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if f := r.Flows; f.Flows != 4 || f.Unbroken != 3 || f.Breaks != 1 || f.Resets != 1 || f.Answers < 20 || r.Failed != 0 {
		t.Errorf("%+v, %+v", f, r.Counts)
	}
	if renewals == 0 {
		t.Error("no connection ended in good order")
	}
}

// TestTooManySockets: what the limit of open files does not allow is refused before the first question.
func TestTooManySockets(t *testing.T) {
	_, err := Run(t.Context(), Probe{Options: prober.Options{Every: ms, Timeout: 1e6 * time.Hour}})
	if err == nil || !strings.Contains(err.Error(), "ulimit -n") {
		t.Errorf("got %v", err)
	}
}

func FuzzJudge(f *testing.F) {
	f.Add([]byte(ok+"Content-Length: 5\r\n\r\nhello"), true, true)
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"), false, true)
	f.Add([]byte("\x1b[2J\nweb1"), false, false)
	f.Fuzz(func(t *testing.T, in []byte, end, web bool) {
		target := Target{Protocol: TCP, NamedBy: Body}
		if web {
			target.Protocol = HTTP
		}
		server, wrong, err := target.judge(bufio.NewReader(nil), in, end)
		if len(server) > maxServerName || strings.ContainsAny(server, "\x1b\r\n") {
			t.Errorf("named %q", server)
		}
		if err != nil && (end || wrong != nil || !errors.Is(err, errMore)) {
			t.Errorf("waits for more: %v, %v", err, wrong)
		}
	})
}

func TestSockaddr(t *testing.T) {
	if got, ok := sockaddr(netip.MustParseAddrPort("192.0.2.100:80")).(*unix.SockaddrInet4); !ok || got.Port != 80 || got.Addr != [4]byte{192, 0, 2, 100} {
		t.Errorf("IPv4: %+v", got)
	}
	got, ok := sockaddr(netip.MustParseAddrPort("[2001:db8::100]:443")).(*unix.SockaddrInet6)
	if !ok || got.Port != 443 || netip.AddrFrom16(got.Addr) != netip.MustParseAddr("2001:db8::100") {
		t.Errorf("IPv6: %+v", got)
	}
}

func TestExplain(t *testing.T) {
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	_, silent := new(net.Dialer).DialContext(late, "tcp", "127.0.0.1:1")
	for _, c := range []struct {
		err  error
		want string
		own  bool
	}{
		{os.ErrDeadlineExceeded, "no answer", false},
		{silent, "no answer", false},
		{late.Err(), "no answer", false}, // of a TLS handshake
		{io.ErrUnexpectedEOF, "closed without an answer", false},
		{os.NewSyscallError("socket", os.ErrInvalid), "socket: invalid argument", false},
		{errors.New(strings.Repeat("x", 500)), strings.Repeat("x", 120), false},
	} {
		if f := explain(c.err); f.text() != c.want || f.own != c.own {
			t.Errorf("%v: %+v", c.err, f)
		}
	}
}
