// SPDX-License-Identifier: Apache-2.0

package handoff

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// variable is the environment variable with the descriptor of the document.
const variable = "TANDEM_HANDOFF"

// CheckFlag is the flag of the command that reads a document at its standard input and says whether it can take over. A program that
// does not know the flag refuses it, and does nothing.
const CheckFlag = "check-handoff"

// checkTimeout is how long a program may take to decide.
const checkTimeout = 15 * time.Second

// Check asks a program, which would be run with the same arguments, whether it can take over. The error has its own words.
func Check(ctx context.Context, program string, args []string, d Document) error {
	text, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("failed to write the hand-off: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append(slices.Clone(args), "--"+CheckFlag)...)
	cmd.Stdin = bytes.NewReader(text)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s does not say within %s whether it can take over", program, checkTimeout)
	case err != nil:
		return fmt.Errorf("%s cannot take over: %w: %s", program, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Exec replaces the program of this process. It returns only if this fails, and then nothing has changed. The other program finds the
// document by Inherited, and its descriptors open.
func Exec(program string, args []string, d Document) error {
	text, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("failed to write the hand-off: %w", err)
	}
	fd, err := unix.MemfdCreate("tandem-handoff", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("failed to make memory for the hand-off: %w", err)
	}
	file := os.NewFile(uintptr(fd), "hand-off")
	defer file.Close()
	if _, err := file.WriteAt(text, 0); err != nil {
		return fmt.Errorf("failed to write the hand-off: %w", err)
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, variable+"=") })
	env = append(env, variable+"="+strconv.Itoa(fd))
	kept := []int{fd}
	if e := d.Election; e != nil {
		kept = append(kept, e.Socket, e.Board)
	}
	// A program that another goroutine starts meanwhile must not get the descriptors.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	for _, fd := range kept {
		defer unix.CloseOnExec(fd)
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return fmt.Errorf("failed to keep a descriptor open: %w", err)
		}
	}
	return fmt.Errorf("failed to run %s: %w", program, syscall.Exec(program, append([]string{os.Args[0]}, args...), env))
}

// Inherited returns the document that the former program of this process has left; nil: there was none. After an error the former
// election takes this process for dead, and hands off to the next one as after a crash.
func Inherited() (*Document, error) {
	text, is := os.LookupEnv(variable)
	if !is {
		return nil, nil
	}
	if err := os.Unsetenv(variable); err != nil { // it is not for the programs that this one starts
		return nil, err
	}
	fd, err := strconv.Atoi(text)
	if err != nil || fd <= 2 {
		return nil, fmt.Errorf("%s is not the number of a descriptor: %q", variable, text)
	}
	file := os.NewFile(uintptr(fd), "hand-off")
	defer file.Close()
	d, err := Read(file)
	if err != nil {
		return nil, err
	}
	except := 0
	if d.Election != nil {
		except = d.Election.PID
		unix.CloseOnExec(d.Election.Socket)
		unix.CloseOnExec(d.Election.Board)
	}
	reap(except)
	return &d, nil
}

// reap waits for the end of the other children that the former program has started: checks and hooks that still ran. Nobody else does.
func reap(except int) {
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue
		}
		for _, field := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(field)
			if err != nil || pid == except {
				continue
			}
			go func() { // ends with the child
				for {
					if _, err := unix.Wait4(pid, nil, 0, nil); !errors.Is(err, unix.EINTR) {
						return
					}
				}
			}()
		}
	}
}
