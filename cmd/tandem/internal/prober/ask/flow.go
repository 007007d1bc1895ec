// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"time"
)

// flowPatience is how long a flow waits for an answer. TCP sends lost data again: a flow outlives outages of many seconds.
const flowPatience = 30 * time.Second

// dial connects to the service.
func (a *asker) dial(ctx context.Context) (net.Conn, error) {
	network := "tcp"
	if a.Protocol == UDP {
		network = "udp"
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, a.Addr.String())
	if err != nil {
		return nil, err
	}
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0) // see connect
	}
	if a.Protocol != HTTPS {
		return conn, nil
	}
	name, _, err := net.SplitHostPort(a.Host)
	if err != nil {
		name = a.Host
	}
	secured := tls.Client(conn, &tls.Config{ServerName: name, InsecureSkipVerify: a.Insecure})
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}

// exchange asks a question on a connection, and reads the answer. closing says that the server ends the connection after it.
func (a *asker) exchange(conn net.Conn, r *bufio.Reader, keep bool) (server string, closing bool, f *failure) {
	if _, err := conn.Write(a.Target.request(keep)); err != nil {
		return "", true, explain(err)
	}
	if a.Protocol == TCP || a.Protocol == UDP {
		answer := make([]byte, 4096)
		n, err := r.Read(answer)
		if err != nil {
			return "", true, explain(err)
		}
		return a.named(nil, answer[:n]), false, nil
	}
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return "", true, explain(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
	}
	if err != nil {
		return "", true, explain(err)
	}
	return a.named(response.Header, body), response.Close, badStatus(response.StatusCode)
}

// cut makes a connection fail once ctx is done.
func cut(ctx context.Context, conn net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
}

// askOnce asks question n on a new connection, and reports the end.
func (a *asker) askOnce(n int) {
	ctx, cancel := context.WithTimeout(a.ctx, a.Timeout)
	defer cancel()
	server, f := a.onceOn(ctx)
	if ctx.Err() != nil {
		return // the ledger knows the timeout by itself
	}
	a.inbox.post(func() {
		if f != nil {
			a.failed(n, f)
		} else {
			a.ledger.Answer(n, a.now(), server)
		}
	})
}

func (a *asker) onceOn(ctx context.Context) (server string, f *failure) {
	conn, err := a.dial(ctx)
	if err != nil {
		return "", explain(err)
	}
	defer conn.Close()
	defer cut(ctx, conn)()
	server, _, f = a.exchange(conn, bufio.NewReader(conn), false)
	return server, f
}

// keepFlow keeps flow i connected until the probe ends.
func (a *asker) keepFlow(i int) {
	wait := a.FlowEvery * time.Duration(i) / time.Duration(a.Flows) // not all at once
	for pause(a.ctx, wait) {
		ctx, cancel := context.WithTimeout(a.ctx, flowPatience)
		conn, err := a.dial(ctx)
		cancel()
		if a.ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return
		}
		now := a.now()
		if err != nil {
			f := explain(err)
			a.inbox.post(func() { a.flows.Broke(i, now, f.cause, "not connected: "+f.text()) })
			wait = a.FlowEvery
			continue
		}
		a.inbox.post(func() { a.flows.Connected(i, now) })
		wait = a.converse(i, conn)
		_ = conn.Close()
	}
}

// converse exchanges data on a connection until it ends. It returns how long to wait before the next one.
func (a *asker) converse(i int, conn net.Conn) (wait time.Duration) {
	defer cut(a.ctx, conn)()
	r := bufio.NewReader(conn)
	for due := a.now(); pause(a.ctx, due-a.now()); due = max(due+a.FlowEvery, a.now()) {
		asked := a.now()
		a.inbox.post(func() { a.flows.Asked(i, asked) })
		_ = conn.SetDeadline(time.Now().Add(flowPatience))
		if a.ctx.Err() != nil { // the deadline of cut was perhaps replaced
			return 0
		}
		_, closing, f := a.exchange(conn, r, true)
		now := a.now()
		switch {
		case a.ctx.Err() != nil:
			return 0
		case f == nil, f.answered:
			a.inbox.post(func() { a.flows.Answered(i, now) })
			if closing {
				a.inbox.post(func() { a.flows.Renewed(i) })
				return a.FlowEvery
			}
		default:
			a.inbox.post(func() { a.flows.Broke(i, now, f.cause, f.detail) })
			return min(a.FlowEvery, 100*time.Millisecond)
		}
	}
	return 0
}

// text says what a failure is.
func (f *failure) text() string {
	if f.detail != "" {
		return f.detail
	}
	return f.cause.String()
}

// pause waits. It returns false once ctx is done.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
