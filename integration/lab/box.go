// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Box gives a host processes and mounts of its own, as a machine has. All other hosts of the lab see the same processes, and killall
// would end those of all.
type Box struct {
	host  *Host
	outer *Process
	enter []string // a command that runs what follows inside
}

// Box makes a box. It binds files and directories of the host to paths that are the same in all boxes: where → what. The paths must
// exist.
func (h *Host) Box(binds map[string]string) *Box {
	h.lab.t.Helper()
	ready := filepath.Join(h.dir, "box-is-ready")
	if err := os.Remove(ready); err != nil && !errors.Is(err, os.ErrNotExist) {
		h.lab.t.Fatalf("box of %s: %v", h.Name, err)
	}
	var script strings.Builder
	for where, what := range binds {
		fmt.Fprintf(&script, "busybox mount -o bind '%s' '%s' || exit\n", what, where)
	}
	// The shell is the process that gets the orphans.
	fmt.Fprintf(&script, ": > '%s'\nbusybox sleep 100000\n:", ready)
	b := &Box{host: h}
	// The root directory of the lab is no mount point, so its propagation cannot be changed.
	b.outer = h.Start("unshare", "--pid", "--fork", "--kill-child", "--propagation", "unchanged", "--mount-proc",
		"busybox", "sh", "-c", script.String())
	h.lab.Eventually(20*time.Second, h.Name+" has processes of its own", func() error {
		if _, err := os.Stat(ready); err != nil {
			return err
		}
		for _, pid := range children(b.outer.Pid()) {
			b.enter = []string{"-t", strconv.Itoa(pid), "--pid", "--mount", "--root", "--wd", "--"}
			return nil
		}
		return errors.New("it has not")
	})
	return b
}

// Start starts a program in the box.
func (b *Box) Start(args ...string) *Process {
	b.host.lab.t.Helper()
	return b.host.Start("nsenter", slices.Concat(b.enter, args)...)
}

// Run runs a program in the box and returns its output. If the program fails, the test ends.
func (b *Box) Run(args ...string) string {
	b.host.lab.t.Helper()
	return b.host.Run("nsenter", slices.Concat(b.enter, args)...)
}

// TryRun runs a program in the box and returns its output, and an error with it if it fails.
func (b *Box) TryRun(args ...string) (string, error) {
	return b.host.TryRun("nsenter", slices.Concat(b.enter, args)...)
}

// Signal sends a signal to a program that Start has started in the box. Its children do not get it.
func (b *Box) Signal(p *Process, sig syscall.Signal) {
	b.host.lab.t.Helper()
	for _, pid := range children(p.Pid()) {
		if err := syscall.Kill(pid, sig); err != nil {
			b.host.lab.t.Errorf("signal %s on %s: %v", p.name, b.host.Name, err)
		}
	}
}

// Kill ends all processes of the box at once by SIGKILL, as a power cut does.
func (b *Box) Kill() {
	b.host.lab.t.Helper()
	b.outer.Signal(syscall.SIGKILL)
	<-b.outer.done
	b.host.killAll()
}

// children returns the children of a process that it has started itself, and not from another thread.
func children(pid int) (all []int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid)) // none if it has ended
	for _, word := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(word); err == nil {
			all = append(all, child)
		}
	}
	return all
}
