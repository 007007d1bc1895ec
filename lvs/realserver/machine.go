// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

const (
	// rounds is how often Apply makes a new plan. When a module is loaded, it may make an interface with settings. When an
	// address is deleted, the kernel may delete a route with it.
	rounds = 5
	// lookInterval is the interval at which Run checks the machine.
	lookInterval = time.Second
	// askInterval is how long an answer about hidden VIPs is valid.
	askInterval = time.Minute
	// bootFile holds the boot id of the kernel.
	bootFile = "/proc/sys/kernel/random/boot_id"
)

// ErrUnstable is wrapped by the error of an Apply that finds something to do after each attempt.
var ErrUnstable = errors.New("another program on this machine undoes it")

// Options are what a Machine needs.
type Options struct {
	Log hclog.Logger
	// StateDir is where the lock is; made if it is missing.
	StateDir string
	// Record stores the former state. If it cannot be read, nothing is changed, because the former state would be lost.
	Record Store
	// WriteFile replaces a file as a whole.
	WriteFile func(path string, text []byte, mode fs.FileMode) error
	// Operator must not lose the connection to the machine. Machine fills in the Gateway.
	Operator Operator
	// Directed returns the VIPs of a director that runs on this machine; nil if none does.
	Directed func() []netip.Addr
}

// A Machine is this machine, in the network namespace of the calling thread.
type Machine struct {
	options Options
	rules   otherRules
	asked   answer // the last one
	unclear string // see Unclear
}

// New returns the Machine. It has one user at a time.
func New(o Options) *Machine { return &Machine{options: o, rules: machineRules{}} }

// Check returns the steps that Apply would take, and changes nothing. Without steps, the machine is as it should be.
func (m *Machine) Check(c Config) ([]Step, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return m.check(c)
}

// CheckRemove returns the steps that Remove would take, and changes nothing.
func (m *Machine) CheckRemove() ([]Step, error) { return m.check(Config{}) }

func (m *Machine) check(c Config) ([]Step, error) {
	p, err := m.plan(c)
	return p.Steps, err
}

// Recorded returns the Config of the last Apply. It is the zero Config if the machine is no real server, or if an older
// version has prepared the machine.
func (m *Machine) Recorded() (Config, error) {
	saved, err := m.options.Record.Load()
	if err != nil {
		return Config{}, fmt.Errorf("failed to read the record of the former state: %w", err)
	}
	return saved.Record.Config, nil
}

// Apply makes the machine as c says and returns the steps that it took. The error is a *Refusal, ErrUnstable, or an error of
// the Store or the kernel.
func (m *Machine) Apply(c Config) ([]Step, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return m.make(c)
}

// ErrKept: Remove does nothing while Run would repair it.
var ErrKept = errors.New("a running `tandem realserver run` would make all settings again within a second: stop it first, " +
	"for example with `systemctl disable --now tandem-realserver`")

// Remove undoes Apply, and returns the steps that it took. A module that Apply loaded stays loaded if anything else uses it. The
// error is ErrKept while Run keeps the settings.
func (m *Machine) Remove() ([]Step, error) {
	unlock, err := m.lockFile(runLock, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, ErrKept
	}
	if err != nil {
		return nil, err
	}
	defer unlock()
	return m.make(Config{})
}

func (m *Machine) make(c Config) (done []Step, err error) {
	unlock, err := m.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	for range rounds {
		p, err := m.plan(c)
		if err != nil {
			return done, err
		}
		// The former state is stored before it changes.
		if err := m.save(p.before); err != nil {
			return done, err
		}
		for _, s := range p.Steps {
			if err := m.take(s); err != nil {
				return done, err
			}
			done = append(done, s)
			if s.Action == LoadModule {
				break
			}
		}
		if n := len(p.Steps); n > 0 && p.Steps[0].Action == LoadModule {
			continue // the module has made an interface: read it
		}
		if err := m.save(p.after); err != nil {
			return done, err
		}
		if len(p.Steps) == 0 {
			return done, nil
		}
	}
	return done, fmt.Errorf("failed to prepare the real server in %d attempts: %w", rounds, ErrUnstable)
}

// The locks are files in the state directory.
const (
	changeLock = "realserver.lock" // whoever changes the machine holds it meanwhile
	runLock    = "realserver.run"  // all that run Run share it
)

// lock takes the lock without which no tandem process changes the machine. So two of them do not do this at the same time.
func (m *Machine) lock() (unlock func(), err error) { return m.lockFile(changeLock, unix.LOCK_EX) }

// lockFile locks a file as flock(2) says.
func (m *Machine) lockFile(name string, how int) (unlock func(), err error) {
	if err := os.MkdirAll(m.options.StateDir, 0o755); err != nil {
		return nil, fmt.Errorf("failed to make the state directory: %w", err)
	}
	path := filepath.Join(m.options.StateDir, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("failed to open the lock: %w", err)
	}
	// An older version let every user open the lock, and hold it.
	if err := f.Chmod(0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("failed to set the mode of the lock: %w", err), f.Close())
	}
	if err := unix.Flock(int(f.Fd()), how); err != nil {
		return nil, errors.Join(fmt.Errorf("failed to lock %s: %w", path, err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

func (m *Machine) plan(c Config) (Plan, error) {
	s, r, err := m.read(c, nil)
	if err != nil {
		return Plan{}, err
	}
	return MakePlan(c, s, r)
}

// read returns the state of everything in the configuration, the record and settings. It also returns the record that applies
// to this boot.
func (m *Machine) read(c Config, settings []string) (State, Record, error) {
	saved, err := m.options.Record.Load()
	if err != nil {
		return State{}, Record{}, fmt.Errorf("failed to read the record of the former state: %w", err)
	}
	record := saved.Record
	k, err := openKernel()
	if err != nil {
		return State{}, record, err
	}
	defer k.close()
	s, err := k.read(c, record, m.options.Operator)
	if err == nil {
		err = readFiles(&s, c, record, settings)
	}
	if err != nil {
		return s, record, err
	}
	if m.options.Directed != nil {
		s.Directed = append(s.Directed, m.options.Directed()...)
	}
	boot, err := os.ReadFile(bootFile)
	if err != nil {
		return s, record, fmt.Errorf("failed to read the boot id: %w", err)
	}
	record = record.since(string(boot), s)
	s.Quiet, err = m.quiet(c, s, record)
	return s, record, err
}

// save stores the record.
func (m *Machine) save(r Record) error {
	if err := m.options.Record.Store(r.saved()); err != nil {
		return fmt.Errorf("failed to write the record of the former state: %w", err)
	}
	return nil
}

// take makes the change of one step.
func (m *Machine) take(s Step) error {
	k, err := openKernel()
	if err != nil {
		return err
	}
	defer k.close()
	switch s.Action {
	case LoadModule:
		return loadModule(s.Name)
	case UnloadModule:
		if err := unloadModule(s.Name); err != nil {
			m.options.Log.Warn("failed to unload a module that tandem has loaded", "error", err)
		}
		return nil
	case SetSysctl:
		err = os.WriteFile(filepath.Join(procSys, s.Name), []byte(s.Value), 0)
	case InstallFilter:
		return installFilter(s.Rules)
	case RemoveFilter:
		return removeFilter()
	case WriteDropIn:
		if err = os.MkdirAll(filepath.Dir(s.Name), 0o755); err == nil {
			err = m.options.WriteFile(s.Name, []byte(s.Value), 0o644)
		}
	case RemoveDropIn:
		if err = os.Remove(s.Name); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	case LinkUp, LinkDown:
		return k.setLink(s.Name, s.Action == LinkUp)
	case AddAddress:
		return k.addAddress(s.Address)
	case DeleteAddress:
		return k.deleteAddress(s.Address)
	case AddLocalRoute:
		return k.addLocalRoute(s.Address)
	case SetRoute:
		return k.setRoute(s.Path)
	case DeleteRoute:
		return k.deleteRoute(s.Path)
	}
	if err != nil {
		return fmt.Errorf("failed to %s: %w", s.Action, err)
	}
	return nil
}

// Run applies c and calls ready. After that it checks the machine every second, and repairs changes, until ctx ends. The
// machine stays prepared: a restart must not end a real server's connections. Run fails only if the first Apply does.
func (m *Machine) Run(ctx context.Context, c Config, ready func()) error {
	unlock, err := m.lockFile(runLock, unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := m.Apply(c); err != nil {
		return err
	}
	ready()
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	trouble := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		steps, err := m.Check(c)
		if err == nil && len(steps) > 0 {
			steps, err = m.Apply(c)
			for _, s := range steps {
				m.options.Log.Warn("repaired what somebody changed", "step", s.String())
			}
		}
		switch {
		case err == nil:
			trouble = ""
		case err.Error() != trouble:
			trouble = err.Error()
			m.options.Log.Error("failed to keep the real server as it should be: trying again", "error", err)
		}
	}
}
