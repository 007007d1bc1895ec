// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroups is where the lab mounts the control groups.
const cgroups = "/sys/fs/cgroup"

// LimitCPU limits all the processes of the host together to a part of one processor, in percent, as a container or a unit
// with CPUQuota does. 0 ends the limit. Processes that start later belong to the group of their parent.
func (h *Host) LimitCPU(percent int) {
	h.lab.t.Helper()
	limit := "max"
	if percent > 0 {
		limit = fmt.Sprintf("%d 100000", percent*1000) // microseconds in each tenth of a second
	}
	h.limit("cpu", "cpu.max", limit)
	h.lab.Logf("%s has %d %% of a processor (0: no limit)", h.Name, percent)
}

// LimitMemory limits the memory that all the processes of the host together take from now on, in bytes, as a unit with
// MemoryMax does. 0 ends the limit. What the processes have already does not count when they are limited for the first time.
func (h *Host) LimitMemory(bytes int) {
	h.lab.t.Helper()
	limit := "max"
	if bytes > 0 {
		limit = strconv.Itoa(bytes)
	}
	h.limit("memory", "memory.max", limit)
	h.lab.Logf("%s has %d bytes of memory (0: no limit)", h.Name, bytes)
}

// KilledForMemory returns how many processes the kernel has killed because of LimitMemory.
func (h *Host) KilledForMemory() (n int) {
	h.lab.t.Helper()
	text, err := os.ReadFile(h.group() + "/memory.events")
	if err != nil {
		h.lab.t.Fatalf("count the processes of %s that were killed: %v", h.Name, err)
	}
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "oom_kill %d", &n) // other lines leave it
	}
	return n
}

// group is the control group of the host's processes. Labs that run at the same time have hosts of the same name.
func (h *Host) group() string { return filepath.Join(cgroups, fmt.Sprintf("%s-%d", h.Name, h.ns)) }

// limit moves the host's processes into its group, and then writes one of the group's files.
func (h *Host) limit(controller, file, value string) {
	h.lab.t.Helper()
	err := h.join(controller)
	if err == nil {
		err = os.WriteFile(filepath.Join(h.group(), file), []byte(value), 0)
	}
	if err != nil {
		h.lab.t.Fatalf("limit the %s of %s: %v", controller, h.Name, err)
	}
}

func (h *Host) join(controller string) error {
	if _, err := os.Stat(cgroups + "/cgroup.controllers"); err != nil {
		if err := unix.Mount("cgroup2", cgroups, "cgroup2", unix.MS_NOSUID, ""); err != nil {
			return fmt.Errorf("mount cgroup2: %w", err)
		}
	}
	err := errors.Join(
		os.WriteFile(cgroups+"/cgroup.subtree_control", []byte("+"+controller), 0),
		os.MkdirAll(h.group(), 0o755),
	)
	for _, pid := range h.Pids() {
		moved := os.WriteFile(h.group()+"/cgroup.procs", []byte(strconv.Itoa(pid)), 0)
		if !errors.Is(moved, unix.ESRCH) { // it has ended since
			err = errors.Join(err, moved)
		}
	}
	return err
}
