// SPDX-License-Identifier: Apache-2.0

// Package probe checks a real server once. There is one file for each protocol.
//
// A server's answer can only make its own check fail: the whole probe ends within its timeout, and a response is read into
// constant memory. If the director lacks something (file descriptors, local ports, certificates), this never counts as a
// failure of the server.
package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
	"github.com/tandem-lvs/tandem/healthcheck/probe/neighbour"
	"github.com/tandem-lvs/tandem/healthcheck/probe/process"
	"github.com/tandem-lvs/tandem/healthcheck/probe/script"
	"github.com/tandem-lvs/tandem/healthcheck/probe/unit"
	"github.com/tandem-lvs/tandem/healthcheck/probe/via"
)

// A Prober probes servers and runs programs. Any number of probes can use one Prober at the same time.
type Prober struct {
	dial      func(ctx context.Context, network string, t *healthcheck.Target) (net.Conn, error)
	programs  *script.Programs
	processes *process.Finder
	units     *unit.Prober
	files     *fileReader
	keys      *keyring
	vips      *via.Prober
}

// New makes a Prober.
func New() *Prober {
	return &Prober{dial: dial, programs: script.New(), processes: process.NewFinder(), units: unit.New(), files: newFileReader(), keys: newKeyring(), vips: via.New()}
}

// Close closes the files that stay open between probes. No probe may be under way. A later probe opens them again.
func (p *Prober) Close() {
	p.vips.Close()
	p.processes.Close()
	p.units.Close()
}

// Probe checks a valid target once. ctx carries the probe's deadline. Once ctx is done, Probe returns at once, or as soon
// as the program of the check is dead. A connection that was begun late has its whole timeout.
func (p *Prober) Probe(ctx context.Context, t *healthcheck.Target) healthcheck.Result {
	res := p.probe(ctx, t)
	if t.Config.IgnoreSilence && res.Outcome == healthcheck.Failed && !res.Decisive {
		return healthcheck.Result{Outcome: healthcheck.NoWord, Reason: res.Reason}
	}
	return res
}

func (p *Prober) probe(ctx context.Context, t *healthcheck.Target) healthcheck.Result {
	network := "tcp"
	switch c := &t.Config; {
	case c.Type == healthcheck.Exec:
		return p.programs.Run(ctx, t)
	case c.Type == healthcheck.File:
		return p.files.probe(ctx, t)
	case c.Type == healthcheck.Process:
		return p.processes.Probe(t)
	case c.Type == healthcheck.Unit:
		return p.units.Probe(ctx, t)
	case c.Via.IsValid() && c.Mark == 0:
		return p.vips.Probe(ctx, t)
	case c.Type == healthcheck.Neighbour:
		return neighbour.Probe(ctx, t)
	case c.Type == healthcheck.Ping:
		return ping(ctx, t)
	case c.Type == healthcheck.UDP, c.Type == healthcheck.RADIUS, c.Type == healthcheck.DNS && !c.Query.TCP:
		network = "udp"
	}
	if t.Config.Via.IsValid() {
		var res healthcheck.Result
		if t, res = via.WithSource(t); res.Outcome != 0 {
			return res
		}
	}
	conn, err := p.dial(ctx, network, t)
	switch {
	case socket.Closed(err):
		// The server accepted the connection and closed it before Dial returned. Whether Dial sees this depends on timing. It
		// must not change the result.
		if t.Config.OnlyConnects() {
			return connected(t)
		}
		return healthcheck.Fail(healthcheck.HungUp, socket.Ending(err)+" "+socket.BeforeResponse)
	case err != nil:
		res := socket.ExplainSilence(ctx, err, t.Config.Timeout, connecting(t))
		res.Silent = res.Silent && (!t.Config.Via.IsValid() || via.Lost(t))
		return res
	}
	socket.Abrupt(conn)
	defer func() { _ = conn.Close() }()
	switch {
	case t.Config.OnlyConnects():
		return connected(t)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: socket.TooLate}
	}
	return p.ask(ctx, conn, t)
}

// ask makes a check on a new connection that is not secured yet.
func (p *Prober) ask(ctx context.Context, conn net.Conn, t *healthcheck.Target) healthcheck.Result {
	plain, expire := conn, conn.SetDeadline
	stop := context.AfterFunc(ctx, func() { _ = expire(time.Unix(1, 0)) })
	defer stop()
	if _, stream := conn.(*net.TCPConn); stream { // a library may ask whether a connection carries datagrams
		conn = socket.LastLook{Conn: conn}
	}
	if t.Config.Proxy != 0 {
		if res := announce(ctx, conn, t); res.Outcome != 0 {
			return res
		}
	}
	if t.Config.TLS.On {
		secured, res := p.secure(ctx, conn, t)
		if secured == nil {
			return res
		}
		conn = secured
	}
	defer takeLeave(plain, conn, t)
	return talk(ctx, conn, t)
}

// takeLeave tells a server, before the connection is reset, that a conversation has ended. Databases log clients that they lose
// without that.
func takeLeave(plain, conn net.Conn, t *healthcheck.Target) {
	if len(t.Config.Steps) == 0 {
		return
	}
	if secured, ok := conn.(*tls.Conn); ok {
		_ = secured.CloseWrite()
	}
	socket.EndSending(plain)
}

// talk runs the protocol of a check on a connection and judges the answer. The connection's deadline follows ctx.
func talk(ctx context.Context, conn net.Conn, t *healthcheck.Target) healthcheck.Result {
	switch t.Config.Type {
	case healthcheck.HTTP, healthcheck.HTTPS:
		if t.Config.Version == healthcheck.HTTP2 {
			return exchange2(ctx, conn, t)
		}
		return exchange(ctx, conn, t)
	case healthcheck.GRPC:
		return askHealth(ctx, conn, t)
	case healthcheck.DNS:
		return resolve(ctx, conn, t)
	case healthcheck.SMTP:
		return greet(ctx, conn, t)
	case healthcheck.UDP:
		return sendDatagram(ctx, conn, t)
	case healthcheck.RADIUS:
		return authenticate(ctx, conn, t)
	case healthcheck.Agent:
		return askAgent(ctx, conn, t)
	}
	return converse(ctx, conn, t)
}

// connected returns the result of a check that only connects.
func connected(t *healthcheck.Target) healthcheck.Result {
	if t.Config.Via.IsValid() {
		return healthcheck.Pass(via.Connected)
	}
	return healthcheck.Pass("connected")
}

// connecting returns what a probe does until it is connected, in the words of the reason for a timeout.
func connecting(t *healthcheck.Target) string {
	if t.Config.Via.IsValid() {
		return via.Connecting
	}
	return "connecting"
}
