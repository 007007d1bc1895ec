// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// standIn runs a web server that stands in for a server behind the proxies. Its page is its name and the address that asked.
func (s *scene) standIn(h *lab.Host, port int, secure bool) {
	var l net.Listener
	s.must(h.Do(func() (err error) {
		l, err = net.Listen("tcp4", fmt.Sprintf(":%d", port))
		return err
	}))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintf(w, "%s %s", h.Name, from)
	}))
	_ = server.Listener.Close()
	server.Listener = l
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that lost their proxy
	if secure {
		server.StartTLS()
	} else {
		server.Start()
	}
	s.t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
}

// A mail is what the sink was sent.
type mail struct {
	from    string
	to      []string
	subject string
}

// A mailSink takes mails, as the mail server of a site does.
type mailSink struct {
	mu    sync.Mutex
	mails []mail
}

// mailSink listens at port 25 of a host.
func (s *scene) mailSink(h *lab.Host) *mailSink {
	var l net.Listener
	s.must(h.Do(func() (err error) {
		l, err = net.Listen("tcp4", ":25")
		return err
	}))
	sink := &mailSink{}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { sink.serve(conn) })
		}
	})
	s.t.Cleanup(func() {
		_ = l.Close()
		running.Wait()
	})
	return sink
}

// serve speaks as much of SMTP as a client needs (RFC 5321).
func (k *mailSink) serve(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	in := bufio.NewScanner(conn)
	say := func(line string) { _, _ = fmt.Fprintf(conn, "%s\r\n", line) }
	say("220 mail.example.net ESMTP")
	var m mail
	for in.Scan() {
		line := in.Text()
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO", "HELO":
			say("250 mail.example.net")
		case "MAIL":
			m = mail{from: between(rest)}
			say("250 ok")
		case "RCPT":
			m.to = append(m.to, between(rest))
			say("250 ok")
		case "DATA":
			say("354 go on")
			for in.Scan() && in.Text() != "." {
				if subject, ok := strings.CutPrefix(in.Text(), "Subject: "); ok && m.subject == "" {
					m.subject = subject
				}
			}
			k.mu.Lock()
			k.mails = append(k.mails, m)
			k.mu.Unlock()
			say("250 ok")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

// between returns the address of "FROM:<address>".
func between(s string) string {
	_, s, _ = strings.Cut(s, "<")
	s, _, _ = strings.Cut(s, ">")
	return s
}

// received returns the mails so far.
func (k *mailSink) received() []mail {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]mail(nil), k.mails...)
}

// aboutState matches the subjects of both programs: "[lb1] router web: master", "[lb1] VRRP Instance web - Entering MASTER state".
var aboutState = regexp.MustCompile(`(?i)^\[(\S+)\] (?:router|VRRP Instance) (\S+?):? .*?\b(master|backup|fault|stop)\b`)
