// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// fakeTimeouts are the timeouts of a kernel.
type fakeTimeouts struct {
	lvs.Timeouts
	asked, set int
	refuse     error
}

func (f *fakeTimeouts) get(context.Context) (lvs.Timeouts, error) { f.asked++; return f.Timeouts, nil }

type timeoutsOfFake struct{ *fakeTimeouts }

func (f timeoutsOfFake) Timeouts(ctx context.Context) (lvs.Timeouts, error) { return f.get(ctx) }

func (f timeoutsOfFake) SetTimeouts(_ context.Context, t lvs.Timeouts) error {
	if f.refuse != nil {
		return f.refuse
	}
	f.set++
	f.fakeTimeouts.Timeouts = t
	return nil
}

// The keeper changes what is given, once; it puts back what was there, also in a later process; and it asks nothing without need.
func TestTimeoutKeeper(t *testing.T) {
	usual := lvs.Timeouts{TCP: 15 * time.Minute, TCPFin: 2 * time.Minute, UDP: 5 * time.Minute}
	want := lvs.Timeouts{TCP: time.Hour, UDP: 10 * time.Second}
	is := lvs.Timeouts{TCP: time.Hour, TCPFin: 2 * time.Minute, UDP: 10 * time.Second}
	f := &fakeTimeouts{Timeouts: usual}
	store := new(fakeStore[map[string]lvs.ChangedSetting])
	open := func() *TimeoutKeeper {
		k, err := OpenTimeouts(timeoutsOfFake{f}, store, hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	apply := func(k *TimeoutKeeper, want lvs.Timeouts) {
		t.Helper()
		if err := k.Apply(t.Context(), want); err != nil {
			t.Fatal(err)
		}
	}
	k := open()
	if apply(k, lvs.Timeouts{}); f.asked != 0 {
		t.Errorf("nothing wanted: asked %d times", f.asked)
	}
	apply(k, want)
	if apply(k, want); f.Timeouts != is || f.set != 1 {
		t.Errorf("%+v, set %d times", f.Timeouts, f.set)
	}
	f.Timeouts.TCP = time.Minute // another program
	if apply(k, want); f.Timeouts != is {
		t.Errorf("after another program: %+v", f.Timeouts)
	}
	if p, err := k.Plan(t.Context(), lvs.Timeouts{TCP: time.Hour}); err != nil || len(p.Restore) != 1 || f.Timeouts != is {
		t.Errorf("plan: %+v, %v", p, err)
	}
	f.refuse = unix.EPERM
	if err := k.Apply(t.Context(), lvs.Timeouts{TCP: time.Minute}); !errors.Is(err, unix.EPERM) || f.Timeouts != is {
		t.Errorf("refused: %v, %+v", err, f.Timeouts)
	}
	f.refuse = nil
	k = open() // a later process
	if apply(k, lvs.Timeouts{}); f.Timeouts != usual || len(store.value) != 0 {
		t.Errorf("put back: %+v, remembers %v", f.Timeouts, maps.Keys(store.value))
	}
}

// The attributes are those of the kernel, and unknown ones are passed over.
func TestTimeoutAttributes(t *testing.T) {
	all := lvs.Timeouts{TCP: time.Hour, TCPFin: time.Second, UDP: lvs.MaxConnectionTimeout}
	if got := parseTimeouts(appendTimeouts(appendAttr32(nil, 99, 7), all)); got != all {
		t.Errorf("%+v, want %+v", got, all)
	}
	if b := appendTimeouts(nil, lvs.Timeouts{}); len(b) != 0 {
		t.Errorf("%x: a timeout of 0 is sent", b)
	}
}
