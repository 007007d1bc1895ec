// SPDX-License-Identifier: Apache-2.0

// Package board lets a director see when each router of its election last advertised, also after the election was killed.
//
// The two processes share a few pages of memory. The election writes a number there after each advertisement, which costs no system
// call and wakes nobody. The director reads the numbers when the election is dead: from them it knows when the peer may take over.
package board

import (
	"fmt"
	"hash/fnv"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// slots is the number of routers that have room. It is a power of two.
const slots = 1024

// A slot is that of one router. The key is a hash of its name; 0: the slot is free.
type slot struct {
	key   atomic.Uint64
	spoke atomic.Int64
}

const size = slots * int(unsafe.Sizeof(slot{}))

// A Board is the shared memory, as one of the processes sees it. It stays mapped as long as the process uses it.
type Board struct{ slots []slot }

// New makes a board. The other process opens it by the descriptor of the file.
func New() (*Board, *os.File, error) {
	fd, err := unix.MemfdCreate("tandem-election", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, nil, fmt.Errorf("failed to make memory to share with the election process: %w", err)
	}
	file := os.NewFile(uintptr(fd), "election board")
	if err = file.Truncate(int64(size)); err == nil {
		var b *Board
		if b, err = Open(fd); err == nil {
			return b, file, nil
		}
	}
	_ = file.Close()
	return nil, nil, fmt.Errorf("failed to make memory to share with the election process: %w", err)
}

// Open maps the board of a descriptor, which may be closed afterwards.
func Open(fd int) (*Board, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("failed to open the memory shared with the director: %w", err)
	}
	if st.Size != int64(size) {
		return nil, fmt.Errorf("descriptor %d is not the memory shared with the director: only tandem run starts this process", fd)
	}
	p, err := unix.MmapPtr(fd, 0, nil, uintptr(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("failed to map the memory shared with the director: %w", err)
	}
	return &Board{unsafe.Slice((*slot)(p), slots)}, nil
}

// Close unmaps the board. Afterwards its process must not use it, nor what Slot has returned.
func (b *Board) Close() error { return unix.MunmapPtr(unsafe.Pointer(&b.slots[0]), uintptr(size)) }

// Slot returns the place of a router, which stays its own. It is nil if there is no room.
func (b *Board) Slot(iface, router string) *atomic.Int64 {
	if s := b.find(iface, router, true); s != nil {
		return &s.spoke
	}
	return nil
}

// Spoke returns what the place of a router has, 0 if it has none.
func (b *Board) Spoke(iface, router string) int64 {
	if s := b.find(iface, router, false); s != nil {
		return s.spoke.Load()
	}
	return 0
}

// find returns the slot of a router. If it has none, find takes a free one, if that is wanted.
func (b *Board) find(iface, router string, take bool) *slot {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s\x00%s", iface, router)
	key := max(h.Sum64(), 1)
	for i := range uint64(slots) {
		s := &b.slots[(key+i)%slots]
		if take && s.key.CompareAndSwap(0, key) || s.key.Load() == key {
			return s
		}
		if s.key.Load() == 0 {
			return nil
		}
	}
	return nil
}
