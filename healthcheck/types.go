// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"net/netip"
	"time"
)

// A Type is what a check speaks.
type Type uint8

// The check types, by their names in configuration: tcp, http, exec, https, grpc, dns, smtp, udp, ping, agent.
const (
	TCP Type = iota + 1
	HTTP
	Exec // runs a program; exit code 0 is success
	HTTPS
	GRPC // the standard health service, grpc.health.v1
	DNS
	SMTP
	UDP
	Ping  // ICMP echo
	Agent // a line of text in which the server says how it is, as HAProxy's agent check has it
)

// An HTTPVersion is a version of HTTP. The zero value stands for HTTP11.
type HTTPVersion uint8

// The versions, by their names in configuration: 1.0, 1.1, 2. Version 2 is spoken at once where there is no TLS.
const (
	HTTP10 HTTPVersion = iota + 1
	HTTP11
	HTTP2
)

// A Config is how a real server is checked. DefaultConfig gives one to start from.
type Config struct {
	Type     Type
	Interval time.Duration // from the start of one probe to the start of the next, at the longest
	Timeout  time.Duration // for one probe as a whole, at most Interval
	Rise     int           // successes in a row that make an unhealthy server healthy, at least 1
	Fall     int           // failures in a row that make a server unhealthy, at least 1
	Port     uint16        // 0: the real server's own

	IntervalDown time.Duration // takes the place of Interval while the server is unhealthy; 0: Interval does
	FastInterval time.Duration // takes the place of both while results contradict the health; 0: nothing does
	Jitter       int           // by how much a pause may be shortened at random, 0 to 50 percent
	Flap         Flap

	Address netip.Addr // probed in the place of the real server's own; the zero value: the real server's own
	// Via is the VIP that is probed, at this one server; the zero value: its own address. With Mark 0 a SYN goes out by
	// itself, for checks of TCP that only connect, to a server without a router between. With any other Mark, IPVS must
	// lead that mark to this server and no other.
	Via    netip.Addr
	Source netip.Addr // the director's address that probes come from; the zero value: the kernel's choice
	Mark   uint32     // firewall mark of the probes' packets; 0: none

	// Command is the program of an Exec check, by its absolute path, and its arguments. No shell is involved.
	Command []string
	// User is whom the program runs as, by name or number. Any other than the director's own takes root.
	User string

	Send   string // TCP, UDP, Agent: sent once connected; empty: nothing
	Expect string // TCP, UDP: must be among the first 64 KiB of the answer; empty: no answer is needed

	// For HTTP and HTTPS.
	Method  string // GET, HEAD, …; CONNECT is none for a check
	Path    string // with the query, begins with a slash
	Host    string // Host header; empty: the target's address
	Version HTTPVersion
	Headers []Header
	Body    string // sent with the request
	Status  []StatusRange
	Content Content

	TLS TLS // HTTPS, and GRPC where TLS.On

	Service string // GRPC: the service that is asked about; empty: the server as a whole
	Query   Query  // DNS
	Hello   string // SMTP: what the director calls itself; empty: localhost
}

// A Header is a line of an HTTP request's header.
type Header struct {
	Name, Value string
}

// A Content is what the body of an HTTP response must be like. Of a body no more than 1 MiB is read. The zero value has
// nothing against any, and none is read.
type Content struct {
	Contains string // a part of it
	Matches  string // a regular expression (RE2) that matches a part of it
	SHA256   string // of the whole of it, 64 hexadecimal digits in lower case
}

// A TLS is how a connection is secured. The zero value is none.
type TLS struct {
	On       bool
	Insecure bool   // the server's certificate is not verified
	Name     string // that the certificate must be for and that is sent as SNI; empty: Host's, else the address probed
	CAFile   string // certificates (PEM) to trust instead of the system's; empty: the system's
	CertFile string // the director's own certificate and key (PEM), where the server asks for one; or neither
	KeyFile  string
	Minimum  uint16 // TLS10 to TLS13; 0: TLS 1.2
}

// The versions of TLS, by their numbers in the protocol.
const (
	TLS10 uint16 = 0x0301 + iota
	TLS11
	TLS12
	TLS13
)

// A Query is what a DNS check asks.
type Query struct {
	Name   string
	Type   string // "A", "AAAA", "SOA", …
	Answer string // among the answers, as a zone file has its data; empty: any record of the type
	TCP    bool
}

// A Flap says when a target counts as flapping: its health changed that many times within the window. The zero value never.
type Flap struct {
	Changes int           // 0, or 2 to 100
	Window  time.Duration // above 0 unless Changes is 0
	Hold    time.Duration // it is held to be unhealthy for so long, each time; 0: it is not
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
	// Part tells that there are others of the same server. Its changes are logged as details: what they say together is
	// its owner's to work out.
	Part bool
}

// A Health is what the checks of a target have established.
type Health uint8

// The healths: unknown, healthy, unhealthy. A target is unknown until its first success, or Fall failures in a row.
const (
	Unknown Health = iota + 1
	Healthy
	Unhealthy
)

// An Advice is what a server says of its own weight. The zero value is nothing.
type Advice struct {
	Given   bool `json:"given"`
	Percent int  `json:"percent"` // of the configured weight, 0 to 1000
	Drain   bool `json:"drain"`   // no new connections
}
