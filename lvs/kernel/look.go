// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/tandem-lvs/tandem/lvs"
)

// readSize is how much of the table one system call may return. The kernel returns a page (4 KiB) or one service.
const readSize = 64 << 10

// rowProtocols are the protocols as the kernel prints them.
var rowProtocols = map[string]lvs.Protocol{"TCP": lvs.TCP, "UDP": lvs.UDP, "SCTP": lvs.SCTP}

// Look reads the table as text, which costs a tenth of Read and takes nobody's turn. The table is that of the calling
// thread's network namespace. The error wraps ErrAbsent if the kernel has none.
//
// While other namespaces have services too, the kernel may leave rows out after the first page: where it goes on, it
// skips one service of this namespace for every one of another that it has passed (ip_vs_info_seq_next counts them,
// ip_vs_info_array does not). So a row that is there can be believed, one that is missing is a reason to Read.
func (k *IPVS) Look(ctx context.Context) ([]lvs.Row, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("look at IPVS table: %w", err)
	}
	text, err := readPages(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look at IPVS table: %w", ErrAbsent)
	}
	if err != nil {
		return nil, fmt.Errorf("look at IPVS table: %w", err)
	}
	rows, err := parseTable(text)
	if err != nil {
		return nil, fmt.Errorf("look at IPVS table: %s: %w", k.path, err)
	}
	return rows, nil
}

// readPages reads the whole file in as few system calls as the kernel allows.
func readPages(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var text []byte
	for {
		text = slices.Grow(text, readSize)
		n, err := f.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		if errors.Is(err, io.EOF) {
			return string(text), nil
		}
		if err != nil {
			return "", err
		}
	}
}

// parseTable parses /proc/net/ip_vs, which the kernel's ip_vs_info_seq_show writes. Like Read it leaves out services
// of protocols that tandem does not manage.
func parseTable(text string) ([]lvs.Row, error) {
	var rows []lvs.Row
	skip := true // servers before the first service, and servers of a service that is left out
	number := 0
	for line := range strings.Lines(text) {
		number++
		if number <= 3 { // version and column heads
			continue
		}
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "  -> "); ok {
			if skip {
				continue
			}
			server, err := parseServerRow(rest)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
			row := &rows[len(rows)-1]
			row.Servers = append(row.Servers, server)
			continue
		}
		service, ok, err := parseServiceRow(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if skip = !ok; ok {
			rows = append(rows, lvs.Row{Service: service})
		}
	}
	for i := range rows {
		if row := &rows[i]; row.FWMark != 0 && len(row.Servers) > 0 {
			row.Family = lvs.FamilyOf(row.Servers[0].Addr)
		}
	}
	return rows, nil
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

// field cuts the first of the blank-separated fields of s off, without allocating.
func field(s string) (first, rest string) {
	s = strings.TrimLeft(s, " ")
	if i := strings.IndexByte(s, ' '); i >= 0 {
		return s[:i], strings.TrimLeft(s[i:], " ")
	}
	return s, ""
}

// knownSchedulers are the names that intern gives back.
var knownSchedulers = lvs.Schedulers()

// intern returns the scheduler's name without keeping the whole text of the table alive.
func intern[T ~string | ~[]byte](name T) string {
	for _, s := range knownSchedulers {
		if s == string(name) {
			return s
		}
	}
	return strings.Clone(string(name))
}
