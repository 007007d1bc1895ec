// SPDX-License-Identifier: Apache-2.0

package director

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// If a director uses less than lowLoad of one processor in quietLooks looks in a row, it gets only one processor. From
	// highLoad on it gets all of them again.
	lowLoad, highLoad = 0.10, 0.25
	quietLooks        = 5
)

// A processors decides how many processors this process may use. If the Go runtime may use several, it wakes one more thread
// for each small job, even for a sign of life. So a director with little work uses one.
type processors struct {
	all   int                  // processors that the process may use
	used  func() time.Duration // the processor time of the process so far
	now   func() time.Time
	set   func(int)
	quiet int // looks in a row with little load
	one   bool
	last  struct {
		used time.Duration
		at   time.Time
	}
}

func newProcessors() *processors {
	p := &processors{all: runtime.GOMAXPROCS(0), used: processorTime, now: time.Now, set: func(n int) { runtime.GOMAXPROCS(n) }}
	// From now on the runtime does not ask the kernel each second for the number of processors.
	p.set(p.all)
	return p
}

// adjust measures the load since the last call.
func (p *processors) adjust() {
	used, now := p.used(), p.now()
	last := p.last
	p.last.used, p.last.at = used, now
	took := now.Sub(last.at)
	if last.at.IsZero() || took <= 0 {
		return
	}
	switch part := float64(used-last.used) / float64(took); {
	case part >= highLoad:
		p.quiet = 0
		if p.one {
			p.one = false
			p.set(p.all)
		}
	case part >= lowLoad:
		p.quiet = 0
	default:
		if p.quiet++; p.quiet >= quietLooks && !p.one {
			p.one = true
			p.set(1)
		}
	}
}

// processorTime returns the processor time of this process so far.
func processorTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		return 0 // Linux never fails here
	}
	return time.Duration(ts.Nano())
}
