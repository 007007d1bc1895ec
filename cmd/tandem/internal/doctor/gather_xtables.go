// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"os"
	"os/exec"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readXtables reads the tables of iptables-legacy and ip6tables-legacy. Tables that cannot be read are left out.
func readXtables() (all []xtable) {
	if bits.UintSize != 64 {
		return nil
	}
	for _, family := range []struct {
		six             bool
		names, program  string
		domain, level   int
		info, entriesOf int // options (IPT_SO_GET_INFO, IP6T_SO_GET_INFO and so on)
	}{
		{false, "ip_tables_names", "iptables", unix.AF_INET, unix.SOL_IP, 64, 65},
		{true, "ip6_tables_names", "ip6tables", unix.AF_INET6, unix.SOL_IPV6, 64, 65},
	} {
		// The kernel makes a table when somebody asks for it, so only those are asked for that are there.
		names, err := os.ReadFile("/proc/thread-self/net/" + family.names)
		if err != nil || len(names) == 0 {
			continue
		}
		fd, err := unix.Socket(family.domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			continue
		}
		for _, name := range strings.Fields(string(names)) {
			if name == "nat" {
				continue // it drops nothing
			}
			if t, err := readXtable(fd, family.level, family.info, family.entriesOf, name); err == nil {
				t.six, t.program = family.six, legacyName(family.program)
				all = append(all, t)
			}
		}
		_ = unix.Close(fd)
	}
	return all
}

// legacyName returns the name of the program that changes these tables. Machines that have both variants have it under this
// name.
func legacyName(program string) string {
	if _, err := exec.LookPath(program + "-legacy"); err == nil {
		return program + "-legacy"
	}
	return program
}

// An xinfo is struct ipt_getinfo.
type xinfo struct {
	name          [32]byte
	valid         uint32 // hooks
	first, policy [5]uint32
	entries, size uint32
}

var errTooLarge = errors.New("the table is too large")

// readXtable reads one table.
func readXtable(fd, level, infoOption, entriesOption int, name string) (t xtable, err error) {
	const (
		tries   = 3
		largest = 64 << 20
		header  = 40 // struct ipt_get_entries: the name, the size, and padding
	)
	for range tries {
		var info xinfo
		copy(info.name[:len(info.name)-1], name)
		if err = getsockopt(fd, level, infoOption, unsafe.Slice((*byte)(unsafe.Pointer(&info)), unsafe.Sizeof(info))); err != nil {
			return t, err
		}
		if info.size > largest {
			return t, errTooLarge
		}
		b := make([]byte, header+int(info.size))
		copy(b, info.name[:])
		binary.NativeEndian.PutUint32(b[len(info.name):], info.size)
		if err = getsockopt(fd, level, entriesOption, b); errors.Is(err, unix.EAGAIN) {
			continue // the table has changed
		} else if err != nil {
			return t, err
		}
		t = xtable{name: name, hooks: make(map[hook]xhook), entries: b[header:]}
		for at := range hookNames {
			if info.valid&(1<<at) != 0 {
				t.hooks[at] = xhook{info.first[at], info.policy[at]}
			}
		}
		return t, nil
	}
	return t, err
}

// getsockopt fills a buffer, whose size must be that of the value.
func getsockopt(fd, level, option int, b []byte) error {
	size := uint32(len(b))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
