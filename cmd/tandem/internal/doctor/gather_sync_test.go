// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// A frameScript passes on frames at times after its beginning, and then waits for the end of ctx, or fails.
type frameScript struct {
	frames map[time.Duration][]byte
	err    error
}

func (s frameScript) read(ctx context.Context, hear func(frame []byte, hardware string)) error {
	began := time.Now()
	for _, at := range slices.Sorted(maps.Keys(s.frames)) {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(began.Add(at))):
			hear(s.frames[at], "02:00:00:00:00:02")
		}
	}
	if s.err != nil {
		return s.err
	}
	<-ctx.Done()
	return nil
}

// examination begins the examination of a scene.
func (s *scene) examination(t *testing.T) *examination {
	t.Helper()
	c, err := configs.Parse("x.toml", []byte(strings.NewReplacer("METHOD", s.method, "EXTRA", s.extra).Replace(pairFile)))
	if err != nil {
		t.Fatal(err)
	}
	return &examination{config: c, snapshot: s.snapshot}
}

// TestSyncListener: an examination hears a message of connection sync whenever in the kernel's three seconds it begins, and waits for it
// no longer than it must. What may be older than a change on the other director is left out.
func TestSyncListener(t *testing.T) {
	ours := syncFrame(false, 8848, synced(lvs.TCP, "198.51.100.1:40000", "192.0.2.100:80", "192.0.2.11:80", lvs.DR))
	foreign := syncFrame(false, 8848, synced(lvs.TCP, "198.51.100.1:40000", "192.0.2.200:80", "192.0.2.11:80", lvs.DR))
	const ms = time.Millisecond
	e := master().examination(t)
	for _, c := range []struct {
		name     string
		script   frameScript
		expected bool
		heard    int
		took     time.Duration // with the other steps, which take 1,500 ms
		err      string
	}{
		{"during the other steps", frameScript{frames: map[time.Duration][]byte{1200 * ms: ours}}, true, 1, 1500 * ms, ""},
		{"after the other steps", frameScript{frames: map[time.Duration][]byte{3900 * ms: ours, 3950 * ms: ours}}, true, 1, 3900 * ms, ""},
		{"every three seconds", frameScript{frames: map[time.Duration][]byte{900 * ms: ours, 3900 * ms: ours}}, true, 1, 3900 * ms, ""},
		{"at the beginning only", frameScript{frames: map[time.Duration][]byte{900 * ms: ours}}, true, 0, syncWait, ""},
		{"none", frameScript{}, true, 0, syncWait, ""},
		{"of another pair", frameScript{frames: map[time.Duration][]byte{1600 * ms: foreign, 2600 * ms: ours}}, true, 2, 2600 * ms, ""},
		{"this director is the master", frameScript{frames: map[time.Duration][]byte{2 * time.Second: ours}}, false, 0, 1500 * ms, ""},
		{"the interface goes down", frameScript{err: fmt.Errorf("listen on eth0: %w", unix.ENETDOWN)}, false, 0, 1500 * ms, ""},
		{"the socket fails", frameScript{err: errors.New("listen on eth0: no")}, false, 0, 1500 * ms, "failed to listen for connection sync: listen on eth0: no"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				of := lvs.Sync{Interface: "eth0", ID: 7, Group: netip.MustParseAddr("224.0.0.81"), Port: 8848}
				closed := false
				began := time.Now()
				l := startSyncListener(t.Context(), c.script, of, e.concerns, func() { closed = true })
				defer l.close()
				time.Sleep(1500 * ms)
				all, err := l.messages(t.Context(), c.expected)
				if took := time.Since(began); len(all) != c.heard || took != c.took || !closed {
					t.Errorf("%d messages after %s, closed: %t, want %d after %s", len(all), took, closed, c.heard, c.took)
				}
				if got := fmt.Sprint(err); got != c.err && (err != nil || c.err != "") {
					t.Errorf("error %q, want %q", got, c.err)
				}
			})
		})
	}
}

// TestExpectsSync: only a director that is master of everything has nobody to hear.
func TestExpectsSync(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*scene)
		want   bool
	}{
		{"master", func(*scene) {}, false},
		{"backup", (*scene).backup, true},
		{"stopped", func(s *scene) { s.snapshot.Status = nil }, true},
		{"without IPVS", func(s *scene) { s.backup(); s.snapshot.IPVS = false }, false},
	} {
		s := master()
		c.change(s)
		if got := s.examination(t).expectsSync(); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
