// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
	"golang.org/x/sys/unix"
)

// A machine is a host of the lab that has a root directory of its own, and systemd as process 1.
type machine struct {
	*lab.Host
	scene *scene
	unit  string // of tandem
	root  string // its directory in the lab
	cmd   *exec.Cmd
	began time.Time
	ended chan struct{} // closed when process 1 has ended
	boots int
}

// unpack unpacks the root.
func (m *machine) unpack() error {
	m.root = filepath.Join(m.Dir(), "root")
	if err := os.Mkdir(m.root, 0o755); err != nil {
		return err
	}
	if text, err := exec.Command("busybox", "tar", "-C", m.root, "-xf", root.Path()).CombinedOutput(); err != nil {
		return fmt.Errorf("unpack the root of %s: %w\n%s", m.Name, err, text)
	}
	// Debian's installer writes these two for each machine.
	sum := sha256.Sum256([]byte(m.Name))
	id := fmt.Sprintf("%x\n", sum[:16])
	return errors.Join(m.write("etc/hostname", m.Name+"\n", 0o644), m.write("etc/machine-id", id, 0o444))
}

// start starts process 1.
func (m *machine) start() error {
	console, err := os.Create(m.consoleFile())
	if err != nil {
		return err
	}
	defer console.Close()
	m.began = time.Now()
	m.boots++ // the systemd before has left groups in its group
	m.cmd = exec.Command("/proc/self/exe", bootFlag, m.root, m.Name, fmt.Sprintf("%s-%d", m.Name, m.boots))
	m.cmd.Stdout, m.cmd.Stderr = console, console
	m.cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	if err := m.Do(m.cmd.Start); err != nil {
		return fmt.Errorf("start %s: %w", m.Name, err)
	}
	m.ended = make(chan struct{})
	go func() { // at the end, the lab kills process 1, and with it all others
		_ = m.cmd.Wait()
		close(m.ended)
	}()
	return nil
}

func (m *machine) consoleFile() string { return filepath.Join(m.Dir(), "console") }

// write writes a file of the machine.
func (m *machine) write(name, text string, mode os.FileMode) error {
	file := filepath.Join(m.root, name)
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		return err
	}
	return os.Chmod(file, mode)
}

// run runs a shell command in the machine, as root does who has logged in.
func (m *machine) run(command string) (string, error) {
	return m.TryRun("busybox", "nsenter", "-t", strconv.Itoa(m.cmd.Process.Pid), "-m", "-u", "-i", "-n", "-p", "--",
		"/usr/bin/env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8",
		"DEBIAN_FRONTEND=noninteractive", "/bin/sh", "-c", "cd /root; "+command)
}

// must is run for a command that succeeds.
func (m *machine) must(command string) string {
	out, err := m.run(command)
	m.scene.Logf("%s# %s\n%s", m.Name, command, out)
	if err != nil {
		m.scene.Fatalf("on %s: %v", m.Name, strings.Replace(err.Error(), "busybox nsenter", "", 1))
	}
	return strings.TrimSpace(out)
}

// awaitRunning waits until systemd says that the machine runs, without a unit that has failed.
func (m *machine) awaitRunning(limit time.Duration) time.Duration {
	var said string
	for time.Since(m.began) < limit {
		out, _ := m.run("systemctl is-system-running --wait 2>&1")
		said = strings.TrimSpace(out)
		switch said {
		case "running":
			return time.Since(m.began)
		case "degraded":
			failed, _ := m.run("systemctl --failed --no-legend --plain; journalctl -b -p warning --no-pager")
			m.scene.Fatalf("%s is degraded:\n%s", m.Name, failed)
		}
		select {
		case <-m.ended:
			limit = 0
		case <-time.After(time.Second):
		}
	}
	console, _ := os.ReadFile(m.consoleFile())
	jobs, _ := m.run("systemctl list-jobs --no-pager")
	m.scene.Fatalf("%s does not run after %.0f s: systemctl is-system-running says %q\n%s\nits console:\n%s", m.Name, time.Since(m.began).Seconds(), said, jobs, console)
	return 0
}

// restart ends the machine as its administrator does, and starts it again.
func (m *machine) restart() {
	m.must("systemctl --no-block poweroff")
	select {
	case <-m.ended:
	case <-time.After(time.Minute):
		m.scene.Fatalf("%s does not power off", m.Name)
	}
	// A kernel that starts has no services. This one still has those that the director has left for its next start.
	m.Run("ipvsadm", "-C")
	if err := m.start(); err != nil {
		m.scene.Fatalf("%v", err)
	}
	m.awaitRunning(2 * time.Minute)
}

// bootFlag makes the program process 1 of a machine. Its arguments are the root, the machine's name, and the name of
// its control group.
const bootFlag = "-boot"

// boot prepares the file systems of a machine, and becomes its systemd. The process is in namespaces of its own.
func boot(root, name, group string) error {
	// The group of this process becomes the root of its control groups. A namespace of a thread becomes that of the process that
	// the thread starts.
	runtime.LockOSThread()
	group = filepath.Join(groups, group)
	if err := errors.Join(os.MkdirAll(group, 0o755), os.WriteFile(group+"/cgroup.procs", []byte("0"), 0)); err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("a namespace of control groups: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep the mounts of the lab: %w", err)
	}
	if err := unix.Mount(root, root, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", root, err)
	}
	if err := errors.Join(mountAll(root), makeDevices(root+"/dev"), unix.Sethostname([]byte(name))); err != nil {
		return err
	}
	err := unix.Chdir(root)
	if err == nil {
		err = unix.Mount(".", "/", "", unix.MS_MOVE, "")
	}
	if err == nil {
		err = unix.Chroot(".")
	}
	if err == nil {
		err = unix.Chdir("/")
	}
	if err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	// With this variable systemd leaves devices and the clock to the machine around it.
	return unix.Exec("/sbin/init", []string{"/sbin/init"}, []string{"container=tandem-lab"})
}

// groups is where the lab's control groups are.
const groups = "/sys/fs/cgroup"

// mountAll mounts the file systems that a container has when its systemd starts.
func mountAll(root string) error {
	const quiet = unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV
	for _, m := range []struct {
		kind, dir, options string
		flags              uintptr
	}{
		{"proc", "/proc", "", quiet},
		{"sysfs", "/sys", "", quiet | unix.MS_RDONLY},
		{"cgroup2", "/sys/fs/cgroup", "", quiet},
		{"tmpfs", "/dev", "mode=755", unix.MS_NOSUID},
		{"devpts", "/dev/pts", "newinstance,ptmxmode=0666,mode=620,gid=5", unix.MS_NOSUID | unix.MS_NOEXEC},
		{"tmpfs", "/dev/shm", "mode=1777", unix.MS_NOSUID | unix.MS_NODEV},
		{"tmpfs", "/run", "mode=755", unix.MS_NOSUID | unix.MS_NODEV},
		{"tmpfs", "/tmp", "mode=1777", unix.MS_NOSUID | unix.MS_NODEV},
	} {
		dir := root + m.dir
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, dir, m.kind, m.flags, m.options); err != nil {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	// The modules of the kernel that runs, as a Debian machine has them.
	const modules = "/usr/lib/modules"
	if err := os.MkdirAll(root+modules, 0o755); err != nil {
		return err
	}
	return unix.Mount(modules, root+modules, "", unix.MS_BIND, "")
}

func makeDevices(dir string) error {
	for name, minor := range map[string]uint32{"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9} {
		file := filepath.Join(dir, name)
		if err := errors.Join(unix.Mknod(file, unix.S_IFCHR|0o666, int(unix.Mkdev(1, minor))), os.Chmod(file, 0o666)); err != nil {
			return err
		}
	}
	tty := filepath.Join(dir, "tty")
	if err := errors.Join(unix.Mknod(tty, unix.S_IFCHR|0o666, int(unix.Mkdev(5, 0))), os.Chmod(tty, 0o666)); err != nil {
		return err
	}
	for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
		"stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
