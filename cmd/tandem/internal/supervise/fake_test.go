// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A fakeChild is an election process that does what its test wants.
type fakeChild struct {
	net.Conn          // the director's end
	far      net.Conn // the election's end
	born     time.Time
	dead     chan error
	killed   atomic.Bool
	spoke    map[string]message.Monotonic
	lingers  bool // it does not end when it is killed
	orders   chan message.Order
	stopped  chan struct{} // closed: no more signs of life
	stop     func()
}

func newFakeChild() *fakeChild {
	near, far := net.Pipe()
	c := &fakeChild{
		Conn: near, far: far, born: time.Now(), dead: make(chan error, 1),
		orders: make(chan message.Order, 100), stopped: make(chan struct{}),
	}
	c.stop = sync.OnceFunc(func() { close(c.stopped) })
	go func() {
		for {
			select {
			case <-c.stopped:
				return
			case <-time.After(message.MaxBeatInterval):
			}
			if _, err := far.Write([]byte(message.SignOfLife)); err != nil {
				return
			}
		}
	}()
	go func() {
		in := json.NewDecoder(far)
		for {
			var o message.Order
			if in.Decode(&o) != nil {
				close(c.orders)
				return
			}
			c.orders <- o
		}
	}()
	return c
}

func (c *fakeChild) Wait() error { return <-c.dead }

func (c *fakeChild) Kill() error {
	c.killed.Store(true)
	if c.lingers {
		return nil
	}
	c.die(errors.New("signal: killed"))
	return nil
}

func (c *fakeChild) die(err error) {
	c.stop()
	_ = c.far.Close()
	c.dead <- err
}

// A bench is a supervisor with fake children, and a record of what it did.
type bench struct {
	*Supervisor
	cancel context.CancelFunc
	done   chan error

	skipped atomic.Int64 // for how long all processes stood still, in nanoseconds

	mu       sync.Mutex
	children []*fakeChild
	taken    []string
	reports  []message.Report
}

// bootAge is for how long the machine has run when a bench starts.
const bootAge = message.Monotonic(time.Hour)

func start(t *testing.T, order message.Order) *bench {
	return startWith(t, order, hclog.NewNullLogger(), func() {})
}

// startWith does what start does, with a log, and with a consumer of the reports that calls consume for each.
func startWith(t *testing.T, order message.Order, log hclog.Logger, consume func()) *bench {
	t.Helper()
	return startAfter(t, order, log, consume, func(*bench) {})
}

// startAfter does what startWith does, and calls prepare before anything runs.
func startAfter(t *testing.T, order message.Order, log hclog.Logger, consume func(), prepare func(*bench)) *bench {
	t.Helper()
	b := &bench{done: make(chan error, 1)}
	b.Supervisor = New(log, func() (Child, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		c := newFakeChild()
		b.children = append(b.children, c)
		return c, nil
	}, func(r message.Report) {
		b.reports = append(b.reports, r)
		consume()
	})
	b.Supervisor.remove = func(routers []vrrp.Config) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, c := range routers {
			b.taken = append(b.taken, c.Interface+" "+c.VIPs[0].String())
		}
		return nil
	}
	epoch := time.Now()
	b.clock = func() message.Monotonic {
		return bootAge.Add(time.Since(epoch) + time.Duration(b.skipped.Load()))
	}
	prepare(b)
	b.Configure(order)
	ctx, cancel := context.WithCancel(t.Context())
	b.cancel = cancel
	go func() { b.done <- b.Run(ctx) }()
	synctest.Wait()
	return b
}

// skip lets time pass in which no process runs.
func (b *bench) skip(d time.Duration) { b.skipped.Add(int64(d)) }

// removed returns the removed addresses, sorted.
func (b *bench) removed() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(slices.Values(b.taken))
}

func (b *bench) child(t *testing.T, i int) *fakeChild {
	t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.children) <= i {
		t.Fatalf("%d elections were started, want at least %d", len(b.children), i+1)
	}
	return b.children[i]
}

func oneRouter(iface, vip string) message.Order {
	return message.Order{Routers: []message.Router{{Config: vrrp.Config{
		Name: "web", Interface: iface, VRID: 51, AdvertInterval: time.Second, VIPs: []netip.Prefix{netip.MustParsePrefix(vip)},
	}}}}
}

// master returns a report in which the only router is master.
func master(sequence uint64, interval time.Duration) message.Report {
	return message.Report{Sequence: sequence, Routers: []vrrp.Status{{
		Name: "web", Interface: "eth0", State: vrrp.Master, Holding: true, AdvertInterval: interval,
		VIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")},
	}}}
}

func (c *fakeChild) report(t *testing.T, r message.Report) {
	t.Helper()
	if err := json.NewEncoder(c.far).Encode(r); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// beat sends one sign of life.
func (c *fakeChild) beat(t *testing.T) {
	t.Helper()
	if _, err := c.far.Write([]byte(message.SignOfLife)); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func (c *fakeChild) Spoke(id message.RouterID) message.Monotonic { return c.spoke[id.Name] }

// nothingToResume checks that an election was started with nothing to resume, and that the addresses were removed.
func (b *bench) nothingToResume(t *testing.T, c *fakeChild) {
	t.Helper()
	if o := <-c.orders; len(o.Resume) != 0 || len(b.removed()) != 1 {
		t.Errorf("resume %v, removed %v", o.Resume, b.removed())
	}
}

// end stops the supervisor whose last election is c.
func (b *bench) end(c *fakeChild) {
	b.cancel()
	synctest.Wait()
	c.die(nil)
	<-b.done
}
