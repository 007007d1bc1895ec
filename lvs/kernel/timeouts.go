// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/lvs"
)

// The commands for timeouts, and their attributes, of linux/ip_vs.h (IPVS_CMD_…).
const (
	cmdSetConfig      = 12
	cmdGetConfig      = 13
	attrTimeoutTCP    = 4
	attrTimeoutTCPFin = 5
	attrTimeoutUDP    = 6
)

// Timeouts returns the kernel's timeouts of connections. Its errors are those of Read.
func (k *IPVS) Timeouts(ctx context.Context) (lvs.Timeouts, error) {
	return ask(ctx, k, "failed to read the timeouts of connections", func(s *session, begin func() error) (t lvs.Timeouts, err error) {
		if err := begin(); err != nil {
			return t, err
		}
		err = s.get(cmdGetConfig, func(b []byte) []byte { return b }, func(b []byte) error {
			t = parseTimeouts(b)
			return nil
		})
		return t, err
	})
}

// SetTimeouts sets the timeouts that are not 0. Its errors wrap the kernel's errno, or are those of Read.
func (k *IPVS) SetTimeouts(ctx context.Context, t lvs.Timeouts) error {
	refused, err := ask(ctx, k, "failed to set the timeouts of connections", func(s *session, begin func() error) (error, error) {
		if err := begin(); err != nil {
			return nil, err
		}
		k.writes.Add(1)
		failed, err := s.exec(1, func(b []byte, _ int) (uint8, []byte) { return cmdSetConfig, appendTimeouts(b, t) })
		return failed[0], err
	})
	if err == nil && refused != nil {
		err = fmt.Errorf("failed to set the timeouts of connections: %w", refused)
	}
	return err
}

func appendTimeouts(b []byte, t lvs.Timeouts) []byte {
	for _, a := range []struct {
		kind  uint16
		value time.Duration
	}{{attrTimeoutTCP, t.TCP}, {attrTimeoutTCPFin, t.TCPFin}, {attrTimeoutUDP, t.UDP}} {
		if a.value != 0 {
			b = appendAttr32(b, a.kind, uint32(a.value/time.Second))
		}
	}
	return b
}

func parseTimeouts(b []byte) (t lvs.Timeouts) {
	for a, rest, more := nextAttr(b); more; a, rest, more = nextAttr(rest) {
		value := time.Duration(a.uint32()) * time.Second
		switch a.kind {
		case attrTimeoutTCP:
			t.TCP = value
		case attrTimeoutTCPFin:
			t.TCPFin = value
		case attrTimeoutUDP:
			t.UDP = value
		}
	}
	return t
}

// A timeoutBackend reads and writes the timeouts. In production it is the kernel.
type timeoutBackend interface {
	Timeouts(context.Context) (lvs.Timeouts, error)
	SetTimeouts(context.Context, lvs.Timeouts) error
}

var _ timeoutBackend = (*IPVS)(nil)

// A TimeoutKeeper maintains the timeouts of connections, and remembers their former values. The methods may be called from any
// goroutine.
type TimeoutKeeper struct {
	kernel timeoutBackend
	log    hclog.Logger

	mu      sync.Mutex
	memory  memory[map[string]lvs.ChangedSetting]
	changed map[string]lvs.ChangedSetting // by path
}

// OpenTimeouts returns the keeper. An error is the store's. The keeper is usable then too: it starts with the values that the store
// could read.
func OpenTimeouts(kernel timeoutBackend, store Store[map[string]lvs.ChangedSetting], log hclog.Logger) (*TimeoutKeeper, error) {
	changed, err := store.Load()
	return &TimeoutKeeper{kernel: kernel, log: log, memory: newMemory(store), changed: changed}, err
}

// Apply makes the timeouts what want says. A timeout that want does not give gets its former value back, unless another program has
// changed it since. Former values are remembered before they are overwritten. Without anything to do, the kernel is not asked. If
// only remembering failed, the error wraps ErrNotRemembered.
func (k *TimeoutKeeper) Apply(ctx context.Context, want lvs.Timeouts) error {
	before := k.known()
	p, have, err := k.plan(ctx, want)
	if err != nil {
		return err
	}
	if len(p.Set)+len(p.Restore) == 0 {
		return k.remember(p.After)
	}
	notYet := k.remember(p.Before)
	if have, err = have.After(p); err == nil {
		err = k.kernel.SetTimeouts(ctx, have)
	}
	if err != nil {
		// The kernel still has the values that were ours before.
		old := p.Before
		maps.Copy(old, before)
		return errors.Join(err, notYet, k.remember(old))
	}
	for _, c := range append(p.Set, p.Restore...) {
		k.log.Info("changed a timeout of connections", "change", c.String())
	}
	return k.remember(p.After)
}

// Plan returns what Apply would write. It writes nothing.
func (k *TimeoutKeeper) Plan(ctx context.Context, want lvs.Timeouts) (lvs.SettingsPlan, error) {
	p, _, err := k.plan(ctx, want)
	return p, err
}

func (k *TimeoutKeeper) plan(ctx context.Context, want lvs.Timeouts) (p lvs.SettingsPlan, have lvs.Timeouts, err error) {
	changed := k.known()
	if want == (lvs.Timeouts{}) && len(changed) == 0 {
		return p, have, nil
	}
	if have, err = k.kernel.Timeouts(ctx); err != nil {
		return p, have, err
	}
	return lvs.PlanTimeouts(have, want, changed), have, nil
}

// known returns the timeouts that tandem has changed, by path.
func (k *TimeoutKeeper) known() map[string]lvs.ChangedSetting {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.changed)
}

// remember stores the changed timeouts, if they differ from the stored ones.
func (k *TimeoutKeeper) remember(changed map[string]lvs.ChangedSetting) error {
	k.mu.Lock()
	if !maps.Equal(changed, k.changed) {
		k.changed = maps.Clone(changed)
		k.memory.keep(maps.Clone(changed))
	}
	k.mu.Unlock()
	if err := k.memory.flush(); err != nil {
		return fmt.Errorf("former timeouts of connections: %w", err)
	}
	return nil
}
