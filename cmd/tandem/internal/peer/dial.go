// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
)

// dial keeps the connection to the other director until ctx ends. The other director connects back at once, and tries again only after
// a pause if nobody listens here. So dial waits until this director listens, but not for long: peer.listen may be a name, and the name
// server slow.
func (l *Link) dial(ctx context.Context, bound <-chan struct{}) error {
	select {
	case <-ctx.Done():
		return nil
	case <-bound:
	case <-time.After(l.Timing.Patience):
	}
	first := l.Timing.Reconnect / 16
	pause := first
	for {
		began := time.Now()
		err := l.send(ctx)
		if ctx.Err() != nil {
			return nil
		}
		l.change(func(c *Channel) { c.To = down(err) })
		if time.Since(began) > l.Timing.Reconnect {
			pause = first
		}
		select {
		case <-ctx.Done():
			return nil
		case <-l.nudged:
		case <-time.After(pause/2 + rand.N(pause/2+1)):
		}
		pause = min(2*pause, l.Timing.Reconnect)
	}
}

// send makes one connection, and tells the other director everything, until the connection fails.
func (l *Link) send(ctx context.Context) error {
	d := net.Dialer{Timeout: l.Timing.Patience, Control: userTimeout(l.Timing.Silence)}
	if own, err := netip.ParseAddrPort(l.Config.Listen); err == nil && !own.Addr().IsUnspecified() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(own.Addr(), 0)) // the other side knows it
	}
	raw, err := d.DialContext(ctx, "tcp", l.Config.Address.String())
	if err != nil {
		if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
			err = context.DeadlineExceeded
		}
		return explain(err)
	}
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	defer raw.Close()
	conn, hello, err := l.handshake(ctx, raw, dialing)
	if err != nil {
		return err
	}
	l.asks.begin() // before the state says that questions can be asked
	l.change(func(c *Channel) { c.To, c.Peer = Half{Up: true}, *hello })
	ended := make(chan error, 1)
	go func() {
		defer close(ended)
		ended <- end(conn)
	}()
	defer func() {
		_ = raw.Close()
		for range ended {
		}
	}()
	err = l.speak(ctx, conn, ended)
	l.asks.end(err)
	return err
}

// end waits for the end of a connection on which the other side says nothing more.
func end(conn *tls.Conn) error {
	n, err := io.CopyN(io.Discard, conn, 1)
	if n > 0 {
		return errors.New("it speaks where it should listen")
	}
	if err == nil {
		err = io.EOF
	}
	return explain(err)
}

// speak sends each new message, and signs of life, until the connection ends.
func (l *Link) speak(ctx context.Context, conn *tls.Conn, ended <-chan error) error {
	say := func(m message.Message) error {
		if err := conn.SetWriteDeadline(time.Now().Add(l.Timing.Patience)); err != nil {
			return err
		}
		return write(conn, l.stamp(m))
	}
	alive := time.NewTicker(l.Timing.Alive)
	defer alive.Stop()
	sent := uint64(0)
	if err := say(message.Message{Kind: message.KindAlive}); err != nil {
		return explain(err)
	}
	for {
		fresh, last, changed := l.Out.after(sent)
		for _, m := range fresh {
			if err := say(m); err != nil {
				return explain(err)
			}
		}
		sent = last
		if m, ok := l.asks.next(); ok {
			if err := say(m); err != nil {
				return explain(err)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			return err
		case <-changed:
		case <-l.asks.queued:
		case <-alive.C:
			if err := say(message.Message{Kind: message.KindAlive}); err != nil {
				return explain(err)
			}
		}
	}
}
