// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMachineThatDies: a virtual machine whose kernel panics, and one that is stopped from outside, end with an error that
// shows the console, and leave no process.
func TestMachineThatDies(t *testing.T) {
	if err := ensureQemu(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, err := openBase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	empty := make([]byte, 1024) // a tar archive of nothing
	t.Run("kernel panic", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := bootVM(ctx, &base{kernel: b.kernel, tree: empty}, nil, usualMemory)
		if err == nil || !strings.Contains(err.Error(), "Kernel panic") {
			t.Errorf("%v, want the kernel's panic", err)
		}
	})
	t.Run("time-out", func(t *testing.T) {
		reason := errors.New("still running")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 500*time.Millisecond, reason)
		defer cancel()
		if _, err := bootVM(ctx, &base{kernel: b.kernel, tree: empty}, nil, usualMemory); !errors.Is(err, reason) {
			t.Errorf("%v, want %q", err, reason)
		}
	})
	children, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range children {
		stat, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(stat), "(qemu") && strings.Contains(string(stat), ") S "+strconv.Itoa(os.Getpid())+" ") {
			t.Errorf("qemu was left behind: %s", stat)
		}
	}
}
