// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

// An advertisement that is nearly due goes out together with one that is due, and its router keeps its phase. The timer of
// a backup never ends early.
func TestAdvertisementsGoOutTogether(t *testing.T) {
	l, backup, owner := socketless(nil)
	// The last advertisement that each router sent or heard was a whole wait before it is due.
	setDue := func(r *router, due time.Time, wait time.Duration, ev vrrp.Event) {
		r.Machine.Step(due.Add(-wait), ev)
		if r.due = r.Machine.Deadline(); !r.due.Equal(due) {
			t.Fatalf("due at %s, want %s", r.due, due)
		}
	}
	for limit := time.Now().Add(10 * time.Second); ; {
		soon := time.Now().Add(owner.early() / 2)
		setDue(owner, soon, owner.Config.AdvertInterval, vrrp.Event{Kind: vrrp.EventTimer})
		interval := backup.Config.AdvertInterval
		setDue(backup, soon, 3*interval+vrrp.Skew(100, interval), vrrp.Event{Kind: vrrp.EventAdvert, Source: addrA, Priority: 200, Interval: interval})
		l.timers[0], l.timers[1] = owner, backup
		owner.slot, backup.slot = 0, 1
		l.fire()
		if time.Now().Before(soon) {
			if want := soon.Add(owner.Config.AdvertInterval); !owner.due.Equal(want) {
				t.Errorf("the owner's next is %s after it was due, want one interval, %s", owner.due.Sub(soon), owner.Config.AdvertInterval)
			}
			if backup.Machine.State() != vrrp.Backup || !backup.due.Equal(soon) {
				t.Errorf("the backup is %s and waits until %s", backup.Machine.State(), backup.due)
			}
			return
		}
		if time.Now().After(limit) {
			t.Fatal("the machine never ran this within half a millisecond")
		}
		l, backup, owner = socketless(nil)
	}
}

func TestEarlyIsAHundredthOfTheInterval(t *testing.T) {
	_, backup, owner := socketless(nil)
	for interval, want := range map[time.Duration]time.Duration{
		10 * time.Millisecond: 100 * time.Microsecond, 100 * time.Millisecond: time.Millisecond, 40 * time.Second: time.Millisecond,
	} {
		backup.Config.AdvertInterval, owner.Config.AdvertInterval = interval, interval
		if got := owner.early(); got != want {
			t.Errorf("a master of %s may be early by %s, want %s", interval, got, want)
		}
		if got := backup.early(); got != 0 {
			t.Errorf("a backup of %s may be early by %s", interval, got)
		}
	}
}

// The loop waits for the rest of a burst only if it has read all packets: else a flood could overflow the socket meanwhile.
func TestDrainTellsWhetherAllIsRead(t *testing.T) {
	// Unlike a cable, this socket pair has no delay.
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	l := New("eth0", Options{})
	l.conn = newConn("eth0", 1)
	l.conn.all[socket4].fd = pair[0]
	t.Cleanup(func() {
		if err := errors.Join(l.conn.Close(), unix.Close(pair[1])); err != nil {
			t.Error(err)
		}
	})
	read := func() uint64 {
		stray := l.Stray()
		return stray[vrrp.DropUnknownVRID]
	}
	packet := testAdvert(addrA, 51, 150, time.Second)
	for _, tt := range []struct {
		name      string
		sent      int
		limit     int
		want      bool
		wantReads uint64
	}{
		{"none", 0, drainBatch, false, 0},
		{"a few", 3, drainBatch, true, 3},
		{"as many as one call takes", inboxSize, drainBatch, true, inboxSize},
		{"more than one call takes", 2*inboxSize + 1, drainBatch, true, 2*inboxSize + 1},
		{"more than the limit", 5, 4, false, 4},
		{"the rest", 0, 4, true, 1},
	} {
		before := read()
		for range tt.sent {
			if _, err := unix.Write(pair[1], packet); err != nil {
				t.Fatal(err)
			}
		}
		l.conn.all[socket4].ready = true
		all := l.drain(tt.limit)
		if got := read() - before; got != tt.wantReads || all != tt.want {
			t.Errorf("%s: read %d packets, all of them: %v; want %d, %v", tt.name, got, all, tt.wantReads, tt.want)
		}
	}
}
