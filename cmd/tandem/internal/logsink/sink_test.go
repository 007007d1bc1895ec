// SPDX-License-Identifier: Apache-2.0

package logsink

import (
	"bufio"
	"fmt"
	"os"
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

// A pipe that nobody reads must not delay the sender. When it is read again, the log says how many lines are missing.
func TestFullPipe(t *testing.T) {
	s, log, in := newSink(t)
	long := strings.Repeat("x", 1000)
	begin := time.Now()
	for range 4000 { // the pipe holds 64 KiB, the queue 1 MiB
		log.Info(long)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("logging took %s", took)
	}
	if s.Flush(10 * time.Millisecond) {
		t.Error("a full pipe was flushed")
	}
	lines := bufio.NewScanner(in)
	written := 0
	for lines.Scan() {
		if n := 0; strings.Contains(lines.Text(), "dropped") {
			if _, err := fmt.Sscanf(lines.Text()[strings.Index(lines.Text(), "count="):], "count=%d", &n); err != nil || written+n > 4000 || n < 2000 {
				t.Errorf("%q after %d lines (%v)", lines.Text(), written, err)
			}
			break
		}
		written++
	}
	go func() {
		for lines.Scan() {
		}
	}()
	if !s.Flush(10 * time.Second) {
		t.Error("not written although somebody reads")
	}
}
