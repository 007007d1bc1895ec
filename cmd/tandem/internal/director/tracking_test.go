// SPDX-License-Identifier: Apache-2.0

package director

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/supervise"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A listener is an election that only records its orders.
type listener struct {
	net.Conn
	end   net.Conn
	ended chan struct{}
}

func listen(orders chan<- message.Order) *listener {
	ours, theirs := net.Pipe()
	l := &listener{Conn: ours, end: theirs, ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		in := json.NewDecoder(theirs)
		for {
			var o message.Order
			if in.Decode(&o) != nil || o.Leave {
				return
			}
			if !o.Report {
				orders <- o
			}
		}
	}()
	return l
}

func (l *listener) Wait() error                              { <-l.ended; return nil }
func (l *listener) Spoke(message.RouterID) message.Monotonic { return 0 }
func (l *listener) Kill() error                              { return l.end.Close() }

// A directed is a running director with a listener for an election.
type directed struct {
	*Director
	orders chan message.Order
	log    *lockedBuffer
}

// A lockedBuffer is written and read by goroutines. It has no other methods of a bytes.Buffer, which would not lock.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func direct(t *testing.T, tracks ...configs.Track) *directed {
	t.Helper()
	dir := t.TempDir()
	cfg := &configs.Config{
		Log: configs.Log{Level: "info"}, State: configs.State{Dir: dir},
		Control: configs.Control{Socket: filepath.Join(dir, "s")}, Tracks: tracks,
		Routers: []configs.Router{{Config: vrrp.Config{
			Name: "web", Interface: "eth0", VRID: 51, Version: 3, Priority: 150, AdvertInterval: time.Second,
			VIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")},
		}}},
	}
	return directConfig(t, cfg)
}

// directConfig runs a director with a configuration until the test ends.
func directConfig(t *testing.T, cfg *configs.Config) *directed {
	t.Helper()
	d := &directed{orders: make(chan message.Order, 100), log: &lockedBuffer{}}
	d.Director = New(Options{
		Config: cfg, Log: hclog.New(&hclog.LoggerOptions{Output: d.log}),
		Spawn: func() (supervise.Child, error) { return listen(d.orders), nil },
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return d
}

// await waits until the director orders an election whose first router has this tracking.
func (d *directed) await(t *testing.T, want vrrp.Tracking) {
	t.Helper()
	var last vrrp.Tracking
	for limit := time.After(20 * time.Second); ; {
		select {
		case o := <-d.orders:
			if last = o.Routers[0].Tracking; last == want {
				return
			}
		case <-limit:
			t.Fatalf("ordered %+v at last, want %+v; log:\n%s", last, want, d.log)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The orders to the election have the director's tracking, from the first order on.
func TestTheElectionIsToldOfTracks(t *testing.T) {
	dir := t.TempDir()
	load, down := filepath.Join(dir, "load"), filepath.Join(dir, "down")
	write(t, load, "3\n")
	script := scriptTrack("web", 0)
	script.Check.Command = []string{"/bin/sh", "-c", `test ! -e "` + down + `" || { echo uplink is down; exit 1; }`}
	script.Check.User, script.Check.Interval, script.Check.Fall, script.Check.Rise = "root", time.Second, 1, 1
	d := direct(t, script, fileTrack("web", load, -10))

	first := <-d.orders
	if got := first.Routers[0].Tracking; got != (vrrp.Tracking{Delta: -30, Unclear: true}) {
		t.Errorf("first order: %+v", got)
	}
	write(t, load, "4\n")
	d.await(t, vrrp.Tracking{Delta: -40})
	write(t, load, "four\n")
	d.await(t, vrrp.Tracking{})
	write(t, down, "")
	d.await(t, vrrp.Tracking{Fault: "script /bin/uplink: exit code 1: uplink is down", LastResort: true})

	status := d.Status().VRRP[0].Track
	if len(status) != 2 || status[0].OK || status[0].Reason != "exit code 1: uplink is down" ||
		!status[1].OK || status[1].Reason != `"four" is no integer of 32 bits: taken as 0` {
		t.Errorf("status %+v", status)
	}
	if err := os.Remove(down); err != nil {
		t.Fatal(err)
	}
	d.await(t, vrrp.Tracking{})
	if n := strings.Count(d.log.String(), "holds no number"); n != 1 {
		t.Errorf("the damaged file is logged %d times:\n%s", n, d.log)
	}
}
