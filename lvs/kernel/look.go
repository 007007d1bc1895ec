// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// readSize is the size of the buffer for the table's text. It is more than one system call returns. The kernel returns a page
// (4 KiB) or one large service, for which the buffer grows.
const readSize = 8 << 10

// rowProtocols are the protocols as the kernel prints them.
var rowProtocols = map[string]lvs.Protocol{"TCP": lvs.TCP, "UDP": lvs.UDP, "SCTP": lvs.SCTP}

// Look returns the whole table as its text shows it. This takes a tenth of Read's time, and does not use the session. The
// table is that of the calling thread's network namespace. If the kernel has no IPVS, the error wraps ErrAbsent. See
// textSweep for rows that may be missing.
func (k *IPVS) Look(ctx context.Context) ([]lvs.Row, error) {
	s := k.sweep()
	defer s.close()
	var rows []lvs.Row
	for more := true; more; {
		err := ctx.Err()
		if err == nil {
			more, err = s.next(func(r *lvs.Row) {
				rows = append(rows, lvs.Row{Service: r.Service, Servers: slices.Clone(r.Servers)})
			})
		}
		if err != nil {
			return nil, fmt.Errorf("failed to look at IPVS table: %w", err)
		}
	}
	return rows, nil
}

// A textSweep reads the table as text, page by page. It opens the file at the first page, and so reads the table of the
// namespace of the thread that asks for that page.
//
// The kernel returns whole services, one page (4 KiB) at a time. While other namespaces have services too, rows after the
// first page may be missing: when the kernel continues, it skips one service of this namespace for every service of another
// namespace that it has passed (ip_vs_info_seq_next counts them, ip_vs_info_array does not). So a present row is right. A
// missing row is a reason to Read.
type textSweep struct {
	path   string
	open   bool
	fd     int
	page   []byte
	parser rowParser
}

// sweep returns a sweep over the kernel's table.
func (k *IPVS) sweep() sweep { return &textSweep{path: k.path} }

func (s *textSweep) close() {
	if s.open {
		_ = unix.Close(s.fd) // it was only read
	}
}

// next calls each for the services of the next page. A row is valid until each returns. When next returns false, there are no
// more pages. If the kernel has no IPVS, the error wraps ErrAbsent.
func (s *textSweep) next(each func(*lvs.Row)) (more bool, err error) {
	if !s.open {
		// The runtime's poller would watch an os.File, because the kernel says that files below /proc can be polled. Each
		// opening would wake the poller.
		s.fd, err = unix.Open(s.path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT {
			return false, ErrAbsent
		}
		if err != nil {
			return false, fmt.Errorf("failed to open %s: %w", s.path, err)
		}
		s.open = true
		s.page = make([]byte, readSize)
	}
	n := 0
	for {
		m, err := unix.Read(s.fd, s.page[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("failed to read %s: %w", s.path, err)
		}
		if m == 0 {
			break
		}
		n += m
		if more = n < len(s.page); more {
			break
		}
		s.page = append(s.page, make([]byte, len(s.page))...) // one service of thousands of servers
	}
	// The parser keeps nothing of the text, so that the page can be used again.
	if err := s.parser.parse(unsafe.String(&s.page[0], n), each); err != nil {
		return false, fmt.Errorf("%s: %w", s.path, err)
	}
	return more, nil
}

// A rowParser parses /proc/net/ip_vs, which the kernel's ip_vs_info_seq_show writes. Like Read it ignores services of
// protocols that tandem does not manage. It keeps nothing of the text.
type rowParser struct {
	lines int
	row   lvs.Row // its memory serves for all rows
}

// parse parses the lines of whole services and calls each for each service.
func (p *rowParser) parse(text string, each func(*lvs.Row)) error {
	open := false // the row belongs to a service that is not ignored
	flush := func() {
		if !open {
			return
		}
		if p.row.FWMark != 0 && len(p.row.Servers) > 0 {
			p.row.Family = lvs.FamilyOf(p.row.Servers[0].Addr)
		}
		each(&p.row)
	}
	for line := range strings.Lines(text) {
		p.lines++
		if p.lines <= 3 { // version and column heads
			continue
		}
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "  -> "); ok {
			if !open {
				continue
			}
			server, err := parseServerRow(rest)
			if err != nil {
				return fmt.Errorf("line %d: %w", p.lines, err)
			}
			p.row.Servers = append(p.row.Servers, server)
			continue
		}
		flush()
		var err error
		p.row.Servers = p.row.Servers[:0]
		if p.row.Service, open, err = parseServiceRow(line); err != nil {
			return fmt.Errorf("line %d: %w", p.lines, err)
		}
	}
	flush()
	return nil
}

// parseServiceRow parses "TCP  C0000264:0050 wrr ops persistent 300 FFFFFFFF" and "FWM  00000001 rr".
func parseServiceRow(line string) (s lvs.Service, ok bool, err error) {
	kind, rest := field(line)
	address, rest := field(rest)
	scheduler, rest := field(rest)
	if scheduler == "" {
		return lvs.Service{}, false, fmt.Errorf("service %q: too few fields", line)
	}
	switch kind {
	case "FWM":
		mark, err := strconv.ParseUint(address, 16, 32)
		if err != nil {
			return lvs.Service{}, false, fmt.Errorf("firewall mark: %w", err)
		}
		s.FWMark = uint32(mark)
		ok = mark != 0
	case "TCP", "UDP", "SCTP":
		s.Protocol = rowProtocols[kind]
		if s.Addr, s.Port, err = parseHexAddr(address); err != nil {
			return lvs.Service{}, false, err
		}
		ok = true
	default:
		return lvs.Service{}, false, nil
	}
	s.Scheduler = intern(scheduler)
	for _, option := range strings.Fields(rest) {
		switch option {
		case "ops":
			s.Flags |= lvs.OnePacket
		case "persistent":
			s.Flags |= lvs.Persistent
		}
	}
	return s, ok, nil
}

// parseServerRow parses "C000020B:0050      Route   1      0          0".
func parseServerRow(line string) (s lvs.ServerRow, err error) {
	address, rest := field(line)
	method, rest := field(rest)
	if s.Addr, s.Port, err = parseHexAddr(address); err != nil {
		return lvs.ServerRow{}, err
	}
	switch method {
	case "Route":
		s.Method = lvs.DR
	case "Masq":
		s.Method = lvs.NAT
	case "Tunnel":
		s.Method = lvs.Tunnel
	}
	for _, count := range []*int{&s.Weight, &s.Active, &s.Inactive} {
		var number string
		number, rest = field(rest)
		if *count, err = strconv.Atoi(number); err != nil {
			return lvs.ServerRow{}, fmt.Errorf("server %q: %w", line, err)
		}
	}
	return s, nil
}

// parseHexAddr parses "C000020B:0050" and "[2001:0db8:0000:0000:0000:0000:0000:0100]:0050".
func parseHexAddr(s string) (addr netip.Addr, port uint16, err error) {
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 {
		return addr, 0, fmt.Errorf("address %q: no port", s)
	}
	p, err := strconv.ParseUint(s[colon+1:], 16, 16)
	if err != nil {
		return addr, 0, fmt.Errorf("address %q: %w", s, err)
	}
	host := s[:colon]
	if inner, ok := strings.CutPrefix(host, "["); ok {
		addr, err = netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err == nil && (!addr.Is6() || addr.Zone() != "") {
			err = errors.New("not a plain IPv6 address")
		}
	} else {
		var b [4]byte
		if len(host) != 2*len(b) {
			return addr, 0, fmt.Errorf("address %q: want 8 hexadecimal digits", s)
		}
		_, err = hex.Decode(b[:], []byte(host))
		addr = netip.AddrFrom4(b)
	}
	if err != nil {
		return netip.Addr{}, 0, fmt.Errorf("address %q: %w", s, err)
	}
	return addr, uint16(p), nil
}

// field splits s into its first field and the rest. Blanks separate fields.
func field(s string) (first, rest string) {
	s = strings.TrimLeft(s, " ")
	if i := strings.IndexByte(s, ' '); i >= 0 {
		return s[:i], strings.TrimLeft(s[i:], " ")
	}
	return s, ""
}

// knownSchedulers are the names that intern returns without a copy.
var knownSchedulers = lvs.Schedulers()

// intern returns a name that does not keep the text in memory.
func intern[T ~string | ~[]byte](name T) string {
	for _, s := range knownSchedulers {
		if s == string(name) {
			return s
		}
	}
	return strings.Clone(string(name))
}
