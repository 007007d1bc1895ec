// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/http2"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/words"
)

// maxGRPC is the maximum size of a gRPC server's answer, in bytes.
const maxGRPC = 64 << 10

// grpcCodes are the statuses of gRPC by their numbers (grpc/grpc, doc/statuscodes.md).
var grpcCodes = []string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
	"DATA_LOSS", "UNAUTHENTICATED",
}

const (
	grpcNotFound      = 5
	grpcUnimplemented = 12
)

// servingStatuses are those of grpc.health.v1.HealthCheckResponse by their numbers.
var servingStatuses = []string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}

const serving = 1

// askHealth asks the standard health service (grpc.health.v1) over HTTP/2 (grpc/grpc, doc/PROTOCOL-HTTP2.md). Where the
// check uses TLS, the connection is already secured.
func askHealth(ctx context.Context, conn net.Conn, t *healthcheck.Target) healthcheck.Result {
	fields := append(pseudo(t, "POST", "/grpc.health.v1.Health/Check"),
		hpack.HeaderField{Name: "te", Value: "trailers"},
		hpack.HeaderField{Name: "grpc-timeout", Value: grpcTimeout(t)},
		hpack.HeaderField{Name: "content-type", Value: "application/grpc"},
		hpack.HeaderField{Name: "user-agent", Value: "tandem"})
	var asked []byte
	if t.Config.Service != "" {
		asked = protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), t.Config.Service)
	}
	stream, res := ask2(ctx, conn, http2.Request{Fields: fields, Body: string(envelope(asked))}, t)
	if stream == nil {
		return res
	}
	if res := judgeGRPCHeader(stream); res.Outcome != 0 {
		return res
	}
	body, err := io.ReadAll(io.LimitReader(stream, maxGRPC+1))
	switch {
	case err == nil && len(body) > maxGRPC:
		return healthcheck.Fail(healthcheck.Malformed, "malformed response: longer than 64 KiB")
	case errors.Is(err, io.ErrUnexpectedEOF), socket.Closed(err):
		return healthcheck.Fail(healthcheck.HungUp, socket.Ending(err)+" in the middle of the response")
	case err != nil:
		return explain2(ctx, err, t)
	}
	return judgeGRPC(stream, body, t)
}

// grpcTimeout returns the time of the whole probe, in milliseconds. The header takes eight digits.
func grpcTimeout(t *healthcheck.Target) string {
	return strconv.FormatInt(min(max(t.Config.Timeout.Milliseconds(), 1), 99999999), 10) + "m"
}

// envelope makes a message of its bytes: not compressed, with their length.
func envelope(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// judgeGRPCHeader returns a failure if the answer does not come from a gRPC server.
func judgeGRPCHeader(s *http2.Stream) healthcheck.Result {
	kind, times := http2.Value(s.Fields, "content-type")
	const usual = "application/grpc"
	rest, ok := strings.CutPrefix(strings.ToLower(kind), usual)
	switch {
	case s.Status != 200:
		return healthcheck.FailCode(healthcheck.Unexpected, s.Status, fmt.Sprintf("not gRPC: HTTP status %d", s.Status))
	case times != 1 || !ok || rest != "" && rest[0] != '+' && rest[0] != ';':
		return healthcheck.Fail(healthcheck.Malformed, "malformed response: not gRPC: the content type is not application/grpc")
	}
	return healthcheck.Result{}
}

// judgeGRPC judges a complete answer. A status counts only where the server has sent it.
func judgeGRPC(s *http2.Stream, body []byte, t *healthcheck.Target) healthcheck.Result {
	trailers := s.Trailers
	if len(trailers) == 0 && len(body) == 0 {
		trailers = s.Fields // Trailers-Only
	}
	text, times := http2.Value(trailers, "grpc-status")
	code, err := strconv.ParseUint(text, 10, 31)
	switch {
	case times == 0:
		return healthcheck.Fail(healthcheck.Malformed, "malformed response: no gRPC status")
	case times > 1 || err != nil || text[0] == '+':
		return healthcheck.Fail(healthcheck.Malformed, "malformed response: bad gRPC status")
	case code == grpcUnimplemented:
		return healthcheck.FailCode(healthcheck.Unexpected, int(code), "the server has no health service")
	case code == grpcNotFound:
		reason := fmt.Sprintf("the health service does not know %q", t.Config.Service)
		return healthcheck.FailCode(healthcheck.Unexpected, int(code), reason)
	case code != 0:
		reason := "gRPC status " + nameOf(grpcCodes, code)
		said, _ := http2.Value(trailers, "grpc-message")
		if plain, err := url.PathUnescape(said); err == nil {
			said = plain
		}
		if line := words.Line([]byte(said)); line != "" {
			reason += ": " + line
		}
		return healthcheck.FailCode(healthcheck.Unexpected, int(code), reason)
	}
	status, err := parseHealth(body)
	switch {
	case err != nil:
		return healthcheck.Fail(healthcheck.Malformed, "malformed response: "+err.Error())
	case status == serving:
		return healthcheck.Pass("SERVING")
	}
	return healthcheck.FailCode(healthcheck.Unexpected, int(status&0xffff), nameOf(servingStatuses, status)+", want SERVING")
}

// nameOf returns the name of a number, or the number.
func nameOf(names []string, n uint64) string {
	if n < uint64(len(names)) {
		return names[n]
	}
	return strconv.FormatUint(n, 10)
}

// The errors of a health service's answer.
var (
	errNoMessage  = errors.New("not one message")
	errCompressed = errors.New("compressed, which was not offered")
	errNoHealth   = errors.New("not a HealthCheckResponse")
)

// parseHealth reads the one message of an answer: a HealthCheckResponse.
func parseHealth(body []byte) (status uint64, err error) {
	if len(body) < 5 || int64(binary.BigEndian.Uint32(body[1:])) != int64(len(body)-5) {
		return 0, errNoMessage
	}
	if body[0] != 0 {
		return 0, errCompressed
	}
	for m := body[5:]; len(m) > 0; {
		number, typ, n := protowire.ConsumeTag(m)
		if n < 0 || number == 1 && typ != protowire.VarintType {
			return 0, errNoHealth
		}
		m = m[n:]
		if number == 1 {
			status, n = protowire.ConsumeVarint(m)
		} else {
			n = protowire.ConsumeFieldValue(number, typ, m)
		}
		if n < 0 {
			return 0, errNoHealth
		}
		m = m[n:]
	}
	return status, nil
}
