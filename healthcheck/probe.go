// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"time"
)

// An outcome is what a probe came to.
type outcome uint8

const (
	passed    outcome = iota + 1
	failed            // the server's failure
	notRun            // the director had no file descriptor, memory, local port or certificate for it
	abandoned         // cancelled before it knew
)

// A result is an outcome in words. The words hold nothing that differs from one probe to the next of the same kind (no
// local port, no bytes of the server's; what a program says of its failure excepted), so that they repeat while the
// cause does.
type result struct {
	outcome  outcome
	reason   string
	silent   bool // nothing at all came back from the address
	decisive bool // the server itself says so: it counts without others in a row
	advice   Advice
	panic    *panicked // what the probe ended in, or nil
}

// A panicked is a panic that was contained.
type panicked struct {
	value any
	stack []byte
}

func pass(reason string) result { return result{outcome: passed, reason: reason} }
func fail(reason string) result { return result{outcome: failed, reason: reason} }

// hungUpEarly is the reason of servers that end a connection without a word.
const hungUpEarly = "connection closed before a response"

// A prober talks to servers and runs programs. One serves any number of probes at the same time.
type prober struct {
	dial     func(ctx context.Context, network string, t Target) (net.Conn, error)
	programs *programs
	keys     *keyring
	ears     *ears
}

func newProber() prober {
	return prober{dial: dial, programs: newPrograms(), keys: newKeyring(), ears: newEars()}
}

// close lets go of what outlives a probe. No probe may be under way; later ones are welcome.
func (p prober) close() { p.ears.close() }

// probe checks a valid target once. ctx carries the probe's deadline; once it is done, probe returns at once, or as soon
// as the program is dead.
func (p prober) probe(ctx context.Context, t Target) result {
	network := "tcp"
	switch c := t.Config; {
	case c.Type == Exec:
		return p.programs.run(ctx, t)
	case c.Via.IsValid() && c.Mark == 0:
		return p.ears.knock(ctx, t)
	case c.Type == Ping:
		return ping(ctx, t)
	case c.Type == UDP, c.Type == DNS && !c.Query.TCP:
		network = "udp"
	}
	if t.Config.Via.IsValid() {
		var res result
		if t, res = aim(t); res.outcome != 0 {
			return res
		}
	}
	conn, err := p.dial(ctx, network, t)
	switch {
	case closed(err):
		// Connected, but the server hung up before Dial returned. Had it been slower, connecting would have gone well: the
		// result must not depend on that.
		if t.Config.OnlyConnects() {
			return pass(t.connected())
		}
		return fail(hungUpEarly)
	case err != nil:
		res := explain(ctx, err, t.Config.Timeout, t.connecting())
		res.silent = res.outcome == failed && silence(err) && (!t.Config.Via.IsValid() || t.unresolved())
		return res
	}
	abrupt(conn)
	defer func() { _ = conn.Close() }()
	if t.Config.OnlyConnects() {
		return pass(t.connected())
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if t.Config.TLS.On {
		secured, res := p.secure(ctx, conn, t)
		if secured == nil {
			return res
		}
		return talk(ctx, secured, t)
	}
	return talk(ctx, conn, t)
}

// talk says to a connected server what the check has to say, and judges the answer. The connection's deadline follows ctx.
func talk(ctx context.Context, conn net.Conn, t Target) result {
	switch t.Config.Type {
	case HTTP, HTTPS:
		if t.Config.Version == HTTP2 {
			return exchange2(ctx, conn, t)
		}
		return exchange(ctx, conn, t)
	case GRPC:
		return askHealth(ctx, conn, t)
	case DNS:
		return resolve(ctx, conn, t)
	case SMTP:
		return greet(ctx, conn, t)
	case UDP:
		return sendDatagram(ctx, conn, t)
	case Agent:
		return askAgent(ctx, conn, t)
	}
	return converse(ctx, conn, t)
}

// connected puts a success into words, connecting what is done before it.
func (t Target) connected() string {
	if t.Config.Via.IsValid() {
		return throughVIP
	}
	return "connected"
}

func (t Target) connecting() string {
	if t.Config.Via.IsValid() {
		return connectingToVIP
	}
	return "connecting"
}

// OnlyConnects tells the checks that have nothing to say. Through the VIP they can do without a service of IPVS.
func (c Config) OnlyConnects() bool { return c.Type == TCP && c.Send == "" && c.Expect == "" }

// abrupt has a connection end without the courtesy of a FIN, whoever closes it: a probe must leave no TIME_WAIT behind, on
// the director or, by the thousand, on the server, and a body that nobody reads must stop coming.
func abrupt(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// explain puts into words what went wrong while doing something.
func explain(ctx context.Context, err error, timeout time.Duration, doing string) result {
	var errno syscall.Errno
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return result{outcome: abandoned}
	case errors.As(err, &errno) && ours(errno):
		return result{outcome: notRun, reason: errno.Error()}
	case errno != 0:
		return fail(errno.Error())
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fail(timedOut(timeout, doing))
	case refusedTLS(err) != "":
		return fail(refusedTLS(err))
	}
	// What is left names addresses only in its outer layers.
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return fail(err.Error())
}

func timedOut(timeout time.Duration, doing string) string {
	return fmt.Sprintf("timeout after %s while %s", timeout, doing)
}

// hungUp puts into words how an answer ended too soon: by the peer's closing, or otherwise.
func hungUp(ctx context.Context, err error, t Target, closedWords, doing string) result {
	if closed(err) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fail(closedWords)
	}
	return explain(ctx, err, t.Config.Timeout, doing)
}

// ours tells the errors that speak of the director and not of the server.
func ours(errno syscall.Errno) bool {
	switch errno {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL, syscall.EAGAIN:
		return true
	}
	return false
}

// silence tells the errors of connecting that mean that no machine answered; a refusal is an answer.
func silence(err error) bool {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return slices.Contains([]syscall.Errno{
			syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN, syscall.ETIMEDOUT,
		}, errno)
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// closed tells the ways in which a peer ends a connection. Which of them shows depends on whether its FIN or its RST
// comes first, so they must read the same.
func closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
