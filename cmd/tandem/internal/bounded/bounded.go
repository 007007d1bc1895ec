// SPDX-License-Identifier: Apache-2.0

// Package bounded serves HTTP to clients that are many, slow or hostile: it bounds the resources that they can use.
package bounded

import (
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// Limits are the resources that all clients of one server may use together.
type Limits struct {
	// Connections is the maximum number of open connections. More wait in the kernel and use no descriptor.
	Connections int
	// Patience is how long a connection may be open without a request, and how long a request may take to arrive.
	Patience time.Duration
	// Answer is how long a request may take from its header to the end of its answer.
	Answer time.Duration
}

// Server returns a server with the limits, and its listener.
func (l Limits) Server(handler http.Handler, listener net.Listener) (*http.Server, net.Listener) {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: l.Patience, ReadTimeout: 2 * l.Patience, IdleTimeout: l.Patience, WriteTimeout: l.Answer,
		MaxHeaderBytes: 16 << 10,
	}
	return server, netutil.LimitListener(listener, l.Connections)
}
