// SPDX-License-Identifier: Apache-2.0

package script

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A tag identifies the descendants of one run of a program. It is a value of RLIMIT_LOCKS, which Linux has ignored since
// 2.4.25 (getrlimit(2)). Every process inherits it from its parent and keeps it over setsid, exec, an empty environment,
// another user, and its parent's death; and every user may read it in /proc. A cgroup would do the same, but not every
// machine lets a director make one; and a subreaper does not tell whose orphan it gets.
//
// From the highest bit: 1 bit 0, 7 bits tagMagic, 12 bits of the PID namespace, 22 bits the director's process, 8 bits of
// its time of start, 14 bits a number.
type tag uint64

const (
	tagMagic   = 0x5a
	numberBits = 14
	startBits  = 8
	pidBits    = 22
	spaceBits  = 12
)

func low(n uint64, bits int) uint64 { return n & (1<<bits - 1) }

// director returns the part of a tag that all programs of a director share.
func (t tag) director() tag { return t >> numberBits }

// pid returns the director's process.
func (t tag) pid() int { return int(low(uint64(t)>>(numberBits+startBits), pidBits)) }

// directorTag returns the director's part of the tags of a process.
func directorTag(space uint64, pid int, start uint64) tag {
	return tag(((tagMagic<<spaceBits|low(space, spaceBits))<<pidBits|low(uint64(pid), pidBits))<<startBits | low(start, startBits))
}

// ownTag returns the part of a tag that stands for this process.
var ownTag = sync.OnceValues(func() (tag, error) {
	space, err := pidSpace()
	if err != nil {
		return 0, err
	}
	self, err := statOf(os.Getpid())
	return directorTag(space, os.Getpid(), self.start), err
})

// lastNumber is the number of the latest tag.
var lastNumber atomic.Uint64

// newTag makes a tag; 0: this process cannot make one.
func newTag() tag {
	own, err := ownTag()
	if err != nil {
		return 0
	}
	return own<<numberBits | tag(low(lastNumber.Add(1), numberBits))
}

// pidSpace returns the number of this process's PID namespace.
func pidSpace() (n uint64, err error) {
	text, err := os.Readlink("/proc/self/ns/pid")
	if err == nil {
		_, err = fmt.Sscanf(text, "pid:[%d]", &n)
	}
	return n, err
}

// tagging is locked while this process has a tag. So only one program starts at a time, as always in Go.
var tagging sync.Mutex

// withTag runs start, which starts a program, so that the program inherits a tag from its first moment. Another process
// that this one starts meanwhile inherits the tag too, but stays in this one's session, in which a sweep kills nobody.
// Where the limit cannot be set, because somebody has lowered its maximum, only the program's process group is found.
func withTag(t tag, start func() (*os.Process, error)) (*os.Process, error) {
	tagging.Lock()
	defer tagging.Unlock()
	var was unix.Rlimit
	if t != 0 && unix.Getrlimit(unix.RLIMIT_LOCKS, &was) == nil {
		tagged := unix.Rlimit{Cur: uint64(t), Max: was.Max}
		if unix.Setrlimit(unix.RLIMIT_LOCKS, &tagged) == nil {
			defer func() { _ = unix.Setrlimit(unix.RLIMIT_LOCKS, &was) }()
		}
	}
	return start()
}

// tagOf returns the tag of a process; 0: it has none.
func tagOf(pid int) tag {
	text, err := readProc(pid, "limits")
	if err != nil {
		return 0
	}
	_, line, found := strings.Cut(text, "Max file locks")
	var t tag
	if _, err := fmt.Sscan(line, &t); !found || err != nil || t>>(numberBits+startBits+pidBits+spaceBits) != tagMagic {
		return 0
	}
	return t
}

// readProc reads a short file about a process.
func readProc(pid int, name string) (string, error) {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/%s", pid, name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer func() { _ = unix.Close(fd) }()
	var buf [2048]byte
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// A processStat is a part of /proc/PID/stat.
type processStat struct {
	zombie  bool
	group   int
	session int
	start   uint64 // in ticks since the machine has booted
}

// tick is the unit of times in /proc (USER_HZ).
const tick = 10 * time.Millisecond

// ticksNow returns the present moment, as a processStat has it.
func ticksNow() uint64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0
	}
	return uint64(ts.Nano() / int64(tick))
}

func statOf(pid int) (s processStat, err error) {
	text, err := readProc(pid, "stat")
	if err != nil {
		return s, err
	}
	// The name, in parentheses, may hold anything.
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return s, fmt.Errorf("failed to read the state of process %d", pid)
	}
	s.zombie = fields[0] == "Z"
	_, err = fmt.Sscan(strings.Join([]string{fields[2], fields[3], fields[19]}, " "), &s.group, &s.session, &s.start)
	return s, err
}
