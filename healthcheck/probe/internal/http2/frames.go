// SPDX-License-Identifier: Apache-2.0

package http2

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/net/http2"

	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/http1"
)

// malformed returns an error about a rule.
func malformed(format string, args ...any) error { return &Malformed{fmt.Sprintf(format, args...)} }

// next takes the next frame.
func (s *Stream) next() error {
	s.flush()
	frame, err := s.framer.ReadFrame()
	if err != nil {
		return s.explain(err)
	}
	if settings, ok := frame.(*http2.SettingsFrame); !s.shaken && (!ok || settings.IsAck()) {
		return s.notHTTP2() // RFC 9113, section 3.4
	}
	s.shaken = true
	if s.idle++; s.idle > maxIdle {
		return malformed("more than %d frames without an answer", maxIdle)
	}
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		return s.takeSettings(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			_ = s.framer.WritePing(true, f.Data)
		}
	case *http2.WindowUpdateFrame:
		return s.takeWindow(f)
	case *http2.GoAwayFrame:
		if f.ErrCode != http2.ErrCodeNo || f.LastStreamID < 1 {
			return &Refused{f.Type, f.ErrCode}
		}
	case *http2.RSTStreamFrame:
		if err := s.ours(f.StreamID); err != nil {
			return err
		}
		return &Refused{f.Type, f.ErrCode}
	case *http2.PushPromiseFrame:
		return malformed("PUSH_PROMISE, which was forbidden") // section 8.4
	case *http2.MetaHeadersFrame:
		s.idle = 0
		return s.takeHeaders(f)
	case *http2.DataFrame:
		s.idle = 0
		return s.takeData(f)
	}
	return nil
}

// ours returns an error if a frame is not for the one stream that is open. RFC 9113, section 5.1: in an idle stream, nothing
// else but HEADERS and PRIORITY may come, and a server opens no stream that it has not promised.
func (s *Stream) ours(id uint32) error {
	if id != 1 {
		return malformed("a frame of a stream that nobody opened")
	}
	return nil
}

// notHTTP2 returns the error of a server that does not begin as one of HTTP/2 does.
func (s *Stream) notHTTP2() error { return malformed("not HTTP/2%s", s.begin.Instead()) }

// explain makes an error of the frame reader's.
func (s *Stream) explain(err error) error {
	var connection http2.ConnectionError
	var stream http2.StreamError
	ours := errors.As(err, &connection) || errors.As(err, &stream) || errors.Is(err, http2.ErrFrameTooLarge)
	switch {
	case !s.shaken && (ours || s.begin.Instead() != ""):
		return s.notHTTP2()
	case errors.Is(err, http2.ErrFrameTooLarge):
		return malformed("a frame longer than 16 KiB")
	case errors.As(err, &connection):
		return malformed("%s", ruleOf[http2.ErrCode(connection)])
	case errors.As(err, &stream) && stream.Code == http2.ErrCodeFlowControl, errors.As(err, &stream) && stream.Cause == nil:
		return malformed("a frame that breaks the rules of HTTP/2")
	case errors.As(err, &stream):
		return malformed("bad header field")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return io.ErrUnexpectedEOF
	}
	return err
}

// ruleOf says what kind of rule a frame breaks.
var ruleOf = map[http2.ErrCode]string{
	http2.ErrCodeProtocol:    "a frame that breaks the rules of HTTP/2",
	http2.ErrCodeFlowControl: "a window that overflows",
	http2.ErrCodeFrameSize:   "a frame of the wrong size",
	http2.ErrCodeCompression: "a header that cannot be decompressed",
}

// takeSettings handles a SETTINGS frame (RFC 9113, section 6.5).
func (s *Stream) takeSettings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	err := f.ForeachSetting(func(setting http2.Setting) error {
		if setting.Valid() != nil || setting.ID == http2.SettingEnablePush && setting.Val != 0 {
			return malformed("bad SETTINGS")
		}
		switch setting.ID {
		case http2.SettingInitialWindowSize:
			s.room += int64(setting.Val) - s.initial
			s.initial = int64(setting.Val)
			if s.room > maxWindow {
				return malformed("a window that overflows")
			}
		case http2.SettingMaxFrameSize:
			s.maxFrame = int(min(setting.Val, 1<<20))
		}
		return nil
	})
	if err != nil {
		return err
	}
	_ = s.framer.WriteSettingsAck()
	return nil
}

// takeWindow handles a WINDOW_UPDATE frame (RFC 9113, section 6.9).
func (s *Stream) takeWindow(f *http2.WindowUpdateFrame) error {
	room := &s.shared
	if f.StreamID != 0 {
		if err := s.ours(f.StreamID); err != nil {
			return err
		}
		room = &s.room
	}
	if *room += int64(f.Increment); *room > maxWindow {
		return malformed("a window that overflows")
	}
	return nil
}

// takeHeaders takes the header of an interim or final response, or its trailers (RFC 9113, section 8.1).
func (s *Stream) takeHeaders(f *http2.MetaHeadersFrame) error {
	if err := s.ours(f.StreamID); err != nil {
		return err
	}
	if f.Truncated {
		return malformed("%s", http1.ErrTooLong)
	}
	if err := plausible(f); err != nil {
		return err
	}
	if s.header {
		if len(f.PseudoFields()) > 0 || !f.StreamEnded() {
			return malformed("bad trailers")
		}
		s.Trailers = slices.Clone(f.RegularFields())
		return s.end()
	}
	status, ok := statusOf(f.PseudoValue("status"))
	switch {
	case !ok || status == 101: // section 8.6: there is no 101 in HTTP/2
		return malformed("bad :status")
	case status < 200 && f.StreamEnded():
		return malformed("an interim response without a final one")
	case status < 200:
		return nil
	}
	s.header, s.Status, s.Fields = true, status, slices.Clone(f.RegularFields())
	if err := s.measure(); err != nil {
		return err
	}
	if f.StreamEnded() {
		return s.end()
	}
	return nil
}

// plausible returns an error if a header has a field that belongs to a connection. RFC 9113, section 8.2.2: such a message is
// malformed. curl and Safari refuse it.
func plausible(f *http2.MetaHeadersFrame) error {
	for _, field := range f.RegularFields() {
		if slices.Contains([]string{"connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"}, field.Name) {
			return malformed("the header field %s, which HTTP/2 does not have", field.Name)
		}
	}
	return nil
}

// statusOf reads a status: three digits, nothing else (RFC 9110, section 15).
func statusOf(text string) (status int, ok bool) {
	if len(text) != 3 {
		return 0, false
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, false
		}
		status = status*10 + int(c-'0')
	}
	return status, status >= 100
}

// measure stores the length of the body that the header announces.
func (s *Stream) measure() error {
	for _, field := range s.Fields {
		if field.Name != "content-length" {
			continue
		}
		n, ok := http1.ParseLength(field.Value)
		if !ok || s.length >= 0 && n != s.length {
			return malformed("%s", http1.ErrLength)
		}
		s.length = n
	}
	return nil
}

// takeData takes a piece of the body.
func (s *Stream) takeData(f *http2.DataFrame) error {
	if err := s.ours(f.StreamID); err != nil {
		return err
	}
	if !s.header {
		return malformed("DATA before the header")
	}
	size := int64(f.Length) // with its padding
	if s.left -= size; s.left < 0 {
		return malformed("more DATA than the window lets through")
	}
	s.data = f.Data()
	s.got += int64(len(s.data))
	if s.length >= 0 && s.got > s.length {
		return malformed("%s", http1.ErrLength)
	}
	if f.StreamEnded() {
		return s.end()
	}
	if size > 0 {
		_ = s.framer.WriteWindowUpdate(0, uint32(size))
		_ = s.framer.WriteWindowUpdate(1, uint32(size))
		s.left += size
	}
	return nil
}

// end ends the response. RFC 9113, section 8.1.1: a body of another length than announced is malformed. A response without
// a body may announce the length of the one that another method would get.
func (s *Stream) end() error {
	s.ended = true
	if s.length > 0 && s.got != s.length && (s.got > 0 || s.hasBody()) {
		return malformed("%s", http1.ErrLength)
	}
	return nil
}

func (s *Stream) hasBody() bool { return !s.head && s.Status != 204 && s.Status != 304 }
