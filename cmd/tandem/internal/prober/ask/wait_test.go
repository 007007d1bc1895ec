// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"context"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober"
)

// TestOneProcessor: a probe whose waits the runtime is not told of leaves room for the other goroutines of a process with one
// processor: the server answers, memory is collected, and the end of the context ends the probe.
func TestOneProcessor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	addr := listen(t, func(conn net.Conn) {
		if request(conn) {
			_, _ = io.WriteString(conn, ok+"Content-Length: 0\r\n\r\n")
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := time.AfterFunc(500*ms, func() {
		runtime.GC()
		cancel()
	})
	defer ended.Stop()
	began := time.Now()
	r, err := Run(ctx, Probe{
		Target:  Target{Protocol: HTTP, Addr: addr, Host: "x", Path: "/"},
		Options: prober.Options{Every: ms, Timeout: 5 * time.Second, Slow: 5 * time.Second},
	})
	if took := time.Since(began); err != nil || took > 10*time.Second {
		t.Errorf("ended after %s: %v", took, err)
	}
	if r.Answered == 0 || r.Failed != 0 {
		t.Errorf("%+v", r.Counts)
	}
}

// TestWaits: whichever way the probe waits, it sends every question and sees every answer.
func TestWaits(t *testing.T) {
	addr := listen(t, func(conn net.Conn) {
		if request(conn) {
			_, _ = io.WriteString(conn, ok+"Content-Length: 0\r\n\r\n")
		}
	})
	for _, every := range []time.Duration{ms, 4 * ms, 6 * ms, 50 * ms} {
		r := run(t, Probe{
			Target:  Target{Protocol: HTTP, Addr: addr, Host: "x", Path: "/"},
			Options: prober.Options{Every: every, For: 20 * every, Timeout: 20 * time.Second, Slow: 20 * time.Second},
		})
		if r.Asked+r.NotAsked != 20 || r.Answered != r.Asked || r.Asked == 0 {
			t.Errorf("every %s: %+v", every, r.Counts)
		}
	}
}
