// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
)

// handshake makes a connection secure, and introduces both sides. It returns who the other side is.
func (l *Link) handshake(ctx context.Context, raw net.Conn, as role) (*tls.Conn, *message.Hello, error) {
	settings, err := credentials(l.Config, as)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.Timing.Patience)
	defer cancel()
	conn, other := tls.Client(raw, settings), accepting
	if as == accepting {
		conn, other = tls.Server(raw, settings), dialing
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, nil, explain(err)
	}
	_ = conn.SetDeadline(time.Now().Add(l.Timing.Patience))
	mine, err := proof(l.Config, conn.ConnectionState(), as)
	if err == nil {
		err = write(conn, l.hello(mine))
	}
	if err != nil {
		return nil, nil, explain(err)
	}
	m, err := read(conn, message.MaxHello)
	if err != nil {
		return nil, nil, explain(err)
	}
	if err := l.meet(m.Hello); err != nil {
		return nil, nil, err
	}
	if err := prove(l.Config, conn.ConnectionState(), other, m.Hello.Proof); err != nil {
		return nil, nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, m.Hello, nil
}

func write(w io.Writer, m message.Message) error {
	octets, err := message.Encode(m)
	if err == nil {
		_, err = w.Write(octets)
	}
	return err
}

func read(r io.Reader, most int) (message.Message, error) {
	n, err := message.ReadLength(r, most)
	if err != nil {
		return message.Message{}, err
	}
	return message.ReadBody(r, n)
}

// A faultError is an error with a known cause.
type faultError struct {
	fault message.Fault
	text  string
}

func (e *faultError) Error() string { return e.text }

func faulty(f message.Fault, format string, args ...any) error {
	return &faultError{f, fmt.Sprintf(format, args...)}
}

// down is the state of a connection after an error.
func down(err error) Half {
	h := Half{Problem: err.Error()}
	var e *faultError
	if errors.As(err, &e) {
		h.Fault = e.fault
	}
	return h
}

// explain says what an error of a connection means, and what to do.
func explain(err error) error {
	var alert tls.AlertError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errOtherKey):
		return errOtherKey
	case errors.As(err, &certificate):
		return faulty(message.FaultCertificate, "its certificate does not fit: %v", certificate.Err)
	case errors.As(err, &alert), strings.HasPrefix(err.Error(), "remote error: tls: "):
		return faulty(message.FaultRefused, "it refuses our key or certificate: both directors need the same key, or certificates that fit (%s)",
			strings.TrimPrefix(err.Error(), "remote error: "))
	case errors.Is(err, syscall.ECONNREFUSED):
		return faulty(message.FaultNobody, "nobody listens there: look whether tandem runs there, with [peer]")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return faulty(message.FaultSilent, "it does not answer: look at the network, and for a firewall between the directors")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errors.New("it closed the connection")
	}
	return err
}

// userTimeout makes the kernel end a connection whose octets nobody acknowledges (RFC 5482).
func userTimeout(limit time.Duration) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(limit.Milliseconds()))
		})
		return errors.Join(err, failed)
	}
}
