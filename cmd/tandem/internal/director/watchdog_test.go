// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
)

// systemd's watchdog is notified while the loop answers, and not after that.
func TestWatchdogIsFedByTheLoop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify.sock")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	const limit = 400 * time.Millisecond
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", strconv.FormatInt(limit.Microseconds(), 10))
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	fed := func(within time.Duration) bool {
		_ = systemd.SetReadDeadline(time.Now().Add(within))
		buf := make([]byte, 100)
		n, err := systemd.Read(buf)
		return err == nil && string(buf[:n]) == "WATCHDOG=1"
	}
	d := New(Options{Config: &configs.Config{}, Log: hclog.NewNullLogger()})
	ctx, cancel := context.WithCancel(t.Context())
	state := core.New()
	state.Step(time.Now(), core.Start{Config: &configs.Config{}})
	loop, stopLoop := context.WithCancel(ctx)
	looped, watched := make(chan struct{}), make(chan struct{})
	go func() { defer close(looped); _ = d.loop(loop, state) }()
	go func() { defer close(watched); _ = d.feedWatchdog(ctx) }()
	for range 3 {
		if !fed(10 * time.Second) {
			t.Error("the loop answers, and systemd gets no sign of life")
		}
	}
	stopLoop()
	<-looped
	for fed(limit / 2) { // what was under way
	}
	if fed(2 * limit) {
		t.Error("the loop does not answer, and systemd gets a sign of life")
	}
	cancel()
	<-watched
}
