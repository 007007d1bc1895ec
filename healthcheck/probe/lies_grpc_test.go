// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

const (
	noStatusGRPC   = "malformed response: no gRPC status"
	badStatusGRPC  = "malformed response: bad gRPC status"
	badMessageGRPC = "malformed response: not one message"
	badHealthGRPC  = "malformed response: not a HealthCheckResponse"
	otherTypeGRPC  = "malformed response: not gRPC: the content type is not application/grpc"
)

// answerGRPC returns an answer with a body and trailers.
func answerGRPC(body string, trailers ...string) string {
	return rawHeaders(false, ":status", "200", "content-type", "application/grpc") + rawData(false, body) + rawHeaders(true, trailers...)
}

// healthOf returns an answer whose one message is of these bytes.
func healthOf(message string) string {
	return answerGRPC(string(envelope([]byte(message))), "grpc-status", "0")
}

// grpcLies are lies of the health service (grpc/grpc: doc/PROTOCOL-HTTP2.md, doc/health-checking.md).
func grpcLies() (all []lie) {
	add := func(rule, name, says, want string) {
		all = append(all, lie{"gRPC, " + rule, name, settings2 + says, want})
	}
	serves := string(envelope([]byte{8, 1}))
	// The message: one HealthCheckResponse.
	add("Response", "SERVING", healthOf("\x08\x01"), "")
	add("Response", "SERVING, and fields of the future", healthOf("\x08\x01\x12\x02hi\x18\x07\x25abcd\x29abcdefgh"), "")
	add("Response", "SERVING at last", healthOf("\x08\x02\x08\x01"), "")
	add("Response", "SERVING in a long varint", healthOf("\x08\x81\x80\x00"), "")
	for n := range 50 {
		name := fmt.Sprint(n)
		if n < len(servingStatuses) {
			name = servingStatuses[n]
		}
		if n != serving {
			add("HealthCheckResponse", name, healthOf("\x08"+string([]byte{byte(n)})), name+", want SERVING")
		}
	}
	add("HealthCheckResponse", "nothing", healthOf(""), "UNKNOWN, want SERVING")
	add("HealthCheckResponse", "SERVING, then not", healthOf("\x08\x01\x08\x02"), "NOT_SERVING, want SERVING")
	for _, message := range []string{
		"\x08", "\x08\x80", "\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "\x09\x01", "\x0a\x01\x01", "\x0b\x01\x0c",
		"\x0d\x01\x00\x00\x00", "\x09\x01\x00\x00\x00\x00\x00\x00\x00", "\x0e\x01", "\x0f\x01",
		"\x00\x01", "\x07", "\x08\x01\x12\x05hi", "\x08\x01\x15a", "\x08\x01\x19a", "\x08\x01\x13", "\x08\x01\x14",
		"\x08\x01\xff", "\x08\x01\x80", "SERVING", "{\"status\":\"SERVING\"}", "\xff\xff\xff\xff",
		"\x08\x01\x12\xff\xff\xff\xff\x7f", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
	} {
		add("HealthCheckResponse", fmt.Sprintf("bytes %q", message), healthOf(message), badHealthGRPC)
	}
	// Length-Prefixed-Message.
	for _, body := range []string{
		"\x00", "\x00\x00", "\x00\x00\x00\x00", "\x00\x00\x00\x00\x01", "\x00\x00\x00\x00\x01\x08\x01",
		"\x00\x00\x00\x00\x03\x08\x01", "\x08\x01", "\x00\xff\xff\xff\xff\x08\x01", "\x00\x02\x00\x00\x00\x08\x01",
		serves + serves, serves + "\x00", serves[:6], "\x08\x01\x00\x00\x00", "SERVING", "<html>", "\x00\x80\x00\x00\x02\x08\x01",
	} {
		add("Length-Prefixed-Message", fmt.Sprintf("bytes %q", body), answerGRPC(body, "grpc-status", "0"), badMessageGRPC)
	}
	add("Length-Prefixed-Message", "none", answerGRPC("", "grpc-status", "0"), badMessageGRPC)
	for _, flag := range []byte{1, 2, 128, 255} {
		add("Compressed-Flag", fmt.Sprint(flag), answerGRPC(string([]byte{flag})+serves[1:], "grpc-status", "0"), "malformed response: compressed, which was not offered")
	}
	add("Length-Prefixed-Message", "longer than 64 KiB", answerGRPC(strings.Repeat("x", 16<<10)+"", "grpc-status", "0"), badMessageGRPC)
	// Status: only what the server has sent.
	for code := 1; code <= 20; code++ {
		name := fmt.Sprint(code)
		if code < len(grpcCodes) {
			name = grpcCodes[code]
		}
		want, bare := "gRPC status "+name+": disk is full", "gRPC status "+name
		switch code {
		case grpcNotFound:
			want, bare = `the health service does not know "shop.Orders"`, `the health service does not know "shop.Orders"`
		case grpcUnimplemented:
			want, bare = "the server has no health service", "the server has no health service"
		}
		status := fmt.Sprint(code)
		add("Status", name+" with its message", answerGRPC(serves, "grpc-status", status, "grpc-message", "disk%20is full"), want)
		add("Trailers-Only", name, rawHeaders(true, ":status", "200", "content-type", "application/grpc", "grpc-status", status), bare)
	}
	add("Status-Message", "with a line end and a colour", answerGRPC(serves, "grpc-status", "14", "grpc-message", "full%0A%1B[31mred"), "gRPC status UNAVAILABLE: full")
	add("Status-Message", "in broken percent notation", answerGRPC(serves, "grpc-status", "14", "grpc-message", "100% full"), "gRPC status UNAVAILABLE: 100% full")
	add("Status", "OK with a message", answerGRPC(serves, "grpc-status", "0", "grpc-message", "fine"), "")
	add("Status", "OK in two digits", answerGRPC(serves, "grpc-status", "00"), "")
	for _, text := range []string{"", " ", "OK", "ok", "+0", "-0", "-1", "0.0", "0x0", "zero", "0 ", " 0", "0,0", "0;", "1e0", "99999999999999999999", "2147483648", "SERVING", "true", "null", "٠", "0_0"} {
		add("Status", fmt.Sprintf("%q", text), answerGRPC(serves, "grpc-status", text), badStatusGRPC)
	}
	add("Status", "two", answerGRPC(serves, "grpc-status", "0", "grpc-status", "14"), badStatusGRPC)
	add("Status", "one twice", answerGRPC(serves, "grpc-status", "0", "grpc-status", "0"), badStatusGRPC)
	add("Status", "none in the trailers", answerGRPC(serves, "x", "y"), noStatusGRPC)
	add("Status", "none, nor trailers", rawHeaders(false, ":status", "200", "content-type", "application/grpc")+rawData(true, serves), noStatusGRPC)
	add("Status", "none, nor a body", rawHeaders(true, ":status", "200", "content-type", "application/grpc"), noStatusGRPC)
	add("Status", "in the header before a message", rawHeaders(false, ":status", "200", "content-type", "application/grpc", "grpc-status", "0")+rawData(true, serves), noStatusGRPC)
	add("Status", "OK without a message", rawHeaders(true, ":status", "200", "content-type", "application/grpc", "grpc-status", "0"), badMessageGRPC)
	// HTTP-Status and Content-Type.
	for _, status := range []int{201, 204, 206, 301, 302, 304, 400, 401, 403, 404, 405, 408, 413, 415, 429, 431, 500, 502, 503, 504, 599} {
		add("HTTP-Status", fmt.Sprint(status), rawHeaders(true, ":status", fmt.Sprint(status), "content-type", "text/html"), fmt.Sprintf("not gRPC: HTTP status %d", status))
	}
	for _, kind := range []string{"application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8", "Application/GRPC"} {
		add("Content-Type", kind, rawHeaders(false, ":status", "200", "content-type", kind)+rawData(false, serves)+rawHeaders(true, "grpc-status", "0"), "")
	}
	for _, kind := range []string{
		"", "text/html", "text/plain", "application/json", "application/octet-stream", "application/grpcx",
		"application/grpc-web", "application/grpc-web+proto", "xapplication/grpc", " application/grpc", "grpc", "application/",
		"application/x-protobuf", "application/grpc/proto", "application/grpc.proto", "text/html; charset=utf-8", "*/*",
		"application/connect+proto",
	} {
		add("Content-Type", fmt.Sprintf("%q", kind), rawHeaders(false, ":status", "200", "content-type", kind)+rawData(false, serves)+rawHeaders(true, "grpc-status", "0"), otherTypeGRPC)
	}
	add("Content-Type", "none", rawHeaders(false, ":status", "200")+rawData(false, serves)+rawHeaders(true, "grpc-status", "0"), otherTypeGRPC)
	add("Content-Type", "two", rawHeaders(false, ":status", "200", "content-type", "application/grpc", "content-type", "text/html")+rawData(false, serves)+rawHeaders(true, "grpc-status", "0"), otherTypeGRPC)
	// Errors of the transport, which are no status of gRPC.
	header := rawHeaders(false, ":status", "200", "content-type", "application/grpc")
	for code := http2.ErrCodeNo; code <= http2.ErrCodeHTTP11Required; code++ {
		add("Errors", "RST_STREAM "+code.String(), header+rawFrame(http2.FrameRSTStream, 0, 1, number(uint32(code))), "refused: RST_STREAM "+code.String())
		add("Errors", "GOAWAY "+code.String(), rawFrame(http2.FrameGoAway, 0, 0, number(0)+number(uint32(code))), "refused: GOAWAY "+code.String())
	}
	add("Errors", "hangs up behind the header", header, "connection closed in the middle of the response")
	add("Errors", "hangs up behind the message", header+rawData(false, serves), "connection closed in the middle of the response")
	add("Errors", "hangs up before the header", "", "connection closed before a response")
	all = append(all, lie{"gRPC", "speaks HTTP/1.1", "HTTP/1.1 400 Bad Request\r\n\r\n", notHTTP2 + ": the server speaks HTTP/1.1"})
	return all
}

func TestLiesOfGRPC(t *testing.T) {
	target := probetest.Target(healthcheck.GRPC, probetest.Addr, 0, func(c *healthcheck.Config) { c.Service = "shop.Orders" })
	lies := grpcLies()
	enough(t, lies)
	for _, l := range lies {
		if err := judged(l, told(t, target, l.says)); err != nil {
			t.Error(err)
		}
	}
}
