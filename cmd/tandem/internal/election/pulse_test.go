// SPDX-License-Identifier: Apache-2.0

package election

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// A fakeConn sends without waiting.
type fakeConn struct{ bytes.Buffer }

func (c *fakeConn) TrySend(b []byte) error { _, err := c.Write(b); return err }

// fakePulse returns a pulse with its own time.
func fakePulse(interval time.Duration) (p *pulse, conn *fakeConn, now *time.Duration) {
	conn, now = &fakeConn{}, new(time.Duration)
	*now = 1
	p = newPulse(conn, hclog.NewNullLogger())
	p.now = func() time.Duration { return *now }
	p.interval.Store(int64(interval))
	return p, conn, now
}

// Signs of life come often enough whatever a loop does, and after a while they come after its advertisements.
func TestSignsOfLifeInPassing(t *testing.T) {
	for _, tt := range []struct{ interval, advert, phase time.Duration }{
		{time.Second, time.Second, 0},
		{time.Second, time.Second, 180 * time.Millisecond},
		{time.Second, time.Second, 950 * time.Millisecond},
		{600 * time.Millisecond, 800 * time.Millisecond, 0},
		{100 * time.Millisecond, 10 * time.Millisecond, 0},
		{time.Second, time.Hour, 0}, // an interface without a carrier
	} {
		p, conn, now := fakePulse(tt.interval)
		if p.beating() {
			t.Error("a loop gives signs of life before there is one")
		}
		var last, longest time.Duration
		apart := 0
		advert := tt.phase
		for *now < 100*tt.interval {
			before := conn.Len()
			due := *now + p.inPassing()
			if conn.Len() > before {
				longest, last = max(longest, *now-last), *now
			}
			if !p.beating() || !p.fresh() {
				t.Errorf("%+v: at %s no loop gives signs of life", tt, *now)
			}
			for advert <= *now {
				advert += tt.advert
			}
			if *now = min(advert, due); *now > 50*tt.interval && *now != advert {
				apart++
			}
		}
		if limit := tt.interval + tt.interval/20; longest > limit {
			t.Errorf("%+v: no sign of life for %s, want %s at most", tt, longest, limit)
		}
		if n, most := conn.Len(), 112; n > most {
			t.Errorf("%+v: %d signs of life in 100 intervals", tt, n)
		}
		if tt.advert == tt.interval && apart > 0 {
			t.Errorf("%+v: the loop wakes %d times without an advertisement", tt, apart)
		}
	}
}

// A loop gives no sign of life for a serving goroutine that hangs, nor beside a loop that hangs.
func TestNoSignOfLifeForWhatHangs(t *testing.T) {
	signs := func(p *pulse, conn *fakeConn, now *time.Duration, turns int) int {
		before := conn.Len()
		for range turns {
			*now += p.pause()
			p.inPassing()
		}
		return conn.Len() - before
	}
	p, conn, now := fakePulse(time.Second)
	p.during(func() {
		if n := signs(p, conn, now, 10); n != 1 { // the first one is within the interval
			t.Errorf("%d signs of life while the serving goroutine is busy, want 1", n)
		}
		if p.fresh() {
			t.Error("reports go out while the serving goroutine hangs")
		}
	})
	reports := 0
	p.withheld.Store(true)
	p.report = func() { reports++ }
	if n := signs(p, conn, now, 10); n != 10 || reports != 10 {
		t.Errorf("%d signs of life in 10 intervals afterwards, and the report asked for %d times", n, reports)
	}

	late := time.Duration(0)
	p.late = func() (string, time.Duration) { return "eth1", late }
	for _, tt := range []struct {
		late time.Duration
		want int
	}{{hungLoop, 10}, {hungLoop + 1, 1}, {0, 10}} { // a late one once: the whole process stood still, and it has yet to run
		late = tt.late
		if n := signs(p, conn, now, 10); n != tt.want {
			t.Errorf("%d signs of life beside a loop that is late by %s, want %d", n, tt.late, tt.want)
		}
	}
}

// A sign of life does not get into a report, and does not wait for one that nobody reads.
func TestSignOfLifeBesideAReport(t *testing.T) {
	p, conn, now := fakePulse(time.Second)
	*now += time.Minute
	read, write := io.Pipe()
	p.conn = write
	written := make(chan struct{})
	go func() {
		defer close(written)
		if _, err := p.Write([]byte("report")); err != nil {
			t.Error(err)
		}
	}()
	if _, err := read.Read(make([]byte, 1)); err != nil { // it is being written
		t.Fatal(err)
	}
	p.inPassing()
	if conn.Len() > 0 {
		t.Errorf("%q was sent into a report", conn.String())
	}
	if _, err := io.ReadFull(read, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	<-written
	*now += time.Minute
	if p.inPassing(); conn.Len() != 1 {
		t.Errorf("%d signs of life after the report, want 1", conn.Len())
	}
}
