// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/http1"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/http2"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// exchange2 sends the request of an HTTP check by version 2 and judges the response. Where the check uses TLS, the
// connection is already secured.
func exchange2(ctx context.Context, conn net.Conn, t *healthcheck.Target) healthcheck.Result {
	c := &t.Config
	fields := pseudo(t, c.Method, c.Path)
	for _, h := range http1.Headers(c) {
		fields = append(fields, hpack.HeaderField{Name: strings.ToLower(h.Name), Value: h.Value})
	}
	if http1.AnnouncesLength(c) {
		fields = append(fields, hpack.HeaderField{Name: "content-length", Value: strconv.Itoa(len(c.Body))})
	}
	stream, res := ask2(ctx, conn, http2.Request{Fields: fields, Body: c.Body}, t)
	if stream == nil {
		return res
	}
	got := response{status: stream.Status, body: stream}
	for _, f := range stream.Fields {
		got.fields = append(got.fields, healthcheck.Header{Name: f.Name, Value: f.Value})
	}
	return judgeResponse(ctx, got, t)
}

// pseudo returns the pseudo-header fields of a request (RFC 9113, section 8.3.1).
func pseudo(t *healthcheck.Target, method, path string) []hpack.HeaderField {
	scheme := "http"
	if t.Config.TLS.On {
		scheme = "https"
	}
	return []hpack.HeaderField{
		{Name: ":method", Value: method}, {Name: ":scheme", Value: scheme},
		{Name: ":authority", Value: http1.Host(t)}, {Name: ":path", Value: path},
	}
}

// ask2 sends a request and reads the header of its response. Without one the stream is nil and the result says why.
func ask2(ctx context.Context, conn net.Conn, r http2.Request, t *healthcheck.Target) (*http2.Stream, healthcheck.Result) {
	stream, unsent := http2.Send(conn, r)
	switch {
	case stream == nil:
		return nil, healthcheck.Fail(healthcheck.Unexpected, "cannot be asked for: "+t.Config.Path)
	case unsent != nil && !socket.Closed(unsent):
		return nil, socket.Explain(ctx, unsent, t.Config.Timeout, "sending the request")
	}
	// A server that has hung up may have answered before: reading shows which.
	if err := stream.Response(); err != nil {
		return nil, explain2(ctx, socket.First(unsent, err), t)
	}
	return stream, healthcheck.Result{}
}

// explain2 makes a result of an error of a request by version 2.
func explain2(ctx context.Context, err error, t *healthcheck.Target) healthcheck.Result {
	var malformed *http2.Malformed
	var refused *http2.Refused
	switch {
	case errors.As(err, &malformed):
		return healthcheck.Fail(healthcheck.Malformed, malformed.Error())
	case errors.As(err, &refused):
		return healthcheck.FailCode(healthcheck.HungUp, int(refused.Code), refused.Error())
	}
	return socket.HungUp(ctx, err, t, socket.BeforeResponse, "waiting for the response")
}
