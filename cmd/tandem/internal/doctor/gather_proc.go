// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/lvs"
)

// DirectorRuns reports whether a director runs in this network namespace.
func DirectorRuns() bool {
	_, director := programs()
	return director != Process{}
}

// programs returns the names of the processes in this network namespace, each once, and the director if it is one of
// them. Processes that end meanwhile are skipped.
func programs() (names []string, director Process) {
	here, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return nil, director
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		ns, err := os.Readlink(filepath.Join(dir, "ns/net"))
		name, e := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil || e != nil || ns != here {
			continue
		}
		if n := strings.TrimSpace(string(name)); !slices.Contains(names, n) {
			names = append(names, n)
		}
		command, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		if args := strings.Split(string(command), "\x00"); len(args) > 1 && filepath.Base(args[0]) == "tandem" && args[1] == "run" {
			limits, _ := os.ReadFile(filepath.Join(dir, "limits"))
			stat, _ := os.ReadFile(filepath.Join(dir, "stat"))
			director = Process{parseFileLimit(string(limits)), parseStart(string(stat))}
		}
	}
	return names, director
}

// parseFileLimit returns the soft limit of a process's /proc/PID/limits; 0 if the text has none.
func parseFileLimit(text string) uint64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			if fields := strings.Fields(rest); len(fields) > 0 {
				n, err := strconv.ParseUint(fields[0], 10, 64)
				if err == nil {
					return n
				}
			}
		}
	}
	return 0
}

// parseStart returns when a process started, from its /proc/PID/stat: "pid (name) state …". The name may contain spaces
// and brackets. The 22nd field is the time since boot in hundredths of a second; 0 if the text has none.
func parseStart(text string) time.Duration {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	const start, before = 22, 2
	if len(fields) < start-before {
		return 0
	}
	n, err := strconv.ParseInt(fields[start-before-1], 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(n) * (time.Second / 100)
}

// listening returns the TCP sockets that accept connections and the UDP sockets that receive from anybody.
func listening() (all []Socket, err error) {
	for _, table := range []struct {
		file     string
		protocol lvs.Protocol
		state    string
	}{{"tcp", lvs.TCP, "0A"}, {"tcp6", lvs.TCP, "0A"}, {"udp", lvs.UDP, "07"}, {"udp6", lvs.UDP, "07"}} {
		text, err := os.ReadFile("/proc/thread-self/net/" + table.file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the kernel has no IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("failed to list sockets: %w", err)
		}
		for _, at := range parseSockets(string(text), table.state) {
			all = append(all, Socket{table.protocol, at})
		}
	}
	return all, nil
}

// parseSockets returns the sockets in the given state from the text of /proc/net/tcp, tcp6, udp or udp6:
//
//	sl  local_address rem_address   st …
//	 0: 00000000:0050 00000000:0000 0A …
//
// An address is written as 32-bit words in this machine's byte order, which must be little-endian.
func parseSockets(text, state string) []netip.AddrPort {
	var all []netip.AddrPort
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[3] != state {
			continue
		}
		words, port, _ := strings.Cut(fields[1], ":")
		raw, err := hex.DecodeString(words)
		n, e := strconv.ParseUint(port, 16, 16)
		if err != nil || e != nil || len(raw)%4 != 0 {
			continue
		}
		for i := 0; i < len(raw); i += 4 {
			slices.Reverse(raw[i : i+4])
		}
		if addr, ok := netip.AddrFromSlice(raw); ok {
			all = append(all, netip.AddrPortFrom(addr.Unmap(), uint16(n)))
		}
	}
	return all
}
