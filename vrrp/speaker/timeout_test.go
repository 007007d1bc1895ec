// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// waiterEnv makes a process of this test binary wait: open or plain.
const waiterEnv = "VRRP_TEST_WAITER"

// TestTimeoutAfterAStop: a process that continues after a stop does not wait for the rest of its time, whatever the personality is.
func TestTimeoutAfterAStop(t *testing.T) {
	if how := os.Getenv(waiterEnv); how != "" {
		waitForTest(how)
		return
	}
	for _, c := range []struct{ how, says string }{{"open", "interrupted"}, {"plain", "over"}} {
		t.Run(c.how, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestTimeoutAfterAStop$")
			cmd.Env = append(os.Environ(), waiterEnv+"="+c.how, "GODEBUG=asyncpreemptoff=1") // the Go runtime sends no signals of its own
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			if !lines.Scan() {
				t.Fatal("it does not begin")
			}
			asleep := 0 // looks in a row at which the thread slept: it waits in ppoll
			comesTrue(t, func() bool {
				text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/stat", cmd.Process.Pid, lines.Text()))
				if asleep++; err != nil || !strings.Contains(string(text), ") S ") {
					asleep = 0
				}
				return asleep == 20
			})
			for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
				if err := cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				if sig == syscall.SIGSTOP {
					comesTrue(t, func() bool {
						text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
						return err == nil && strings.Contains(string(text), ") T ")
					})
				}
			}
			lines.Scan()
			if lines.Text() != c.says {
				t.Errorf("it says %q, want %q", lines.Text(), c.says)
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// comesTrue polls until a condition is met.
func comesTrue(t *testing.T, met func() bool) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); !met(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("it never happened")
		}
	}
}

// waitForTest waits on a thread of its own, and prints how the wait ended.
func waitForTest(how string) {
	runtime.LockOSThread()
	var wait timeout
	if how == "open" {
		wait.open()
	}
	fmt.Println(unix.Gettid())
	_, err := unix.Ppoll(nil, wait.of(5*time.Second), nil)
	switch err {
	case nil:
		fmt.Println("over")
	case unix.EINTR:
		fmt.Println("interrupted")
	default:
		fmt.Println(err)
	}
	wait.close()
	os.Exit(0)
}
