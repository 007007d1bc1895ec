// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// rawFrame returns a frame of HTTP/2 (RFC 9113, section 4.1).
func rawFrame(typ http2.FrameType, flags http2.Flags, stream uint32, payload string) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))[1:]
	b = append(b, byte(typ), byte(flags))
	return string(binary.BigEndian.AppendUint32(b, stream)) + payload
}

// rawBlock returns a header block of names and values.
func rawBlock(fields ...string) string {
	var b bytes.Buffer
	encoder := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		_ = encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.String()
}

// rawHeaders returns a HEADERS frame of stream 1.
func rawHeaders(end bool, fields ...string) string {
	flags := http2.FlagHeadersEndHeaders
	if end {
		flags |= http2.FlagHeadersEndStream
	}
	return rawFrame(http2.FrameHeaders, flags, 1, rawBlock(fields...))
}

func rawData(end bool, text string) string {
	flags := http2.Flags(0)
	if end {
		flags = http2.FlagDataEndStream
	}
	return rawFrame(http2.FrameData, flags, 1, text)
}

func number(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }

// settings2 is the first frame of a server.
var settings2 = rawFrame(http2.FrameSettings, 0, 0, "")

const (
	badStatus2  = "malformed response: bad :status"
	badField2   = "malformed response: bad header field"
	badRule2    = "malformed response: a frame that breaks the rules of HTTP/2"
	badFrame2   = "malformed response: a frame of the wrong size"
	badStream2  = "malformed response: a frame of a stream that nobody opened"
	badSetting2 = "malformed response: bad SETTINGS"
	badWindow2  = "malformed response: a window that overflows"
	badTrailer2 = "malformed response: bad trailers"
	badPacking2 = "malformed response: a header that cannot be decompressed"
	notHTTP2    = "malformed response: not HTTP/2"
)

// fieldLies returns responses whose header fields break a rule.
func fieldLies() (all []lie) {
	add := func(rule, name, says, want string) { all = append(all, lie{rule, name, settings2 + says, want}) }
	// RFC 9113, section 8.3.2: one :status, of three digits.
	for _, status := range []string{
		"+200", "-200", "0200", " 200", "200 ", "2 00", "20", "2", "", "2000", "20000", "200.0", "2e2", "0xc8", "abc", "2x0",
		"x00", "20x", "٢٠٠", "099", "000", "001", "101", "200 OK", "200,200",
		"\xb2\xb0\xb0", "HTTP/2 200", "OK", "1e2", "2_0",
	} {
		add("RFC 9113, 8.3.2", fmt.Sprintf(":status %q", status), rawHeaders(true, ":status", status), badStatus2)
	}
	for _, status := range []string{"200", "204", "299"} {
		add("RFC 9113, 8.3.2", fmt.Sprintf(":status %q", status), rawHeaders(true, ":status", status), "")
	}
	add("RFC 9113, 8.3.2", "no :status", rawHeaders(true, "server", "x"), badStatus2)
	add("RFC 9113, 8.3.2", "nothing at all", rawHeaders(true), badStatus2)
	for _, fields := range [][]string{
		{":status", "200", ":status", "200"}, {":status", "200", ":status", "503"}, {"server", "x", ":status", "200"},
		{":status", "200", "server", "x", ":status", "200"},
		{":status", "200", ":method", "GET"}, {":status", "200", ":path", "/"}, {":status", "200", ":scheme", "http"},
		{":status", "200", ":authority", "x"}, {":method", "GET", ":status", "200"},
		{":status", "200", ":protocol", "x"}, {":status", "200", ":other", "x"}, {":Status", "200"}, {":status", "200", ":", "x"},
		{":status", "200", "", "x"}, {":unknown", "200"},
	} {
		add("RFC 9113, 8.3", fmt.Sprintf("%q", fields), rawHeaders(true, fields...), badField2)
	}
	for _, fields := range [][]string{{":path", "/"}, {":method", "GET", ":path", "/"}} {
		add("RFC 9113, 8.3.2", fmt.Sprintf("%q", fields), rawHeaders(true, fields...), badStatus2)
	}
	// Section 8.2.1: names in lower case, without characters that no field has.
	for c := 'A'; c <= 'Z'; c++ {
		add("RFC 9113, 8.2.1", fmt.Sprintf("the name %q", "x"+string(c)), rawHeaders(true, ":status", "200", "x"+string(c), "y"), badField2)
	}
	for _, c := range "\x00\x01\t\n\r\x1b \"(),/;<=>?@[\\]{}\x7f\u00e9" {
		add("RFC 9113, 8.2.1", fmt.Sprintf("the name %q", "x"+string(c)), rawHeaders(true, ":status", "200", "x"+string(c), "y"), badField2)
	}
	for _, c := range append(controls(), '\r', '\n') {
		add("RFC 9113, 8.2.1", fmt.Sprintf("the value %q", "y"+string(rune(c))), rawHeaders(true, ":status", "200", "x", "y"+string(rune(c))), badField2)
	}
	add("RFC 9113, 8.2.1", "a tab in a value", rawHeaders(true, ":status", "200", "x", "y\tz"), "")
	// Section 8.2.2: no fields of a connection.
	for _, name := range []string{"connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"} {
		for _, value := range []string{"x", "", "close", "chunked", "h2,h2c"} {
			add("RFC 9113, 8.2.2", name+": "+value, rawHeaders(true, ":status", "200", name, value), "malformed response: the header field "+name+", which HTTP/2 does not have")
		}
	}
	// Section 8.1.1: the body is as long as announced.
	for _, value := range []string{"", "-1", "+2", "2.0", "0x2", "two", "2 2", "2,3", "99999999999999999999", "2;", "1e1", "2,"} {
		add("RFC 9113, 8.1.1", fmt.Sprintf("content-length %q", value), rawHeaders(false, ":status", "200", "content-length", value)+rawData(true, "ok"), badSize)
	}
	add("RFC 9113, 8.1.1", "two lengths", rawHeaders(false, ":status", "200", "content-length", "2", "content-length", "3")+rawData(true, "ok"), badSize)
	add("RFC 9113, 8.1.1", "one length twice", rawHeaders(false, ":status", "200", "content-length", "2", "content-length", "2")+rawData(true, "ok"), "")
	add("RFC 9113, 8.1.1", "a length, but no body", rawHeaders(true, ":status", "200", "content-length", "2"), badSize)
	add("RFC 9113, 8.1.1", "204 with a length", rawHeaders(true, ":status", "204", "content-length", "2"), "")
	add("RFC 9113, 8.1", "interim responses first", rawHeaders(false, ":status", "100")+rawHeaders(false, ":status", "103", "link", "x")+rawHeaders(true, ":status", "200"), "")
	for _, status := range []string{"100", "103", "199"} {
		add("RFC 9113, 8.1", "only "+status, rawHeaders(true, ":status", status), "malformed response: an interim response without a final one")
	}
	return all
}

// frameLies returns frames that break a rule. Each is sent before a response that would pass alone.
func frameLies() (all []lie) {
	fine := rawHeaders(true, ":status", "200")
	add := func(rule, name, says, want string) { all = append(all, lie{rule, name, settings2 + says + fine, want}) }
	first := func(name, says, want string) { all = append(all, lie{"RFC 9113, 3.4", name, says, want}) }
	for name, says := range map[string]string{
		"PING": rawFrame(http2.FramePing, 0, 0, "12345678"), "HEADERS": fine, "DATA": rawData(true, "ok"),
		"GOAWAY":             rawFrame(http2.FrameGoAway, 0, 0, number(0)+number(0)),
		"a window":           rawFrame(http2.FrameWindowUpdate, 0, 0, number(1)),
		"an acknowledgement": rawFrame(http2.FrameSettings, http2.FlagSettingsAck, 0, ""),
		"an unknown frame":   rawFrame(99, 0, 0, "x"),
		"garbage":            strings.Repeat("garbage", 9), "zeros": strings.Repeat("\x00", 99),
		"SETTINGS of stream 1": rawFrame(http2.FrameSettings, 0, 1, ""),
		"5 bytes of SETTINGS":  rawFrame(http2.FrameSettings, 0, 0, "12345"),
	} {
		want := notHTTP2
		if name == "an acknowledgement" || name == "5 bytes of SETTINGS" {
			want = map[string]string{"an acknowledgement": notHTTP2, "5 bytes of SETTINGS": notHTTP2 + ": the server speaks HTTP/2"}[name]
		}
		first("begins with "+name, says, want)
	}
	for begin, speaks := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\n\r\n": "HTTP/1.1", "HTTP/1.0 200 OK\r\n\r\n": "HTTP/1.0", "SSH-2.0-OpenSSH_9.2\r\n": "SSH",
		"220 mx ESMTP\r\n": "SMTP or FTP", "\x15\x03\x01\x00\x02\x02\x0a": "TLS",
		"* OK imap ready\r\n": "IMAP", "+OK pop ready\r\n": "POP3", "-ERR unknown command\r\n": "Redis",
		"<html><body>": "HTML or XML, without a header", "RFB 003.008\n": "VNC",
	} {
		first("speaks "+speaks, begin, notHTTP2+": the server speaks "+speaks)
	}
	// Section 5.1.1 and 6: what belongs to the connection, and what to a stream.
	for _, f := range []struct {
		typ     http2.FrameType
		payload string
	}{{http2.FramePing, "12345678"}, {http2.FrameGoAway, number(1) + number(0)}, {http2.FrameSettings, ""}} {
		for _, stream := range []uint32{1, 2, 3} {
			add("RFC 9113, 6", fmt.Sprintf("%s of stream %d", f.typ, stream), rawFrame(f.typ, 0, stream, f.payload), badRule2)
		}
	}
	for _, f := range []struct {
		typ     http2.FrameType
		payload string
	}{{http2.FrameData, "x"}, {http2.FrameHeaders, rawBlock(":status", "200")}, {http2.FrameRSTStream, number(0)}, {http2.FrameWindowUpdate, number(1)}} {
		flags := http2.Flags(0)
		if f.typ == http2.FrameHeaders {
			flags = http2.FlagHeadersEndHeaders
		}
		if f.typ != http2.FrameWindowUpdate {
			add("RFC 9113, 6", fmt.Sprintf("%s of the connection", f.typ), rawFrame(f.typ, flags, 0, f.payload), badRule2)
		}
		for _, stream := range []uint32{2, 3, 5, 1<<31 - 1} {
			add("RFC 9113, 5.1", fmt.Sprintf("%s of stream %d", f.typ, stream), rawFrame(f.typ, flags, stream, f.payload), badStream2)
		}
	}
	// Section 6: sizes.
	for typ, right := range map[http2.FrameType]int{http2.FramePing: 8, http2.FrameRSTStream: 4, http2.FrameWindowUpdate: 4, http2.FramePriority: 5} {
		for _, n := range []int{0, 1, 2, 3, 6, 7, 9, 16} {
			stream := uint32(1)
			if typ == http2.FramePing {
				stream = 0
			}
			if n != right {
				add("RFC 9113, 6", fmt.Sprintf("%s of %d bytes", typ, n), rawFrame(typ, 0, stream, strings.Repeat("\x01", n)), badFrame2)
			}
		}
	}
	for _, n := range []int{1, 2, 3, 4, 5, 7, 11, 13} {
		add("RFC 9113, 6.5", fmt.Sprintf("SETTINGS of %d bytes", n), rawFrame(http2.FrameSettings, 0, 0, strings.Repeat("\x01", n)), badFrame2)
	}
	for _, n := range []int{0, 1, 4, 7} {
		add("RFC 9113, 6.8", fmt.Sprintf("GOAWAY of %d bytes", n), rawFrame(http2.FrameGoAway, 0, 0, strings.Repeat("\x00", n)), badFrame2)
	}
	add("RFC 9113, 6.5", "SETTINGS that acknowledge and set", rawFrame(http2.FrameSettings, http2.FlagSettingsAck, 0, "123456"), badFrame2)
	add("RFC 9113, 4.2", "a frame longer than 16 KiB", rawFrame(http2.FramePing, 0, 0, strings.Repeat("x", 16<<10+1)), "malformed response: a frame longer than 16 KiB")
	// Section 6.5.2: values of settings.
	for name, setting := range map[string]http2.Setting{
		"push 1": {ID: http2.SettingEnablePush, Val: 1}, "push 2": {ID: http2.SettingEnablePush, Val: 2},
		"frames of 0": {ID: http2.SettingMaxFrameSize, Val: 0}, "frames of 16383": {ID: http2.SettingMaxFrameSize, Val: 16383},
		"frames of 16 MiB": {ID: http2.SettingMaxFrameSize, Val: 1 << 24},
	} {
		add("RFC 9113, 6.5.2", name, rawFrame(http2.FrameSettings, 0, 0, string(binary.BigEndian.AppendUint16(nil, uint16(setting.ID)))+number(setting.Val)), badSetting2)
	}
	for name, setting := range map[string]http2.Setting{
		"no streams": {ID: http2.SettingMaxConcurrentStreams, Val: 0}, "an unknown one": {ID: 0x99, Val: 7},
		"the largest frames": {ID: http2.SettingMaxFrameSize, Val: 1<<24 - 1},
		"a small window":     {ID: http2.SettingInitialWindowSize, Val: 1},
	} {
		add("RFC 9113, 6.5.2", name, rawFrame(http2.FrameSettings, 0, 0, string(binary.BigEndian.AppendUint16(nil, uint16(setting.ID)))+number(setting.Val)), "")
	}
	add("RFC 9113, 6.5.2", "a window above 2^31-1", rawFrame(http2.FrameSettings, 0, 0, "\x00\x04"+number(1<<31)), "malformed response: a window that overflows")
	// Section 6.9: windows.
	add("RFC 9113, 6.9", "a window that grows by 0", rawFrame(http2.FrameWindowUpdate, 0, 0, number(0)), badRule2)
	add("RFC 9113, 6.9", "a stream's window that grows by 0", rawFrame(http2.FrameWindowUpdate, 0, 1, number(0)), badRule2)
	add("RFC 9113, 6.9.1", "a window beyond 2^31-1", rawFrame(http2.FrameWindowUpdate, 0, 0, number(1<<31-1)), badWindow2)
	add("RFC 9113, 6.9.1", "a stream's window beyond 2^31-1", rawFrame(http2.FrameWindowUpdate, 0, 1, number(1<<31-1)), badWindow2)
	// Sections 6.2, 6.6 and 6.10: header blocks.
	add("RFC 9113, 6.10", "CONTINUATION of nothing", rawFrame(http2.FrameContinuation, http2.FlagContinuationEndHeaders, 1, ""), badRule2)
	for name, between := range map[string]string{
		"PING": rawFrame(http2.FramePing, 0, 0, "12345678"), "SETTINGS": settings2, "HEADERS": fine,
		"an unknown frame": rawFrame(99, 0, 0, ""), "DATA": rawData(false, "x"),
		"CONTINUATION of another stream": rawFrame(http2.FrameContinuation, http2.FlagContinuationEndHeaders, 3, ""),
	} {
		add("RFC 9113, 6.10", "a header block interrupted by "+name, rawFrame(http2.FrameHeaders, 0, 1, rawBlock(":status", "200"))+between, badRule2)
	}
	add("RFC 9113, 6.10", "a header block in two frames", rawFrame(http2.FrameHeaders, 0, 1, rawBlock(":status", "103"))+rawFrame(http2.FrameContinuation, http2.FlagContinuationEndHeaders, 1, ""), "")
	add("RFC 9113, 8.4", "PUSH_PROMISE", rawFrame(http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, 1, number(2)+rawBlock(":method", "GET")), "malformed response: PUSH_PROMISE, which was forbidden")
	for _, n := range []int{1, 2, 255} {
		add("RFC 9113, 6.1", fmt.Sprintf("DATA of %d bytes of padding and nothing else", n), rawFrame(http2.FrameData, http2.FlagDataPadded, 1, string([]byte{byte(n)})), badRule2)
		add("RFC 9113, 6.2", fmt.Sprintf("HEADERS of %d bytes of padding and nothing else", n), rawFrame(http2.FrameHeaders, http2.FlagHeadersPadded|http2.FlagHeadersEndHeaders, 1, string([]byte{byte(n)})), badRule2)
	}
	for _, block := range []string{"\x80", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\xbe", "\x40\x05a", "\x00", "\x3f\xff\xff\xff", "\x40\x81\xff\x01x", "\xc5"} {
		add("RFC 7541, 6", fmt.Sprintf("the header block %q", block), rawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, block), badPacking2)
	}
	add("RFC 9113, 8.1", "DATA before the header", rawData(false, "x"), "malformed response: DATA before the header")
	add("RFC 9113, 10.5", "more than 1000 frames that say nothing", strings.Repeat(rawFrame(http2.FramePriority, 0, 1, "12345"), 1001), "malformed response: more than 1000 frames without an answer")
	// Sections 6.4 and 6.8: refusals.
	for code := http2.ErrCodeNo; code <= http2.ErrCodeHTTP11Required; code++ {
		add("RFC 9113, 6.4", fmt.Sprintf("RST_STREAM with %s", code), rawFrame(http2.FrameRSTStream, 0, 1, number(uint32(code))), "refused: RST_STREAM "+code.String())
		add("RFC 9113, 6.8", fmt.Sprintf("GOAWAY with %s", code), rawFrame(http2.FrameGoAway, 0, 0, number(0)+number(uint32(code))), "refused: GOAWAY "+code.String())
	}
	add("RFC 9113, 6.8", "a graceful GOAWAY", rawFrame(http2.FrameGoAway, 0, 0, number(1<<31-1)+number(0)), "")
	add("RFC 9113, 5.5", "an unknown frame", rawFrame(99, 255, 7, "x"), "")
	add("RFC 9113, 5.3", "PRIORITY", rawFrame(http2.FramePriority, 0, 1, "\x00\x00\x00\x00\x07"), "")
	add("RFC 9113, 6.7", "PING", rawFrame(http2.FramePing, 0, 0, "12345678"), "")
	return all
}

// bodyLies returns what breaks a rule after the header of a response.
func bodyLies() (all []lie) {
	add := func(rule, name, says, want string) {
		all = append(all, lie{rule, name, settings2 + rawHeaders(false, ":status", "200") + says, want})
	}
	add("RFC 9113, 8.1", "a body", rawData(true, "ok"), "")
	add("RFC 9113, 8.1", "a body and trailers", rawData(false, "ok")+rawHeaders(true, "x", "y"), "")
	add("RFC 9113, 8.1", "a body with padding", rawFrame(http2.FrameData, http2.FlagDataPadded|http2.FlagDataEndStream, 1, "\x03ok\x00\x00\x00"), "")
	add("RFC 9113, 8.1", "trailers that do not end it", rawData(false, "ok")+rawHeaders(false, "x", "y"), badTrailer2)
	add("RFC 9113, 8.1", "trailers with a status", rawData(false, "ok")+rawHeaders(true, ":status", "200"), badTrailer2)
	add("RFC 9113, 8.1", "a body cut short", rawData(false, "ok"), "connection closed in the middle of the response body")
	add("RFC 9113, 6.4", "a body that is reset", rawData(false, "ok")+rawFrame(http2.FrameRSTStream, 0, 1, number(2)), "refused: RST_STREAM INTERNAL_ERROR")
	add("RFC 9113, 6.8", "a body and GOAWAY", rawData(false, "ok")+rawFrame(http2.FrameGoAway, 0, 0, number(1)+number(11)), "refused: GOAWAY ENHANCE_YOUR_CALM")
	add("RFC 9113, 8.1.1", "another body", rawData(true, "no"), "status 200, but its body has another SHA-256")
	all = append(all, lie{"RFC 9113, 8.1.1", "a longer body than announced", settings2 + rawHeaders(false, ":status", "200", "content-length", "1") + rawData(true, "ok"), badSize})
	all = append(all, lie{"RFC 9113, 8.1.1", "a shorter body than announced", settings2 + rawHeaders(false, ":status", "200", "content-length", "3") + rawData(true, "ok"), badSize})
	return all
}

// Whatever a server does, no library writes into the director's log.
func TestLiesOfHTTP2(t *testing.T) {
	var written bytes.Buffer
	log.SetOutput(&written)
	defer func() {
		log.SetOutput(os.Stderr)
		if written.Len() > 0 {
			t.Errorf("a library writes: %s", written.String())
		}
	}()
	two := probetest.Target(healthcheck.HTTP, probetest.Addr, 0, func(c *healthcheck.Config) { c.Version = healthcheck.HTTP2 })
	lies := append(fieldLies(), frameLies()...)
	enough(t, lies)
	for _, l := range lies {
		if err := judged(l, told(t, two, l.says)); err != nil {
			t.Error(err)
		}
	}
	two.Config.Content.SHA256 = sumOf("ok")
	for _, l := range bodyLies() {
		if err := judged(l, told(t, two, l.says)); err != nil {
			t.Error(err)
		}
	}
}
