// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A Disk is an ext4 file system on a loop device, mounted on a directory of a host. It is for a virtual machine only:
// loop devices belong to the kernel, not to a namespace.
type Disk struct {
	host   *Host
	dir    string
	frozen bool
}

// Disk mounts a new, empty disk on a subdirectory of the host's directory. When the test ends the disk is thawed before
// anything else happens, because no process can be killed that waits for a frozen disk.
func (h *Host) Disk(name string) *Disk {
	h.lab.t.Helper()
	d := &Disk{host: h, dir: filepath.Join(h.dir, name)}
	if err := d.mount(filepath.Join(h.dir, name+".ext4")); err != nil {
		h.lab.t.Fatalf("disk %s of %s: %v", name, h.Name, err)
	}
	h.lab.t.Cleanup(func() {
		if d.frozen {
			d.Thaw()
		}
		// The processes that have files open end later, with the lab.
		if err := unix.Unmount(d.dir, unix.MNT_DETACH); err != nil {
			h.lab.t.Errorf("unmount %s: %v", d.dir, err)
		}
	})
	return d
}

// mount makes a file system in a file and mounts it.
func (d *Disk) mount(file string) error {
	const size = 16 << 20 // bytes: enough for a journal
	if err := errors.Join(os.Mkdir(d.dir, 0o755), os.WriteFile(file, nil, 0o600), os.Truncate(file, size)); err != nil {
		return err
	}
	if out, err := exec.Command("mke2fs", "-q", "-t", "ext4", "-F", file).CombinedOutput(); err != nil {
		return fmt.Errorf("mke2fs: %w: %s", err, out)
	}
	device, err := loopDevice(file)
	if err != nil {
		return err
	}
	defer device.Close() // the mount keeps the device
	if err := unix.Mount(device.Name(), d.dir, "ext4", 0, ""); err != nil {
		return fmt.Errorf("mount %s: %w", device.Name(), err)
	}
	return nil
}

// loopDevice binds a free loop device to a file. The device is free again after its last user.
func loopDevice(file string) (*os.File, error) {
	if out, err := exec.Command("modprobe", "loop").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("modprobe loop: %w: %s", err, out)
	}
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return nil, fmt.Errorf("find a free loop device: %w", err)
	}
	backing, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer backing.Close()
	device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	config := unix.LoopConfig{Fd: uint32(backing.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
	if err := unix.IoctlLoopConfigure(int(device.Fd()), &config); err != nil {
		return nil, errors.Join(fmt.Errorf("configure %s: %w", device.Name(), err), device.Close())
	}
	return device, nil
}

// Dir returns where the disk is mounted.
func (d *Disk) Dir() string { return d.dir }

// The requests of fsfreeze(8), from linux/fs.h: _IOWR('X', 119, int) and _IOWR('X', 120, int).
const (
	fiFreeze = 0xc0045877
	fiThaw   = 0xc0045878
)

// Freeze makes every write to the disk wait until Thaw, as a disk does that does not answer.
func (d *Disk) Freeze() {
	d.host.lab.t.Helper()
	d.control("freeze", fiFreeze)
	d.frozen = true
}

// Thaw ends what Freeze began.
func (d *Disk) Thaw() {
	d.host.lab.t.Helper()
	d.frozen = false
	d.control("thaw", fiThaw)
}

func (d *Disk) control(what string, request uint) {
	d.host.lab.t.Helper()
	dir, err := os.Open(d.dir)
	if err == nil {
		err = errors.Join(unix.IoctlSetInt(int(dir.Fd()), request, 0), dir.Close())
	}
	if err != nil {
		d.host.lab.t.Fatalf("%s %s: %v", what, d.dir, err)
	}
	d.host.lab.Logf("%s: %s %s", d.host.Name, what, filepath.Base(d.dir))
}

// ReadOnly makes every write to the disk fail, as the kernel does after an error of the disk. It uses the emergency
// remount of the SysRq key u, because an ordinary one is refused while a file is open for writing.
func (d *Disk) ReadOnly() {
	d.host.lab.t.Helper()
	if err := os.WriteFile("/proc/sysrq-trigger", []byte("u"), 0); err != nil {
		d.host.lab.t.Fatalf("remount read-only: %v", err)
	}
	d.host.lab.Eventually(10*time.Second, d.dir+" is read-only", func() error {
		var s unix.Statfs_t
		if err := unix.Statfs(d.dir, &s); err != nil || s.Flags&unix.ST_RDONLY == 0 {
			return fmt.Errorf("it is not: %w", err)
		}
		return nil
	})
	d.host.lab.Logf("%s: %s is read-only", d.host.Name, filepath.Base(d.dir))
}

// Writable ends what ReadOnly began.
func (d *Disk) Writable() {
	d.host.lab.t.Helper()
	if err := unix.Mount("", d.dir, "", unix.MS_REMOUNT, ""); err != nil {
		d.host.lab.t.Fatalf("remount %s: %v", d.dir, err)
	}
	d.host.lab.Logf("%s: %s is writable", d.host.Name, filepath.Base(d.dir))
}
