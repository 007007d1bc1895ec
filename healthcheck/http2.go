// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"

	"golang.org/x/net/http2"
)

// http2Window is how much of a body the server may send ahead, in bytes.
const http2Window = 64 << 10

// exchange2 sends the request of an HTTP check by version 2 and judges the response.
func exchange2(ctx context.Context, conn net.Conn, t Target) result {
	c := t.Config
	transport, err := http2.ConfigureTransports(&http.Transport{
		DisableCompression: true,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerConnection: http2Window, MaxReceiveBufferPerStream: http2Window, MaxReadFrameSize: 16 << 10,
		},
	})
	if err != nil {
		return fail(err.Error())
	}
	transport.MaxHeaderListSize = maxHead
	transport.AllowHTTP = true // where there is no TLS
	client, err := transport.NewClientConn(conn)
	if err != nil {
		return explain2(ctx, err, t, "sending the request")
	}
	defer func() { _ = client.Close() }()
	scheme := "http"
	if c.TLS.On {
		scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, c.Method, scheme+"://"+host(t)+c.Path, strings.NewReader(c.Body))
	if err != nil {
		return fail("cannot be asked for: " + c.Path)
	}
	for _, h := range headers(c) {
		req.Header.Add(h.Name, h.Value)
	}
	resp, err := client.RoundTrip(req)
	if err != nil {
		return explain2(ctx, err, t, "waiting for the response")
	}
	defer func() { _ = resp.Body.Close() }()
	return judgeResponse(ctx, resp, t)
}

// explain2 puts the library's errors into words, without those that the server chose.
func explain2(ctx context.Context, err error, t Target, doing string) result {
	var stream http2.StreamError
	var connection http2.ConnectionError
	var away http2.GoAwayError
	switch {
	case errors.As(err, &stream):
		return fail("the server ended the request: " + stream.Code.String())
	case errors.As(err, &away):
		return fail("the server ended the connection: " + away.ErrCode.String())
	case errors.As(err, &connection):
		return fail("malformed response: " + http2.ErrCode(connection).String())
	case ctx.Err() != nil:
		return explain(ctx, ctx.Err(), t.Config.Timeout, doing)
	case closed(err), errors.Is(err, io.ErrUnexpectedEOF):
		return fail(hungUpEarly)
	}
	return fail("malformed response: not HTTP/2")
}
