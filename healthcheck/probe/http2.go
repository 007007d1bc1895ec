// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"

	"golang.org/x/net/http2"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/http1"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// http2Window is how much of a body the server may send ahead, in bytes.
const http2Window = 64 << 10

// exchange2 sends the request of an HTTP check by version 2 and judges the response.
func exchange2(ctx context.Context, conn net.Conn, t *healthcheck.Target) healthcheck.Result {
	scheme := "http"
	if t.Config.TLS.On {
		scheme = "https"
	}
	url := scheme + "://" + http1.Host(t) + t.Config.Path
	req, err := http.NewRequestWithContext(ctx, t.Config.Method, url, strings.NewReader(t.Config.Body))
	if err != nil {
		return healthcheck.Fail(healthcheck.Unexpected, "cannot be asked for: "+t.Config.Path)
	}
	for _, h := range http1.Headers(&t.Config) {
		req.Header.Add(h.Name, h.Value)
	}
	client, err := transport2(conn).NewClientConn(ctx, scheme, t.Peer().String())
	if err != nil {
		return explain2(ctx, err, t)
	}
	defer func() { _ = client.Close() }()
	resp, err := client.RoundTrip(req)
	if err != nil {
		return explain2(ctx, err, t)
	}
	defer func() { _ = resp.Body.Close() }()
	return judgeResponse(ctx, resp, t)
}

// transport2 uses version 2 on one connection. If the check uses TLS, the connection is already secured.
func transport2(conn net.Conn) *http.Transport {
	here := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	only2 := new(http.Protocols)
	only2.SetHTTP2(true)
	only2.SetUnencryptedHTTP2(true)
	return &http.Transport{
		DialContext: here, DialTLSContext: here, Protocols: only2,
		DisableCompression: true, MaxResponseHeaderBytes: http1.MaxHead,
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerConnection: http2Window, MaxReceiveBufferPerStream: http2Window},
	}
}

// explain2 makes a result of the library's errors, without text that the server sent.
func explain2(ctx context.Context, err error, t *healthcheck.Target) healthcheck.Result {
	var stream http2.StreamError
	switch {
	case errors.As(err, &stream):
		return healthcheck.FailCode(healthcheck.HungUp, int(stream.Code), "the server ended the request: "+stream.Code.String())
	case ctx.Err() != nil:
		return socket.Explain(ctx, ctx.Err(), t.Config.Timeout, "waiting for the response")
	}
	// Which of the two happened depends on what the library saw first.
	return healthcheck.Fail(healthcheck.HungUp, "connection closed before a response, or not HTTP/2")
}
