// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/lvs"
)

// Settings maintain kernel settings, the files below /proc/sys, and remember their former values. They work in the network
// namespace of the calling thread. The methods may be called from any goroutine.
type Settings struct {
	root string
	log  hclog.Logger

	mu      sync.Mutex
	memory  memory[map[string]lvs.ChangedSetting]
	changed map[string]lvs.ChangedSetting // by path
}

// OpenSettings returns a Settings that knows the former values from the store. An error is the store's. The Settings are
// usable then too: they start with the values that the store could read.
func OpenSettings(store Store[map[string]lvs.ChangedSetting], log hclog.Logger) (*Settings, error) {
	return OpenSettingsBelow("/proc/sys", store, log)
}

// OpenSettingsBelow does what OpenSettings does, for settings below another folder than /proc/sys.
func OpenSettingsBelow(root string, store Store[map[string]lvs.ChangedSetting], log hclog.Logger) (*Settings, error) {
	changed, err := store.Load()
	// Root may run this with the state of a director that is not root, and must not write for it what only root may write.
	changed = maps.Clone(changed)
	maps.DeleteFunc(changed, func(p string, _ lvs.ChangedSetting) bool { return path.Clean(p) != p || !strings.HasPrefix(p, "net/") })
	return &Settings{root: root, log: log, memory: newMemory(store), changed: changed}, err
}

// Keep makes the settings as want says, by their paths below /proc/sys. It writes only those that differ, and returns them. A
// setting that is no longer wanted gets its former value back, unless another program has changed it since. Former values are
// remembered before they are overwritten. The error joins all failures. If only remembering failed, it wraps
// ErrNotRemembered.
func (s *Settings) Keep(want map[string]string) (done []lvs.SettingChange, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	have, unread, errs := s.readFor(want)
	plan := lvs.PlanSettings(have, want, s.changed)
	_ = s.store(plan.Before) // tried again below
	after := plan.After
	maps.Copy(after, unread)
	for _, c := range append(plan.Set, plan.Restore...) {
		if err := s.write(c); err != nil {
			errs = append(errs, err)
			after[c.Path] = plan.Before[c.Path]
			continue
		}
		s.log.Info("changed a kernel setting", "change", c.String())
		done = append(done, c)
	}
	return done, errors.Join(append(errs, s.store(after))...)
}

// Plan returns what Keep would write. It writes nothing. The error joins the settings that could not be read.
func (s *Settings) Plan(want map[string]string) (lvs.SettingsPlan, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	have, _, errs := s.readFor(want)
	return lvs.PlanSettings(have, want, s.changed), errors.Join(errs...)
}

// readFor reads the settings that are wanted, and those that were changed. unread are those of the latter that could not be
// read.
func (s *Settings) readFor(want map[string]string) (have map[string]string, unread map[string]lvs.ChangedSetting, errs []error) {
	have, unread = make(map[string]string), make(map[string]lvs.ChangedSetting)
	for path := range want {
		value, err := s.Read(path)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("failed to set %s: there is no such setting: %w", lvs.SettingName(path), err)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		have[path] = value
	}
	for path, c := range s.changed {
		value, err := s.Read(path)
		if err == nil {
			have[path] = value
		} else if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
			unread[path] = c
		}
	}
	return have, unread, errs
}

// Restore gives every setting that tandem has changed its former value back, unless another program has changed it since.
func (s *Settings) Restore() error {
	_, err := s.Keep(nil)
	return err
}

// Former returns the value of a setting before tandem changed it. If tandem has not changed it, Former returns its present
// value.
func (s *Settings) Former(path string) (string, error) {
	s.mu.Lock()
	c, ours := s.changed[path]
	s.mu.Unlock()
	if ours {
		return c.Former, nil
	}
	return s.Read(path)
}

// Changed returns the settings that tandem has changed, by path.
func (s *Settings) Changed() map[string]lvs.ChangedSetting {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.changed)
}

// Read returns a setting as it is now.
func (s *Settings) Read(path string) (string, error) {
	text, err := os.ReadFile(filepath.Join(s.root, path))
	if err != nil {
		return "", fmt.Errorf("failed to read a kernel setting: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// store stores the changed settings, if they differ from the stored ones.
func (s *Settings) store(changed map[string]lvs.ChangedSetting) error {
	if !maps.Equal(changed, s.changed) {
		s.changed = maps.Clone(changed)
		s.memory.keep(maps.Clone(changed))
	}
	if err := s.memory.flush(); err != nil {
		return fmt.Errorf("former values of kernel settings: %w", err)
	}
	return nil
}

func (s *Settings) write(c lvs.SettingChange) error {
	f, err := os.OpenFile(filepath.Join(s.root, c.Path), os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(strings.ReplaceAll(c.New, " ", "\t") + "\n")
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("failed to set %s to %s: %w", c.Name(), c.New, err)
	}
	return nil
}
