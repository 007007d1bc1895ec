// SPDX-License-Identifier: Apache-2.0

package script

import (
	"bytes"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/words"
)

const (
	// maxOutput is how many bytes of a program's output are read as fast as they come.
	maxOutput = 1 << 20
	// pause is the time between two reads of what comes behind that: a program that prints without end would otherwise
	// occupy a core of the director.
	pause = time.Millisecond
)

// An output keeps the beginning of what a program prints, and drops the rest.
type output struct {
	from    *os.File
	kept    int           // bytes of head
	flooded atomic.Bool   // the program has printed more than maxOutput
	ending  chan struct{} // closed by stop
	once    sync.Once
	closed  chan struct{} // closed when reading has ended; head may be used from then on
	head    []byte
}

func newOutput(from *os.File, kept int) *output {
	return &output{from: from, kept: kept, ending: make(chan struct{}), closed: make(chan struct{})}
}

// stop ends reading. It may be called again.
func (o *output) stop() {
	o.once.Do(func() { close(o.ending) })
	_ = o.from.Close()
	<-o.closed
}

// read reads until every writer has closed the other end, or stop is called.
func (o *output) read() {
	defer close(o.closed)
	buf := make([]byte, 4096)
	for total := 0; ; {
		n, err := o.from.Read(buf)
		total += n
		o.head = append(o.head, buf[:min(n, o.kept-len(o.head))]...)
		switch {
		case err != nil:
			return
		case total <= maxOutput:
			continue
		case !o.flooded.Swap(true):
			buf = make([]byte, 64<<10)
		}
		select {
		case <-o.ending:
			return
		case <-time.After(pause):
		}
	}
}

// lines are the first lines that are not empty, each made fit for a log.
func (o *output) lines(most int) (all []string) {
	for line := range bytes.Lines(o.head) {
		if line := words.Line(line); line != "" {
			all = append(all, line)
		}
		if len(all) == most {
			break
		}
	}
	return all
}

// firstLine is the first line that is not empty, made fit for a log.
func (o *output) firstLine() string { return words.Line(o.head) }
