// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

// settingsInterval is the pause between two readings of the kernel's settings, if a configuration has any.
const settingsInterval = 30 * time.Second

// Settings maintains the kernel's settings that a configuration needs: those of IPVS, and those of interfaces (see Interfaces).
type Settings struct {
	Sysctls    func(map[string]string) error
	Timeouts   func(context.Context, lvs.Timeouts) error
	Interfaces func(*configs.Config) (complete bool, err error)
	Log        hclog.Logger
	Post       Post
	In         Mailbox[*configs.Config]
	Prepared   chan struct{} // closed after the first pass

	problems [3]string // as logged last

	mu     sync.Mutex
	needed map[string]string // the settings that services have needed since the start
}

// Want returns the settings of IPVS that the kernel should have under a configuration, by name. A setting that services needed
// once stays until the daemon ends: the connections of removed services still need it.
func (w *Settings) Want(cfg *configs.Config) map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	want := make(map[string]string)
	maps.Copy(want, w.needed)
	maps.Copy(want, cfg.Sysctls())
	return want
}

// adopt adds the settings that a configuration needs to those that stay, and reports whether there are any.
func (w *Settings) adopt(cfg *configs.Config) (some bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.needed == nil {
		w.needed = make(map[string]string)
	}
	maps.Copy(w.needed, cfg.NeededSysctls())
	return len(w.needed)+len(cfg.LVS.Sysctl) > 0 || cfg.LVS.Timeouts != (lvs.Timeouts{})
}

// Run maintains the settings until ctx ends.
func (w *Settings) Run(ctx context.Context) error {
	prepared := sync.OnceFunc(func() { close(w.Prepared) })
	var cfg *configs.Config
	complete, some := true, false
	for {
		var tick <-chan time.Time
		switch {
		case !complete:
			tick = time.After(retryPause)
		case cfg != nil && (some || probesThroughVIP(cfg.Services) || len(lowerInterfaces(cfg)) > 0):
			tick = time.After(settingsInterval)
		}
		select {
		case <-ctx.Done():
			return nil
		case cfg = <-w.In:
		case <-tick:
		}
		some = w.adopt(cfg)
		was := [2]string{w.problems[0], w.problems[2]}
		err := w.Sysctls(w.Want(cfg))
		w.problem(0, "failed to set the kernel's IPVS settings", err)
		err = w.Timeouts(ctx, cfg.LVS.Timeouts)
		if w.problem(2, "failed to set the timeouts of connections", err); was != [2]string{w.problems[0], w.problems[2]} {
			w.Post(core.SettingsState{Problem: w.problems[0], Timeouts: w.problems[2]})
		}
		complete, err = w.Interfaces(cfg)
		w.problem(1, "failed to prepare the interfaces for checks through the VIP and for virtual MACs", err)
		prepared()
	}
}

// problem logs an error once.
func (w *Settings) problem(i int, message string, err error) {
	is := ""
	if err != nil {
		is = err.Error()
	}
	if is != w.problems[i] && is != "" {
		w.Log.Error(message, "error", is)
	}
	w.problems[i] = is
}

func probesThroughVIP(services []configs.Service) bool {
	for _, svc := range services {
		for _, srv := range svc.Servers {
			for _, check := range srv.Checks {
				if check.Via.IsValid() && check.Type != healthcheck.Ping {
					return true
				}
			}
		}
	}
	return false
}
