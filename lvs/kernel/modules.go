// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// AvailableSchedulers returns the schedulers of lvs.Schedulers that the running kernel has built in, has loaded, or can load
// as modules. It loads none. It fails if the modules cannot be read, as in a container.
func AvailableSchedulers() ([]string, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return nil, fmt.Errorf("failed to find the kernel's release: %w", err)
	}
	release := unix.ByteSliceToString(name.Release[:])
	return availableSchedulers("/proc/modules", filepath.Join("/lib/modules", release))
}

// availableSchedulers reads the list of loaded modules, and the directory of those that can be loaded.
func availableSchedulers(loaded, dir string) ([]string, error) {
	text := make([]string, 3)
	errs := make([]error, 3)
	for i, path := range []string{filepath.Join(dir, "modules.dep"), filepath.Join(dir, "modules.builtin"), loaded} {
		b, err := os.ReadFile(path)
		text[i], errs[i] = string(b), err
	}
	if errs[0] != nil && errs[1] != nil { // the loaded ones are not all
		return nil, fmt.Errorf("failed to list the kernel's modules: %w", errs[0])
	}
	return slices.DeleteFunc(lvs.Schedulers(), func(s string) bool {
		file := "/ip_vs_" + s + ".ko"
		return !strings.Contains(text[0], file) && !strings.Contains(text[1], file) &&
			!strings.Contains("\n"+text[2], "\nip_vs_"+s+" ")
	}), nil
}

// explainAbsent returns an error that names the missing module, if the kernel does not know a service's scheduler or engine.
// have are the kernel's schedulers, or nil if they are not known.
func explainAbsent(s lvs.Service, have []string, err error) error {
	switch {
	case s.Engine != "" && len(have) == 0:
		return fmt.Errorf("the kernel has no scheduler %s or no persistence engine %s: modprobe ip_vs_%s ip_vs_pe_%s: %w",
			s.Scheduler, s.Engine, s.Scheduler, s.Engine, err)
	case s.Engine != "" && slices.Contains(have, s.Scheduler):
		return fmt.Errorf("the kernel has no persistence engine %s: modprobe ip_vs_pe_%s: %w", s.Engine, s.Engine, err)
	case len(have) == 0:
		return fmt.Errorf("the kernel has no scheduler %s: modprobe ip_vs_%s, or choose another: %w",
			s.Scheduler, s.Scheduler, err)
	}
	return fmt.Errorf("the kernel has no scheduler %s: modprobe ip_vs_%s, or choose one of %s: %w",
		s.Scheduler, s.Scheduler, strings.Join(have, ", "), err)
}
