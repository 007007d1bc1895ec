// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A question is what a client asks through the address.
type question struct {
	name string
	ask  func(context.Context) (answer string, err error)
}

// dial opens a connection from a host.
func dial(ctx context.Context, from *lab.Host, network, address string) (conn net.Conn, err error) {
	doErr := from.Do(func() error {
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	if doErr != nil {
		return nil, doErr
	}
	if deadline, ok := ctx.Deadline(); ok {
		err = conn.SetDeadline(deadline)
	}
	return conn, err
}

// get asks a web server on a connection of its own.
func (s *scene) get(url string) question {
	return question{url, func(ctx context.Context) (string, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return "", err
		}
		req.Close = true
		address := req.URL.Host
		if req.URL.Port() == "" {
			address = net.JoinHostPort(req.URL.Hostname(), "80")
		}
		conn, err := dial(ctx, s.client, "tcp", address)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		if req.URL.Scheme == "https" {
			// The certificates are those of the stand-ins.
			conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
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
	}}
}

// greeting asks a server of MariaDB for its greeting, which begins with the number of its protocol.
func (s *scene) greeting(address string) question {
	return question{address, func(ctx context.Context) (string, error) {
		conn, err := dial(ctx, s.client, "tcp", address)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		var head [5]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return "", err
		}
		if head[4] != 10 {
			return "", fmt.Errorf("protocol %d", head[4])
		}
		return "", nil
	}}
}

// lookUp asks a name server for a text.
func (s *scene) lookUp(network, server, name string) question {
	return question{"DNS over " + network, func(ctx context.Context) (string, error) {
		conn, err := dial(ctx, s.client, network, server)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		m := new(dns.Msg)
		m.SetQuestion(name, dns.TypeTXT)
		c := &dns.Conn{Conn: conn}
		if err := c.WriteMsg(m); err != nil {
			return "", err
		}
		answer, err := c.ReadMsg()
		if err != nil {
			return "", err
		}
		for _, rr := range answer.Answer {
			if txt, ok := rr.(*dns.TXT); ok {
				return strings.Join(txt.Txt, ""), nil
			}
		}
		return "", errors.New("no text in the answer: " + dns.RcodeToString[answer.Rcode])
	}}
}

// An asked is one question that a client has asked.
type asked struct {
	when time.Time
	err  error
}

// A watch asks questions again and again.
type watch struct {
	stop  chan struct{}
	group sync.WaitGroup

	mu  sync.Mutex
	all [][]asked // of each question, in their order
}

// watch asks all questions of the deployment until stopped. Each has the same limit, and does not wait for those before it.
func (s *scene) watch() *watch {
	w := &watch{stop: make(chan struct{}), all: make([][]asked, len(s.questions))}
	for i, q := range s.questions {
		w.group.Go(func() {
			ticker := time.NewTicker(s.every)
			defer ticker.Stop()
			for {
				select {
				case <-w.stop:
					return
				case <-ticker.C:
				}
				w.group.Go(func() { w.ask(i, q, s.limit) })
			}
		})
	}
	return w
}

func (w *watch) ask(i int, q question, limit time.Duration) {
	w.mu.Lock()
	n := len(w.all[i])
	w.all[i] = append(w.all[i], asked{when: time.Now()})
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	_, err := q.ask(ctx)
	w.mu.Lock()
	w.all[i][n].err = err
	w.mu.Unlock()
}

// end waits for the open questions, and returns the longest time for which one of the questions had no answer.
func (w *watch) end() outage {
	close(w.stop)
	w.group.Wait()
	var all outage
	for _, one := range w.all {
		o := longest(one)
		if all.asked += o.asked; o.length > all.length {
			all.length, all.err = o.length, o.err
		}
		all.lost += o.lost
	}
	return all
}

// An outage is what a client has seen.
type outage struct {
	asked, lost int
	length      time.Duration // from the first question of a series without answers to the next one with an answer
	err         error         // of the first of them
}

func longest(all []asked) (o outage) {
	o.asked = len(all)
	var began time.Time
	var first error
	for i, q := range all {
		if q.err != nil {
			o.lost++
			if began.IsZero() {
				began, first = q.when, q.err
			}
		}
		if last := i == len(all)-1; !began.IsZero() && (q.err == nil || last) {
			if d := q.when.Sub(began); d > o.length {
				o.length, o.err = d, first
			}
			began = time.Time{}
		}
	}
	return o
}

// throughDirector returns which director has asked a stand-in. An answer is "NAME ADDRESS", with the director's own address.
func throughDirector(answer string) (letter string) {
	_, from, _ := strings.Cut(answer, " ")
	addr, err := netip.ParseAddr(from)
	if err != nil {
		return ""
	}
	return map[byte]string{2: "a", 3: "b"}[addr.AsSlice()[addr.BitLen()/8-1]]
}
