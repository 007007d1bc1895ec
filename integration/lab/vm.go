// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const qemu = "qemu-system-x86_64"

// exitMark begins the last line of the output, in which init writes the payload's exit code.
const exitMark = "\x00tandem-lab exit "

// ensureQemu installs qemu with apt-get if it is not installed.
func ensureQemu(ctx context.Context) error {
	return Install(ctx, qemu, "qemu-system-x86", "this kernel has no IPVS, so the lab boots one under "+qemu+
		", which is not here: install it (Debian, Ubuntu: apt-get install qemu-system-x86; Fedora: dnf install qemu-system-x86)")
}

// usualMemory is the memory of a virtual machine, in MB.
const usualMemory = 1536

// bootVM runs the payload in a virtual machine and returns its exit code. memory is in MB. Kernel, image and console are passed as open
// files, so nothing stays on disk whatever happens to this process. The machine dies with this process.
func bootVM(ctx context.Context, b *base, files []runFile, memory int) (int, error) {
	image, err := initramfs(b.tree, files)
	if err != nil {
		return 0, err
	}
	kernel, err := memoryFile("kernel", b.kernel)
	if err != nil {
		return 0, err
	}
	defer kernel.Close()
	initrd, err := memoryFile("initrd", image)
	if err != nil {
		return 0, err
	}
	defer initrd.Close()
	consoleRead, consoleWrite, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer consoleRead.Close()
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return 0, errors.Join(err, consoleWrite.Close())
	}
	defer outRead.Close()

	var complaints, console bytes.Buffer
	cmd := machine(ctx, memory, kernel, initrd, consoleWrite, outWrite)
	cmd.Stderr = &complaints
	// Pdeathsig is sent when the thread that started the machine ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = cmd.Start()
	_, _ = consoleWrite.Close(), outWrite.Close()
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", qemu, err)
	}
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(&console, consoleRead) })
	code, err := relay(os.Stdout, outRead)
	// Init has written its last line. The machine need not finish powering off.
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	reading.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return 0, fmt.Errorf("virtual machine: %w\n%s--- console ---\n%s", err, complaints.Bytes(), console.Bytes())
	}
	if code != 0 {
		fmt.Fprintf(os.Stdout, "--- the machine's console ---\n%s---\n", console.Bytes())
	}
	return code, nil
}

// machine returns the command that runs a virtual machine: the kernel's messages go to console, the payload's output to out.
func machine(ctx context.Context, memory int, kernel, initrd, console, out *os.File) *exec.Cmd {
	accel := os.Getenv("TANDEM_LAB_ACCEL")
	if accel == "" {
		// Not KVM, even where /dev/kvm opens: on nested machines the guest then often hangs.
		accel = "tcg,thread=multi"
	}
	cmd := exec.CommandContext(ctx, qemu,
		// Without the fast strings of real processors, which are emulated byte by byte: a page fault takes a third of the time. And
		// with page tables of four levels, not five.
		"-accel", accel, "-cpu", "max,-erms,-fsrm,-la57", "-smp", "2", "-m", strconv.Itoa(memory), "-nodefaults", "-no-user-config", "-no-reboot",
		"-display", "none", "-monitor", "none", "-nic", "none",
		// The extra files below, as they are numbered in the child.
		"-kernel", "/proc/self/fd/3", "-initrd", "/proc/self/fd/4",
		// Any clock other than the TSC costs eight times as much, because reading it leaves the emulated processor.
		// Guards against what a real processor guesses only make an emulated one slower, and so do security modules, which are
		// asked for each packet, and memory that is cleared when it is handed out.
		"-append", "console=ttyS0 panic=-1 quiet tsc=reliable mitigations=off lsm=none init_on_alloc=0 "+roleVar+"="+roleVM,
		"-chardev", "file,id=console,path=/proc/self/fd/5", "-serial", "chardev:console",
		"-chardev", "file,id=out,path=/proc/self/fd/6",
		"-device", "virtio-serial-pci", "-device", "virtserialport,chardev=out,name=out",
	)
	cmd.ExtraFiles = []*os.File{kernel, initrd, console, out}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return cmd
}

// memoryFile returns an open file that exists in memory only.
func memoryFile(name string, data []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.Write(data); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// relay copies the payload's output as it arrives, up to the exit mark, and returns the exit code after the mark. It is an
// error if the input ends without a mark: the machine ended before its payload.
func relay(w io.Writer, r io.Reader) (int, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		if _, err := in.Peek(1); err != nil {
			return 0, errors.New("it ended without a result")
		}
		chunk, _ := in.Peek(in.Buffered())
		n := bytes.IndexByte(chunk, exitMark[0])
		if n == 0 {
			// A Peek that returns less than asked for is at the end of the input, which holds no whole mark.
			if mark, _ := in.Peek(len(exitMark)); string(mark) == exitMark {
				_, _ = in.Discard(len(exitMark))
				return exitCode(in)
			}
			n = 1
		} else if n < 0 {
			n = len(chunk)
		}
		chunk, _ = in.Peek(n)
		if _, err := w.Write(chunk); err != nil {
			return 0, err
		}
		_, _ = in.Discard(n)
	}
}

// exitCode reads the rest of the line that the mark begins.
func exitCode(in *bufio.Reader) (int, error) {
	text, err := in.ReadString('\n')
	if err != nil {
		return 0, errors.New("it ended within its result")
	}
	code, err := strconv.Atoi(strings.TrimSuffix(text, "\n"))
	if err != nil {
		return 0, fmt.Errorf("it ended with a result that is no exit code: %w", err)
	}
	return code, nil
}
