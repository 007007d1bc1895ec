// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// runDirect runs the payload on this machine's kernel, in namespaces of its own and with the lab's tree as its root
// directory. It sees no process, interface or file of the machine, and everything that it starts ends with it.
func runDirect(ctx context.Context, b *base, files []runFile) (int, error) {
	root, err := os.MkdirTemp("", "tandem-lab-root-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(root)
	// Programs inside may run as a user other than root.
	if err := os.Chmod(root, 0o755); err != nil {
		return 0, err
	}
	as := func(name string) string { return name }
	if err := untar(bytes.NewReader(b.tree), root, as); err != nil {
		return 0, err
	}
	for _, f := range files {
		if err := install(filepath.Join(root, inside, f.name), f); err != nil {
			return 0, err
		}
	}
	cmd := exec.CommandContext(ctx, payloadPath)
	cmd.Dir = "/"
	cmd.Env = []string{roleVar + "=" + roleDirect}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot:     root,
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		// Unsharing makes the mounts private too, which a clone flag would not.
		Unshareflags: syscall.CLONE_NEWNS,
		Pdeathsig:    syscall.SIGKILL,
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	if ctx.Err() != nil {
		return 0, fmt.Errorf("inner run: %w", context.Cause(ctx))
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 0, fmt.Errorf("inner run: %s", strings.TrimSpace(err.Error()))
	}
	return 0, nil
}

// install writes a file in small pieces, as package managers do. The page cache keeps a large write in pieces of up to
// 2 MB, and a process that uses one page of such a piece has all of it resident. Its memory could then not be compared
// with that of an installed program.
func install(path string, f runFile) error {
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, os.FileMode(f.mode))
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{bytes.NewReader(f.data)}, make([]byte, 64<<10))
	return errors.Join(err, to.Close())
}
