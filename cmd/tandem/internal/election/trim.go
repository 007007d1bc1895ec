// SPDX-License-Identifier: Apache-2.0

package election

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// trimDelay is the time after which an election has started and returns the memory that only its start needed.
const trimDelay = 2 * time.Second

// trim returns memory that only the start needed: with 200 routers it reduces 23 MB to 15 to 17 MB. The start needs much
// because the binary is the director's: its libraries are initialized here too. A realtime process keeps its pages.
func (p *Process) trim(ctx context.Context) {
	if p.options.Realtime {
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-time.After(trimDelay):
	}
	debug.FreeOSMemory()
	if err := releaseProgram(); err != nil {
		p.log.Debug("failed to return memory", "error", err)
	}
}

// releaseProgram unmaps the pages of the program's text and constants. They are read-only: the kernel maps them again when they
// are used.
func releaseProgram() error {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	return errors.Join(eachMapping(string(text), program, func(start, end uintptr) error {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, start, end-start, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("madvise: %w", errno)
		}
		return nil
	})...)
}

// eachMapping calls f for each read-only mapping of a file in a text like /proc/self/maps (proc(5)).
func eachMapping(text, file string, f func(start, end uintptr) error) (errs []error) {
	for line := range strings.Lines(text) {
		var start, end uintptr
		var permissions, offset, device, inode string
		if n, _ := fmt.Sscanf(line, "%x-%x %s %s %s %s", &start, &end, &permissions, &offset, &device, &inode); n < 6 {
			continue
		}
		// The path is the rest of the line. It may have blanks.
		if strings.Contains(permissions, "w") || !strings.HasSuffix(strings.TrimSuffix(line, "\n"), " "+file) {
			continue
		}
		if err := f(start, end); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}
