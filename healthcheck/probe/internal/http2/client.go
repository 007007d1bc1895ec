// SPDX-License-Identifier: Apache-2.0

// Package http2 sends one request by HTTP/2 on a connection, and holds the server to the rules (RFC 9113).
//
// The library reads and writes the frames. This package decides what they mean, in constant memory. So a result says what the
// server did, not what the library made of it, and the library writes nothing into the director's log.
package http2

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/words"
)

const (
	// maxHeaders is the longest list of header fields, in bytes.
	maxHeaders = 64 << 10
	// window is how much of a body the server may send ahead: the initial size of every window.
	window = 65535
	// maxWindow is the largest window (RFC 9113, section 6.9.1).
	maxWindow = 1<<31 - 1
	// maxIdle is how many frames in a row may say nothing about the request.
	maxIdle = 1000
)

// A Request is a request. Fields are in order, pseudo-header fields first, names in lower case.
type Request struct {
	Fields []hpack.HeaderField
	Body   string
}

// A Malformed says which rule the server breaks.
type Malformed struct{ What string }

func (e *Malformed) Error() string { return "malformed response: " + e.What }

// A Refused says how the server refuses the request.
type Refused struct {
	Frame http2.FrameType
	Code  http2.ErrCode
}

func (e *Refused) Error() string { return fmt.Sprintf("refused: %s %s", e.Frame, e.Code) }

// A Stream is the request that is under way, and its response.
type Stream struct {
	conn   net.Conn
	framer *http2.Framer
	begin  words.Beginning
	shaken bool // the server's first SETTINGS frame has come
	idle   int

	unsent       string
	room, shared int64 // what the server lets the request's body take: on the stream, and on the connection
	initial      int64 // the server's initial window
	maxFrame     int

	left   int64 // what the server may still send
	ended  bool  // by the server
	head   bool  // the method is HEAD
	header bool  // the final header has come
	data   []byte
	length int64 // of the body, as announced; -1: not
	got    int64

	// Status and Fields are those of the final response.
	Status int
	Fields []hpack.HeaderField
	// Trailers are the fields behind the body, complete once Read returns io.EOF.
	Trailers []hpack.HeaderField
}

// hear records what the server sends first.
func (s *Stream) hear(conn net.Conn) io.Reader {
	return readerFunc(func(b []byte) (int, error) {
		n, err := conn.Read(b)
		s.begin.Add(b[:n])
		return n, err
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// Send sends a request on a new connection, where the connection's deadline lets it. The error is the connection's.
func Send(conn net.Conn, r Request) (*Stream, error) {
	s := &Stream{
		conn: conn, unsent: r.Body, room: window, shared: window, initial: window, maxFrame: 16 << 10, left: window, length: -1,
	}
	if method, _ := Value(r.Fields, ":method"); method == "HEAD" {
		s.head = true
	}
	var out bytes.Buffer
	out.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&out, nil)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range r.Fields {
		if err := encoder.WriteField(f); err != nil {
			return nil, err
		}
	}
	err := framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxHeaders})
	first, rest := cut(block.Bytes(), s.maxFrame)
	if err == nil {
		err = framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: 1, BlockFragment: first, EndStream: r.Body == "", EndHeaders: len(rest) == 0,
		})
	}
	for err == nil && len(rest) > 0 {
		first, rest = cut(rest, s.maxFrame)
		err = framer.WriteContinuation(1, len(rest) == 0, first)
	}
	if err != nil {
		return nil, err
	}
	s.framer = http2.NewFramer(conn, bufio.NewReaderSize(s.hear(conn), 4096))
	s.framer.SetMaxReadFrameSize(16 << 10)
	s.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	s.framer.MaxHeaderListSize = maxHeaders
	s.framer.SetReuseFrames()
	_, err = conn.Write(out.Bytes())
	return s, err
}

func cut(b []byte, most int) (first, rest []byte) {
	n := min(len(b), most)
	return b[:n], b[n:]
}

// flush sends as much of the request's body as the server lets it. Errors show when the answer is read.
func (s *Stream) flush() {
	for s.unsent != "" {
		n := int(min(int64(len(s.unsent)), s.room, s.shared, int64(s.maxFrame)))
		if n <= 0 {
			return
		}
		if s.framer.WriteData(1, n == len(s.unsent), []byte(s.unsent[:n])) != nil {
			s.unsent = ""
			return
		}
		s.unsent = s.unsent[n:]
		s.room -= int64(n)
		s.shared -= int64(n)
	}
}

// Response reads until the header of the final response is complete. Its errors are *Malformed, *Refused, and those of the
// connection.
func (s *Stream) Response() error {
	for !s.header {
		if err := s.next(); err != nil {
			return err
		}
	}
	return nil
}

// Read reads the body of the response, after Response.
func (s *Stream) Read(b []byte) (int, error) {
	for len(s.data) == 0 {
		if s.ended {
			return 0, io.EOF
		}
		if err := s.next(); err != nil {
			if err == io.EOF { // the connection, not the body, has ended
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
	}
	n := copy(b, s.data)
	s.data = s.data[n:]
	return n, nil
}

// Value returns the value of a header or trailer field that must not come twice.
func Value(fields []hpack.HeaderField, name string) (value string, times int) {
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			value = f.Value
			times++
		}
	}
	return value, times
}

// Silent reports whether the server has sent nothing.
func (s *Stream) Silent() bool { return s.begin.Empty() }
