// SPDX-License-Identifier: Apache-2.0

// Package ask sends the questions of a probe to a service, and keeps the time.
//
// Questions over TCP, UDP and plain HTTP go by non-blocking sockets on one thread, which does nothing else: 1000 new connections a
// second cost some percent of a core. HTTPS and long-lived flows have a goroutine each.
package ask

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"unicode"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober"
)

// A Protocol is how a service is asked.
type Protocol uint8

// The protocols.
const (
	TCP Protocol = iota + 1
	UDP
	HTTP
	HTTPS
)

// A Target is a service, and the question for it.
type Target struct {
	Protocol Protocol
	Addr     netip.AddrPort
	Host     string // of HTTP and HTTPS: the service's name, perhaps with a port
	Path     string // of HTTP and HTTPS
	Data     []byte // of TCP and UDP: what is sent. Over TCP without Data, a connection is the answer.
	NamedBy  string // what names the real server: Body, or a field of the HTTP header; empty: nothing
	Insecure bool   // of HTTPS: the certificate is not verified
}

// Body says that the first line of an answer is the real server's name.
const Body = "body"

func (t Target) String() string {
	switch t.Protocol {
	case TCP:
		return "tcp " + t.Addr.String()
	case UDP:
		return "udp " + t.Addr.String()
	}
	url := "http://" + t.Host + t.Path
	if t.Protocol == HTTPS {
		url = "https://" + t.Host + t.Path
	}
	if strings.HasPrefix(t.Addr.String(), t.Host) {
		return url
	}
	return url + " at " + t.Addr.String()
}

// request returns what is sent. keep says that another request follows on the same connection.
func (t Target) request(keep bool) []byte {
	if t.Protocol == TCP || t.Protocol == UDP {
		return t.Data
	}
	connection := "close"
	if keep {
		connection = "keep-alive"
	}
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: tandem-probe\r\nAccept: */*\r\nConnection: %s\r\n\r\n",
		t.Path, t.Host, connection)
}

// A failure is why a question failed.
type failure struct {
	cause    prober.Cause
	detail   string
	own      bool // the prober's own fault, not that of the service
	answered bool // there was an answer, though a wrong one
}

const (
	// maxAnswer is how much of an answer is read. A longer one counts as complete then.
	maxAnswer = 64 << 10
	// maxServerName is the maximum length of a real server's name.
	maxServerName = 64
)

// errMore says that the answer is not complete.
var errMore = errors.New("the answer is not complete")

// judge reads an answer, of which in has come so far. end says that no more will come. The error is errMore: the answer is not
// complete.
func (t Target) judge(r *bufio.Reader, in []byte, end bool) (server string, wrong *failure, err error) {
	if t.Protocol == TCP || t.Protocol == UDP {
		if len(in) == 0 && t.Protocol == TCP && end {
			return "", &failure{cause: prober.Closed}, nil
		}
		return t.named(nil, in), nil, nil
	}
	switch {
	case end && len(in) == 0:
		return "", &failure{cause: prober.Closed}, nil
	case !bytes.Contains(in, []byte("\r\n\r\n")) && !end && len(in) < maxAnswer:
		return "", nil, errMore
	}
	r.Reset(bytes.NewReader(in))
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return "", &failure{cause: prober.Wrong, detail: "not an HTTP response"}, nil
	}
	body, err := io.ReadAll(response.Body)
	unbounded := response.ContentLength < 0 && len(response.TransferEncoding) == 0
	if !end && len(in) < maxAnswer && (unbounded || err != nil) {
		return "", nil, errMore
	}
	if end && err != nil {
		return "", &failure{cause: prober.Wrong, detail: "closed within the answer"}, nil
	}
	return t.named(response.Header, body), badStatus(response.StatusCode), nil
}

// badStatus returns the failure of a status that is none of success. A redirect is a success: the service answers.
func badStatus(code int) *failure {
	if code >= 200 && code < 400 {
		return nil
	}
	return &failure{cause: prober.Wrong, detail: fmt.Sprintf("status %d", code), answered: true}
}

// named returns the real server's name from an answer; "" if the answer has none.
func (t Target) named(header http.Header, body []byte) string {
	name := header.Get(t.NamedBy)
	if t.NamedBy == Body {
		line, _, _ := bytes.Cut(body, []byte("\n"))
		name = string(line[:min(len(line), maxServerName)])
	}
	name = strings.TrimSpace(strings.ToValidUTF8(name, "?"))
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, name[:min(len(name), maxServerName)])
}

// explain returns the failure that an error means.
func explain(err error) *failure {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return explainErrno(errno)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return &failure{cause: prober.TimedOut}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &failure{cause: prober.Closed}
	}
	text := []rune(err.Error())
	return &failure{cause: prober.Wrong, detail: string(text[:min(len(text), 120)])}
}

func explainErrno(errno syscall.Errno) *failure {
	switch errno {
	case syscall.ECONNREFUSED:
		return &failure{cause: prober.Refused}
	case syscall.ECONNRESET, syscall.EPIPE:
		return &failure{cause: prober.Reset}
	case syscall.ETIMEDOUT:
		return &failure{cause: prober.TimedOut}
	case syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN, syscall.EACCES, syscall.EPERM:
		return &failure{cause: prober.Unreachable, detail: errno.Error()}
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL:
		return &failure{own: true, detail: errno.Error()}
	}
	return &failure{cause: prober.Wrong, detail: errno.Error()}
}
