// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs/traffic"
)

// A look at the connections reads the beginning of the kernel's table, up to maxConnections of them. It stops earlier when it
// has used connectionBudget of processor time, but not before it has read minConnections. The kernel finds the place of each page
// by counting from the table's beginning, so that reading all of a large table takes a time that grows with the square of its
// size: 10 s for 40,000 connections on an emulated processor, and 30 s for 70,000.
const (
	maxConnections   = 8192
	minConnections   = 512
	connectionBudget = 10 * time.Millisecond
)

// Connections reads the kernel's connection table. It has one caller at a time.
type Connections struct {
	path string // of the table as text; empty: the kernel's
	page []byte
	look []traffic.Connection
}

// Look returns TCP connections that this director has scheduled, those that it learned by connection sync left out. It says
// whether these are all, and how much processor time it took. The next Look overwrites the slice. The table is that of the
// calling thread's network namespace. If the kernel has no IPVS, the error wraps ErrAbsent.
func (c *Connections) Look() (look []traffic.Connection, whole bool, cost time.Duration, err error) {
	runtime.LockOSThread() // for the thread's processor time
	defer runtime.UnlockOSThread()
	began := threadTime()
	path := c.path
	if path == "" {
		path = "/proc/thread-self/net/ip_vs_conn_sync"
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil, false, 0, ErrAbsent
	}
	if err != nil {
		return nil, false, 0, fmt.Errorf("failed to open %s: %w", path, err)
	}
	defer unix.Close(fd) // it was only read
	if c.page == nil {
		c.page = make([]byte, readSize)
	}
	c.look = c.look[:0]
	rows := 0
	for rows < maxConnections && (rows < minConnections || threadTime()-began < connectionBudget) {
		n, err := unix.Read(fd, c.page)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, false, threadTime() - began, fmt.Errorf("failed to read %s: %w", path, err)
		case n == 0:
			return c.look, true, threadTime() - began, nil
		}
		// The kernel returns whole lines. Nothing of the text is kept.
		rows += c.parse(unsafe.String(&c.page[0], n))
	}
	return c.look, false, threadTime() - began, nil
}

// parse adds the connections of a page, and returns the number of its lines.
func (c *Connections) parse(page string) (lines int) {
	for len(page) > 0 {
		line := page
		if i := strings.IndexByte(page, '\n'); i >= 0 {
			line, page = page[:i], page[i+1:]
		} else {
			page = ""
		}
		lines++
		if is, ok := parseConnection(line); ok {
			c.look = append(c.look, is)
		}
	}
	return lines
}

// connectionStates are the states as the kernel prints them. It counts a FIN or a reset of the client as an answer too: the
// client has got one.
var connectionStates = map[string]traffic.State{
	"SYN_RECV": traffic.Waiting, "SYNACK": traffic.Waiting,
	"ESTABLISHED": traffic.Answered, "FIN_WAIT": traffic.Answered, "TIME_WAIT": traffic.Answered,
	"CLOSE_WAIT": traffic.Answered, "LAST_ACK": traffic.Answered,
	"CLOSE": traffic.Closed,
}

// parseConnection parses a line of /proc/net/ip_vs_conn_sync. It is not ok for connections of other protocols or of other
// origin, and for the templates of persistence, which have no state.
func parseConnection(line string) (c traffic.Connection, ok bool) {
	if c, ok, fixed := parseFixed(line); fixed {
		return c, ok
	}
	var f [9]string
	for i := range f {
		line, f[i] = cutField(line)
	}
	state := connectionStates[f[7]]
	if f[0] != "TCP" || f[8] != "LOCAL" || state == 0 {
		return c, false
	}
	client, ok1 := parseEndpoint(f[1], f[2])
	virtual, ok2 := parseEndpoint(f[3], f[4])
	server, ok3 := parseEndpoint(f[5], f[6])
	return traffic.Connection{Client: client, Virtual: virtual, Server: server, State: state}, ok1 && ok2 && ok3
}

// parseFixed parses a line of IPv4, whose columns are fixed: "TCP C6336407 CE14 C0000264 0051 C000020C 0051 SYN_RECV    LOCAL ".
// This takes a third of the time.
func parseFixed(line string) (c traffic.Connection, ok, fixed bool) {
	const client, virtual, server, state, origin, end = 4, 18, 32, 46, 58, 64
	if len(line) < end {
		return c, false, false
	}
	for _, column := range []int{client, virtual, server, state, origin} {
		if line[column-1] != ' ' {
			return c, false, false
		}
	}
	if line[:client] != "TCP " || line[origin:end] != "LOCAL " {
		return c, false, true
	}
	c.State = connectionStates[strings.TrimRight(line[state:origin], " ")]
	from := parseFixedEndpoint(line[client:], &c.Client)
	if at := parseFixedEndpoint(line[virtual:], &c.Virtual); !from || !at || !parseFixedEndpoint(line[server:], &c.Server) {
		return c, false, false
	}
	return c, c.State != 0, true
}

// parseFixedEndpoint parses "C6336407 CE14".
func parseFixedEndpoint(s string, to *netip.AddrPort) (ok bool) {
	addr, bad := hex4(s[0:4])
	low, bad2 := hex4(s[4:8])
	port, bad3 := hex4(s[9:13])
	*to = netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(addr >> 8), byte(addr), byte(low >> 8), byte(low)}), port)
	return s[8] == ' ' && !bad && !bad2 && !bad3
}

// hex4 parses four hexadecimal digits.
func hex4(s string) (n uint16, bad bool) {
	for i := range 4 {
		d := hexDigits[s[i]]
		bad = bad || d == 0
		n = n<<4 | uint16(d-1)
	}
	return n, bad
}

// hexDigits are the values of hexadecimal digits plus 1.
var hexDigits = func() (digits [256]uint8) {
	for i := range 10 {
		digits['0'+i] = uint8(i + 1)
	}
	for i := range 6 {
		digits['A'+i] = uint8(i + 11)
	}
	return digits
}()

// cutField returns the first word of a line, and the rest.
func cutField(line string) (rest, field string) {
	i := 0
	for i < len(line) && line[i] == ' ' {
		i++
	}
	line = line[i:]
	if i = strings.IndexByte(line, ' '); i < 0 {
		return "", line
	}
	return line[i:], line[:i]
}

// parseEndpoint parses an address and a port: both hexadecimal, but IPv6 addresses in full as usual.
func parseEndpoint(addr, port string) (netip.AddrPort, bool) {
	p, ok := parseHex(port)
	if !ok || p > 0xffff {
		return netip.AddrPort{}, false
	}
	if len(addr) == 8 {
		a, ok := parseHex(addr)
		is := netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)})
		return netip.AddrPortFrom(is, uint16(p)), ok
	}
	is, err := netip.ParseAddr(addr)
	return netip.AddrPortFrom(is, uint16(p)), err == nil
}

func parseHex(s string) (n uint32, ok bool) {
	if len(s) == 0 || len(s) > 8 {
		return 0, false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			n = n<<4 | uint32(c-'0')
		case c >= 'A' && c <= 'F':
			n = n<<4 | uint32(c-'A'+10)
		case c >= 'a' && c <= 'f':
			n = n<<4 | uint32(c-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}
