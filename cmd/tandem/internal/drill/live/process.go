// SPDX-License-Identifier: Apache-2.0

package live

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
)

// signalProcess kills, stops or continues a process. A process that has ended needs no continuing.
func signalProcess(a drill.Action) error {
	signal := map[drill.What]unix.Signal{drill.Kill: unix.SIGKILL, drill.Stop: unix.SIGSTOP, drill.Continue: unix.SIGCONT}[a.Do]
	fd, err := unix.PidfdOpen(a.Process.PID, 0)
	if err == nil {
		defer unix.Close(fd)
		// The descriptor is that of the process that has the number now. If that is another one, ours has ended.
		if is, statErr := stat(a.Process.PID); statErr != nil || is.started != a.Process.Started {
			err = unix.ESRCH
		} else {
			err = unix.PidfdSendSignal(fd, signal, nil, 0)
		}
	}
	if a.Do == drill.Continue && errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("failed to signal the %s process %d: %w", a.Process.Role, a.Process.PID, err)
	}
	return nil
}

// A processStat is a part of /proc/PID/stat (proc_pid_stat(5)).
type processStat struct {
	state   string
	parent  int
	started uint64
}

func stat(pid int) (is processStat, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return is, err
	}
	// "pid (name) state ppid …": the name may hold spaces and brackets.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 {
		return is, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	is.state = fields[0]
	is.parent, err = strconv.Atoi(fields[1])
	started, badStart := strconv.ParseUint(fields[19], 10, 64)
	is.started = started
	return is, errors.Join(err, badStart)
}

// processes returns the processes of the director that listens at a control socket, the director first. None are returned if it is
// in another namespace of processes.
func processes(socket string) ([]drill.Process, error) {
	director, err := listener(socket)
	if err != nil {
		return nil, fmt.Errorf("failed to find the process of the director: %w", err)
	}
	if director <= 0 {
		return nil, nil
	}
	is, err := stat(director)
	if err != nil {
		return nil, fmt.Errorf("failed to examine the process of the director: %w", err)
	}
	all := []drill.Process{{Role: drill.DirectorProcess, PID: director, Started: is.started}}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("failed to list the processes: %w", err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		child, err := stat(pid)
		if err != nil || child.parent != director {
			continue
		}
		command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			continue // it has ended
		}
		if args := strings.Split(string(command), "\x00"); len(args) > 1 && args[1] == "election" {
			all = append(all, drill.Process{Role: drill.ElectionProcess, PID: pid, Started: child.started})
		}
	}
	return all, nil
}

// listener returns the process that listens at a unix socket.
func listener(path string) (pid int, err error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid, errors.Join(err, controlErr)
}

// processItems says how the processes are.
func processItems(all []drill.Process) (items []drill.Item) {
	for _, p := range all {
		is, err := stat(p.PID)
		text := "running"
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && is.state == "Z":
			text = "ended"
		case err != nil:
			text = err.Error()
		case is.state == "T":
			text = "stopped"
		}
		items = append(items, drill.Item{What: p.Role + " process", Is: text})
	}
	return items
}

// unitOf returns the service of systemd that a process belongs to, or "".
func unitOf(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		// "0::/system.slice/tandem.service"
		_, path, _ := strings.Cut(strings.TrimSpace(line), ":/")
		last := path[strings.LastIndexByte(path, '/')+1:]
		if strings.HasSuffix(last, ".service") {
			return last
		}
	}
	return ""
}
