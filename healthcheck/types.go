// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"net/netip"
	"time"
)

// A Type is what a check speaks.
type Type uint8

// The check types, by their names in configuration: tcp, http, exec.
const (
	TCP Type = iota + 1
	HTTP
	Exec // runs a program; exit code 0 is success
)

// A Config is how a real server is checked. DefaultConfig gives one to start from.
type Config struct {
	Type     Type
	Interval time.Duration // from the start of one probe to the start of the next, at the longest
	Timeout  time.Duration // for one probe as a whole, at most Interval
	Rise     int           // successes in a row that make an unhealthy server healthy, at least 1
	Fall     int           // failures in a row that make a server unhealthy, at least 1
	Port     uint16        // 0: the real server's own

	// Command is the program of an Exec check, by its absolute path, and its arguments. No shell is involved.
	Command []string
	// User is whom the program runs as, by name or number. Any other than the director's own takes root.
	User string

	// The rest is for HTTP.
	Method string // GET, HEAD, …; CONNECT is none for a check
	Path   string // with the query, begins with a slash
	Host   string // Host header; empty: the target's address
	Status []StatusRange
}

// A StatusRange is a range of HTTP status codes that count as success, both ends included.
type StatusRange struct {
	First, Last int
}

// A Target is one real server, or anything else that a program can judge, under one check.
type Target struct {
	ID     string         // the caller's, unique among targets
	Addr   netip.AddrPort // an Exec check can do without
	Config Config
}

// A Health is what the checks of a target have established.
type Health uint8

// The healths: unknown, healthy, unhealthy. A target is unknown until its first success, or Fall failures in a row.
const (
	Unknown Health = iota + 1
	Healthy
	Unhealthy
)

// A Verdict is a change of a target's health, or of the reason why it is unhealthy.
type Verdict struct {
	ID     string
	Health Health
	Reason string    // in words: "connection refused", "status 503, want 200"
	Since  time.Time // when Health became what it is
}
