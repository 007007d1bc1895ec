// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// payloadPath is the program that the lab was entered for.
const payloadPath = inside + "/payload"

// outputPort takes the payload's output in a virtual machine; the kernel's messages go to the console, ttyS0. It is a
// paravirtual port: an emulated serial line carries 0.2 MB/s at the cost of a whole processor.
const outputPort = "/dev/vport0p1"

// initMain is process 1 of the inside. It prepares the place, runs the payload, reaps orphaned processes and returns the
// payload's exit code. In a virtual machine it powers off instead of returning.
func initMain(role string) int {
	if os.Getpid() != 1 {
		// The code below kills every process that it can see.
		fmt.Fprintf(os.Stderr, "lab: %s=%s is for process 1 only\n", roleVar, role)
		return 1
	}
	out := io.Writer(os.Stdout)
	code, err := func() (int, error) {
		if err := prepare(role); err != nil {
			return 0, err
		}
		if role == roleVM {
			port, err := openOutput()
			if err != nil {
				return 0, err
			}
			out = port
		}
		return runPayload(out)
	}()
	if err != nil {
		fmt.Fprintf(out, "lab: init: %v\n", err)
		code = 1
	}
	if role != roleVM {
		return code
	}
	fmt.Fprintf(out, "%s%d\n", exitMark, code)
	// The machine is started with -no-reboot, so this ends it.
	err = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	fmt.Fprintf(os.Stderr, "reboot: %v\n", err)
	select {}
}

// prepare makes the inside ready for programs: it mounts file systems, names the machine, brings the loopback interface up and
// opens the system log.
func prepare(role string) error {
	for _, m := range []struct{ kind, dir, options string }{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{deviceFS(role), "/dev", "mode=755"},
		{"tmpfs", "/tmp", "mode=1777"},
		{"tmpfs", "/run", "mode=755"},
	} {
		if err := unix.Mount(m.kind, m.dir, m.kind, unix.MS_NOSUID, m.options); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.kind, m.dir, err)
		}
	}
	if role == roleDirect {
		if err := makeDevices(); err != nil {
			return err
		}
	}
	if err := unix.Sethostname([]byte("lab")); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	return sinkSyslog()
}

// deviceFS returns the file system for /dev: the kernel's own in a virtual machine. Elsewhere that one belongs to the machine.
func deviceFS(role string) string {
	if role == roleVM {
		return "devtmpfs"
	}
	return "tmpfs"
}

// makeDevices makes the devices that programs expect.
func makeDevices() error {
	for _, d := range []struct {
		name         string
		major, minor uint32
	}{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}} {
		file := path.Join("/dev", d.name)
		if err := unix.Mknod(file, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor))); err != nil {
			return fmt.Errorf("make %s: %w", file, err)
		}
		if err := os.Chmod(file, 0o666); err != nil { // whatever the umask is
			return err
		}
	}
	return nil
}

// sinkSyslog listens at /dev/log, without which keepalived does not start, and drops all messages: programs in the lab log
// to standard error, which the lab keeps.
func sinkSyslog() error {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/dev/log", Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("open the system log: %w", err)
	}
	// It ends with the process.
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	return nil
}

// openOutput loads the port's drivers and opens it.
func openOutput() (*os.File, error) {
	for _, module := range []string{"virtio_pci", "virtio_console"} {
		if text, err := exec.Command("/usr/sbin/modprobe", module).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("modprobe %s: %w\n%s", module, err, text)
		}
	}
	// The device appears a moment after its driver.
	deadline := time.Now().Add(10 * time.Second)
	for {
		port, err := os.OpenFile(outputPort, os.O_WRONLY, 0)
		if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENXIO) || time.Now().After(deadline) {
			return port, err
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// runPayload starts the payload with its output copied to out, reaps every process that ends until it is the payload,
// ends all others, and returns the payload's exit code.
func runPayload(out io.Writer) (int, error) {
	text, err := os.ReadFile(path.Join(inside, orderFile))
	if err != nil {
		return 0, err
	}
	var o order
	if err := json.Unmarshal(text, &o); err != nil {
		return 0, fmt.Errorf("read the order: %w", err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	// A write to the port takes a millisecond whatever its length. The pipe joins lines to fewer writes.
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	env := append(o.Env, roleVar+"="+rolePayload,
		"PATH=/usr/sbin:/usr/bin:"+inside, "HOME=/root", "TMPDIR=/tmp", "LC_ALL=C", "TERM=dumb")
	payload, err := os.StartProcess(payloadPath, append([]string{payloadPath}, o.Args...),
		&os.ProcAttr{Dir: inside, Env: env, Files: []*os.File{null, w, w}})
	if err != nil {
		return 0, fmt.Errorf("start the payload: %w", err)
	}
	_ = w.Close()
	copied := make(chan error, 1)
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{r}, make([]byte, 64<<10))
		copied <- err
	}()
	code, err := reap(payload.Pid)
	// Other processes may still hold the pipe open.
	_ = unix.Kill(-1, unix.SIGKILL)
	return code, errors.Join(err, <-copied)
}

// reap waits for child processes and orphans until pid has ended, and returns the exit code of pid.
func reap(pid int) (int, error) {
	for {
		var status unix.WaitStatus
		ended, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("wait for the payload: %w", err)
		case ended == pid && status.Signaled():
			return 128 + int(status.Signal()), nil
		case ended == pid:
			return status.ExitStatus(), nil
		}
	}
}
