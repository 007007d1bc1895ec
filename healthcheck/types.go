// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"net/netip"
	"time"
)

//go:generate go tool stringer -type Type,HTTPVersion,Health -linecomment -output type_string.go

// A Type is the protocol of a check.
type Type uint8

// The check types, with their names in configuration. Exec runs a program, whose exit code 0 is a success. GRPC asks the
// standard health service, grpc.health.v1. Ping is ICMP echo. Agent reads a line of text in which the server reports its
// own state, as in HAProxy's agent check. File reads the same from a file of this machine. RADIUS asks a RADIUS server. Process
// looks for a running process of this machine, and Unit asks systemd about a unit: virtual routers track them. Neighbour asks for the
// address by ARP or neighbour discovery, on the interface Device: witnesses of virtual routers have it.
//
// A new type touches these places: the list below and its limits in validate.go and text.go; a file in healthcheck/probe, which
// probe.go calls; checkTypes and the type's own keys in configs (check.go, check_protocol_keys.go); and the page about checks of
// configs/guide.
const (
	TCP       Type = iota + 1 // tcp
	HTTP                      // http
	Exec                      // exec
	HTTPS                     // https
	GRPC                      // grpc
	DNS                       // dns
	SMTP                      // smtp
	UDP                       // udp
	Ping                      // ping
	Agent                     // agent
	Process                   // process
	Unit                      // unit
	File                      // file
	RADIUS                    // radius
	Neighbour                 // neighbour
)

// An HTTPVersion is a version of HTTP. The zero value stands for HTTP11.
type HTTPVersion uint8

// The versions, with their names in configuration. Without TLS, version 2 is h2c with prior knowledge.
const (
	HTTP10 HTTPVersion = iota + 1 // 1.0
	HTTP11                        // 1.1
	HTTP2                         // 2
)

// A Config says how a real server is checked. Start from DefaultConfig.
type Config struct {
	Type     Type
	Interval time.Duration // longest time from the start of one probe to the start of the next
	Timeout  time.Duration // for one probe as a whole; if it is above Interval, the next probe waits for the end of this one
	Rise     int           // successes in a row that make an unhealthy server healthy, at least 1
	Fall     int           // failures in a row that make a server unhealthy, at least 1
	Port     uint16        // 0: the real server's own

	IntervalDown time.Duration // replaces Interval while the server is unhealthy; 0: Interval stays
	FastInterval time.Duration // replaces both while results contradict the health; 0: both apply
	Jitter       int           // largest random cut of a pause, 0 to 50 percent
	Flap         Flap

	Address netip.Addr // the address to probe; the zero value: the real server's own
	// Via is the VIP to probe at this one server. The zero value means the server's own address. With Mark 0 the probe is a
	// single SYN to the server's hardware address: this is only for TCP checks that only connect, and for servers without a
	// router in between. With any other Mark, IPVS must send packets with this mark to this server only.
	Via    netip.Addr
	Source netip.Addr // the probes' source address; the zero value: the kernel's choice
	Mark   uint32     // firewall mark of the probes' packets; 0: none
	Device string     // the interface or VRF that the probes' sockets are bound to; empty: none

	// Command is the program of an Exec check, by its absolute path, and its arguments. No shell is involved.
	Command []string
	// User is the user of the program, by name or number. Only root can run programs as another user.
	User string
	// ExitWeight is for Exec: exit codes from 2 on are successes, and the server gets the code minus 2 as its weight. See
	// NoSuchProgram.
	ExitWeight bool

	File    string // File: its path, with Placeholders
	Process string // Process: the file name of the program; the kernel knows its first 15 bytes
	Unit    string // Unit: the name of the systemd unit: "haproxy.service"

	Send   string // TCP, UDP, Agent: bytes sent after connecting; empty: nothing
	Expect string // TCP, UDP: bytes that must be in the first 64 KiB of the answer; empty: no answer is needed
	// Forbid is for TCP and UDP: bytes that must not be in the answer. Over TCP the answer ends with the expected bytes, so
	// Expect is needed.
	Forbid string
	Steps  []Step // TCP: replaces Send, Expect and Forbid
	// IgnoreSilence is for Agent: an agent that does not answer, or not in its language, changes nothing.
	IgnoreSilence bool
	Proxy         uint8 // TCP, HTTP, HTTPS, SMTP: version of the PROXY protocol header that is sent first, 1 or 2; 0: none

	// For HTTP and HTTPS.
	Method  string // GET, HEAD, …; never CONNECT
	Path    string // with the query, begins with a slash
	Host    string // Host header; empty: the target's address
	Version HTTPVersion
	Headers []Header
	Body    string // sent with the request
	Status  []StatusRange
	Fields  []FieldRule // about the header of the response
	Content Content

	TLS TLS // HTTPS; GRPC and TCP if TLS.On

	Service string // GRPC: the name of the service; empty: the server as a whole
	Query   Query  // DNS
	Radius  Radius // RADIUS
	Hello   string // SMTP: the director's name in EHLO; empty: localhost
}

// A Header is a field of an HTTP request's header.
type Header struct {
	Name, Value string
}

// A FieldRule demands a field in the header of an HTTP response. If the response has several fields of this name, one of them
// must match.
type FieldRule struct {
	Name    string
	Matches string // a regular expression (RE2) that matches a part of the value; empty: any value
}

// A Step is one part of the conversation of a TCP check. It sends first, and then reads until it has found what it looks for.
// It has either Expect or Matches, or neither: then it reads nothing. The next step reads on behind what this one has found.
type Step struct {
	Send    string // empty: nothing
	Expect  string // bytes that must come among the next 64 KiB
	Matches string // a regular expression (RE2) that a part of the next 64 KiB must match
	Forbid  string // bytes that must not come before the end of what is expected or matches
}

// Reads reports whether the step waits for something from the server.
func (s *Step) Reads() bool { return s.Expect != "" || s.Matches != "" }

// A Content says what the body of an HTTP response must contain. At most 1 MiB of a body is read. With the zero value, any
// body passes and none is read.
type Content struct {
	Contains string // a text in the body
	Lacks    string // a text that must not be in the first 1 MiB of the body
	Matches  string // a regular expression (RE2) that matches a part of the body
	SHA256   string // of the whole body, 64 hexadecimal digits in lower case
}

// A TLS says how a connection is secured. The zero value is a connection without TLS.
type TLS struct {
	On       bool
	Insecure bool   // the server's certificate is not verified
	Name     string // the name in the certificate and in SNI; empty: the name in Host, or else the probed address
	CAFile   string // certificates (PEM) to trust; empty: the system's
	CertFile string // the director's own certificate (PEM), for servers that require one; needs KeyFile
	KeyFile  string // its key (PEM)
	Minimum  uint16 // TLS10 to TLS13; 0: TLS 1.2
}

// The versions of TLS, by their numbers in the protocol.
const (
	TLS10 uint16 = 0x0301 + iota
	TLS11
	TLS12
	TLS13
)

// A Query is the question of a DNS check.
type Query struct {
	Name   string
	Type   string // "A", "AAAA", "SOA", …
	Answer string // data that one of the answers must have, in the form of zone files; empty: any record of the type
	TCP    bool
}

// A Radius is the question of a RADIUS check. Without a user it is Status-Server (RFC 5997), and with one Access-Request.
type Radius struct {
	Secret   string // shared with the server
	User     string
	Password string
}

// A Flap says when a target flaps: when its health has changed this many times within the window. With the zero value,
// targets never flap.
type Flap struct {
	Changes int           // 0, or 2 to 100
	Window  time.Duration // above 0 unless Changes is 0
	Hold    time.Duration // how long a target that flaps stays unhealthy, each time; 0: no hold
}

// A StatusRange is a range of HTTP status codes that count as success, both ends included.
type StatusRange struct {
	First, Last int
}

// A Target is one real server under one check; for Exec, File, Process and Unit checks, anything on this machine.
type Target struct {
	ID     string         // chosen by the caller, unique among targets
	Addr   netip.AddrPort // optional for Exec, File, Process and Unit checks
	Config Config
	// Part says that the server has other checks too. Changes of the target are then only logged at a lower level: its owner
	// combines the checks.
	Part bool
}

// A Health says whether a target works, by its results so far.
type Health uint8

// The healths. A target is unknown until its first success, or Fall failures in a row.
const (
	Unknown   Health = iota + 1 // unknown
	Healthy                     // healthy
	Unhealthy                   // unhealthy
)

// An Advice is a request about a server's weight, by the server itself, by a program or by a file. The zero value requests nothing.
type Advice struct {
	Given   bool `json:"given"`
	Percent int  `json:"percent"` // of the weight, 0 to 1000
	Drain   bool `json:"drain"`   // no new connections
	// Weighed says that Weight, 0 to MaxWeight, replaces the configured weight.
	Weighed bool `json:"weighed,omitempty"`
	Weight  int  `json:"weight,omitempty"`
}

// MaxWeight is the highest weight that may be advised.
const MaxWeight = 65535

// Weigh returns the advice to give a server a weight.
func Weigh(weight int) Advice {
	return Advice{Given: true, Percent: 100, Weighed: true, Weight: weight}
}

// Shells exit with these codes if they cannot run a program, so they never stand for a weight.
const (
	NotExecutable = 126
	NoSuchProgram = 127
)

// Placeholders are replaced in the path of a File check by the address and port of the server.
const (
	AddressPlaceholder = "{address}"
	PortPlaceholder    = "{port}"
)
