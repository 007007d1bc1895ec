// SPDX-License-Identifier: Apache-2.0

package logsink

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

func newSink(t *testing.T) (*Sink, hclog.Logger, *os.File) {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); out.Close() })
	s := New(out)
	log := hclog.New(&hclog.LoggerOptions{Output: s, DisableTime: true})
	go s.Run(log) // ends with the process, as documented
	return s, log, in
}

func TestLinesComeInOrder(t *testing.T) {
	s, log, in := newSink(t)
	for i := range 100 {
		log.Info("line", "n", i)
	}
	if !s.Flush(10 * time.Second) {
		t.Fatal("not written")
	}
	lines := bufio.NewScanner(in)
	for i := range 100 {
		if want := fmt.Sprintf("[INFO]  line: n=%d", i); !lines.Scan() || lines.Text() != want {
			t.Fatalf("got %q, want %q", lines.Text(), want)
		}
	}
}

// A flood is more than a sink keeps: a batch of 1 MiB that is being written, and a queue of 1 MiB. leastDropped is how many lines of
// it are dropped at least.
const (
	flood        = 4000
	leastDropped = 1800
)

// roomAgain is a line after a flood that is longer than what a flood leaves free.
var roomAgain = strings.Repeat("room again ", 200) + "."

// pourFlood logs a flood while nobody reads.
func pourFlood(t *testing.T, s *Sink, log hclog.Logger) {
	t.Helper()
	long := strings.Repeat("x", 1000)
	begin := time.Now()
	for range flood {
		log.Info(long)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("logging took %s", took)
	}
	if s.Flush(10 * time.Millisecond) {
		t.Error("everything was flushed although nobody reads")
	}
}

// A flooded counts what came of a flood: its lines, and those that the notices call dropped. (There are several notices, if the
// writer is run for the first time when the queue is full.)
type flooded struct{ lines, dropped int }

func (f flooded) whole() bool { return f.lines+f.dropped >= flood }

func (f flooded) judge(t *testing.T) {
	t.Helper()
	if f.lines+f.dropped != flood || f.dropped < leastDropped {
		t.Errorf("%d lines were written and %d are called dropped, of %d", f.lines, f.dropped, flood)
	}
}

// A pipe that nobody reads must not delay the sender. When it is read again, the log says how many lines are missing.
func TestFullPipe(t *testing.T) {
	s, log, in := newSink(t)
	pourFlood(t, s, log)
	lines := bufio.NewScanner(in)
	var got flooded
	for !got.whole() && lines.Scan() {
		_, count, notice := strings.Cut(lines.Text(), "dropped: nobody reads the log fast enough: count=")
		if !notice {
			got.lines++
			continue
		}
		n, err := strconv.Atoi(count)
		if err != nil {
			t.Error(err)
		}
		got.dropped += n
	}
	got.judge(t)
	log.Info(roomAgain)
	if !lines.Scan() || !strings.HasSuffix(lines.Text(), roomAgain) {
		t.Errorf("%q", lines.Text())
	}
	go func() {
		for lines.Scan() {
		}
	}()
	if !s.Flush(10 * time.Second) {
		t.Error("not written although somebody reads")
	}
}
