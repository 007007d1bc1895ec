// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// cgroups is where the lab mounts the control groups.
const cgroups = "/sys/fs/cgroup"

// LimitCPU limits all the processes of the host together to a part of one processor, in percent, as a container or a unit
// with CPUQuota does. 0 ends the limit. Processes that start later belong to the group of their parent.
func (h *Host) LimitCPU(percent int) {
	h.lab.t.Helper()
	if err := h.limitCPU(percent); err != nil {
		h.lab.t.Fatalf("limit the processors of %s: %v", h.Name, err)
	}
	h.lab.Logf("%s has %d %% of a processor (0: no limit)", h.Name, percent)
}

func (h *Host) limitCPU(percent int) error {
	if _, err := os.Stat(cgroups + "/cgroup.controllers"); err != nil {
		if err := unix.Mount("cgroup2", cgroups, "cgroup2", unix.MS_NOSUID, ""); err != nil {
			return fmt.Errorf("mount cgroup2: %w", err)
		}
	}
	dir := filepath.Join(cgroups, h.Name)
	limit := "max"
	if percent > 0 {
		limit = fmt.Sprintf("%d 100000", percent*1000) // microseconds in each tenth of a second
	}
	err := errors.Join(
		os.WriteFile(cgroups+"/cgroup.subtree_control", []byte("+cpu"), 0),
		os.MkdirAll(dir, 0o755),
		os.WriteFile(dir+"/cpu.max", []byte(limit), 0),
	)
	for _, pid := range h.Pids() {
		err = errors.Join(err, os.WriteFile(dir+"/cgroup.procs", []byte(strconv.Itoa(pid)), 0))
	}
	return err
}
