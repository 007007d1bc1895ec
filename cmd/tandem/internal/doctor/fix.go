// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/tandem-lvs/tandem/lvs/realserver"
)

// A fix repairs a finding. One of sysctl, module and realServer is set.
type fix struct {
	sysctl, value string
	module        string
	realServer    *realserver.Config
}

// Sysctl reports whether a sysctl repairs it, which lasts until the next boot unless Fix writes it to a file.
func (f Finding) Sysctl() bool { return f.fix != nil && f.fix.sysctl != "" }

// RealServer returns the settings with which Fix prepares this machine as a real server. If Fix repairs something else, it
// returns nil.
func (f Finding) RealServer() *realserver.Config {
	if f.fix == nil {
		return nil
	}
	return f.fix.realServer
}

// Fix repairs the findings that are Fixable, and returns those that it repaired. After an error it continues with the others.
// It writes sysctls to file too, so that they last; empty: to none.
func Fix(ctx context.Context, findings []Finding, machine *realserver.Machine, file string) (fixed []Finding, err error) {
	for _, f := range findings {
		if f.fix == nil {
			continue
		}
		if e := f.fix.do(ctx, machine, file); e != nil {
			err = errors.Join(err, fmt.Errorf("failed to fix %s: %w", f.ID, e))
			continue
		}
		fixed = append(fixed, f)
	}
	return fixed, err
}

func (f fix) do(ctx context.Context, machine *realserver.Machine, file string) error {
	switch {
	case f.sysctl != "" && file != "":
		return machine.Keep(map[string]string{f.sysctl: f.value}, file)
	case f.sysctl != "":
		return os.WriteFile(filepath.Join("/proc/sys", f.sysctl), []byte(f.value), 0)
	case f.module != "":
		if out, err := exec.CommandContext(ctx, "modprobe", f.module).CombinedOutput(); err != nil {
			return fmt.Errorf("modprobe %s: %w: %s", f.module, err, out)
		}
		return nil
	}
	_, err := machine.Apply(*f.realServer)
	return err
}
