// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// childEnv has this test's binary install a filter, for it cannot be removed again. Its value is told, silent or none.
const childEnv = "TANDEM_SECCOMP_CHILD"

func TestMain(m *testing.M) {
	if how := os.Getenv(childEnv); how != "" {
		child(how)
		return
	}
	os.Exit(m.Run())
}

func testFilter() Filter {
	return Filter{
		Calls: append(Privileged(), Starting()...), Threads: true,
		Families: []uint32{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK, unix.AF_PACKET},
	}
}

// child tries calls, and prints how each of them ended.
func child(how string) {
	var mu sync.Mutex
	var calls []int
	var told func(int)
	if how == "told" {
		told = func(call int) {
			mu.Lock()
			defer mu.Unlock()
			calls = append(calls, call)
		}
	}
	if how != "none" {
		if err := testFilter().Install(told); err != nil {
			fmt.Println("install:", err)
			return
		}
	}
	try := func(name string, f func() error) {
		var errno unix.Errno
		err := f()
		if errors.As(err, &errno) {
			err = errors.New(unix.ErrnoName(errno))
		}
		fmt.Printf("%s: %v\n", name, err)
	}
	try("unshare", func() error { return unix.Unshare(unix.CLONE_FS) })
	try("chroot", func() error { return unix.Chroot("/") })
	try("start a program", func() error { return exec.Command("/bin/true").Run() })
	try("execve", func() error { return unix.Exec("/nothing", nil, nil) })
	for name, family := range map[string]int{"inet": unix.AF_INET, "packet": unix.AF_PACKET, "vsock": unix.AF_VSOCK} {
		try("socket "+name, func() error {
			fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			_ = unix.Close(fd)
			return err
		})
	}
	try("threads", func() error {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				runtime.LockOSThread() // each has a thread of its own, which ends with it
				time.Sleep(time.Millisecond)
				if unix.Chroot("/") == nil && how != "none" {
					panic("a thread has no filter")
				}
			})
		}
		all.Wait()
		return nil
	})
	mu.Lock()
	defer mu.Unlock()
	fmt.Printf("told: chroot %d, unshare %d\n", count(calls, unix.SYS_CHROOT), count(calls, unix.SYS_UNSHARE))
}

func count(all []int, call int) (n int) {
	for _, c := range all {
		if c == call {
			n++
		}
	}
	return n
}

// TestRefused: forbidden calls fail with EPERM in all threads, and are told. All others work.
func TestRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root")
	}
	for _, c := range []struct{ how, refused, start, vsock, told string }{
		{"told", "EPERM", "EPERM", "EAFNOSUPPORT", "told: chroot 21, unshare 1"},
		{"silent", "EPERM", "EPERM", "EAFNOSUPPORT", "told: chroot 0, unshare 0"},
		{"none", "<nil>", "<nil>", "", "told: chroot 0, unshare 0"},
	} {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), childEnv+"="+c.how)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", c.how, err, out)
		}
		lines := strings.Split(string(out), "\n")
		execve := "execve: ENOENT"
		if c.how != "none" {
			execve = "execve: EPERM"
		}
		want := []string{"unshare: " + c.refused, "chroot: " + c.refused, "start a program: " + c.start, execve, "socket inet: <nil>",
			"socket packet: <nil>", "threads: <nil>", c.told}
		if c.vsock != "" {
			want = append(want, "socket vsock: "+c.vsock)
		}
		for _, line := range want {
			if !slices.Contains(lines, line) {
				t.Errorf("%s: want %q in\n%s", c.how, line, out)
			}
		}
	}
}

// TestProgram runs a filter for each kind of call.
func TestProgram(t *testing.T) {
	filter, err := testFilter().program(refuse(unix.EPERM))
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]bpf.RawInstruction, len(filter))
	for i, f := range filter {
		raw[i] = bpf.RawInstruction{Op: f.Code, Jt: f.Jt, Jf: f.Jf, K: f.K}
	}
	program, ok := bpf.Disassemble(raw)
	vm, err := bpf.NewVM(program)
	if err != nil || !ok {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name                 string
		arch, call, argument uint32
		want                 uint32
	}{
		{"write", architecture, unix.SYS_WRITE, 1, unix.SECCOMP_RET_ALLOW},
		{"restart_syscall", architecture, unix.SYS_RESTART_SYSCALL, 0, unix.SECCOMP_RET_ALLOW},
		{"mount", architecture, unix.SYS_MOUNT, 0, unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{"the last of the list", architecture, unix.SYS_EXECVEAT, 0, unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{"another architecture", architecture + 1, unix.SYS_WRITE, 0, unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{"x32", architecture, unix.SYS_MOUNT | x32, 0, unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{"a thread", architecture, unix.SYS_CLONE, unix.CLONE_THREAD | unix.CLONE_VM, unix.SECCOMP_RET_ALLOW},
		{"a process", architecture, unix.SYS_CLONE, unix.CLONE_VM | unix.CLONE_VFORK, unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{"clone3", architecture, unix.SYS_CLONE3, 0, unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{"a netlink socket", architecture, unix.SYS_SOCKET, unix.AF_NETLINK, unix.SECCOMP_RET_ALLOW},
		{"a socket for keys", architecture, unix.SYS_SOCKET, unix.AF_KEY, unix.SECCOMP_RET_ERRNO | uint32(unix.EAFNOSUPPORT)},
	} {
		// The VM reads big-endian numbers, the kernel those of the machine: what is loaded is the same.
		data := make([]byte, 24)
		for at, n := range map[int]uint32{offsetCall: c.call, offsetArch: c.arch, offsetArgument: c.argument} {
			for i := range 4 {
				data[at+i] = byte(n >> (24 - 8*i))
			}
		}
		if got, err := vm.Run(data); err != nil || uint32(got) != c.want {
			t.Errorf("%s: %#x, %v; want %#x", c.name, uint32(got), err, c.want)
		}
	}
}
