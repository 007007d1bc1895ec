// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp/speaker"
)

// childVar makes the test binary the child of TestSpawn.
const childVar = "TANDEM_TEST_CHILD"

// TestMain runs the tests, or is the child of TestSpawn.
func TestMain(m *testing.M) {
	if os.Getenv(childVar) != "" {
		idle()
		return
	}
	os.Exit(m.Run())
}

// idle is what the child of TestSpawn runs. It does nothing until its director is gone.
func idle() {
	conn, err := election.Inherited()
	if err == nil {
		shared, err := election.InheritedBoard()
		if err != nil {
			os.Exit(1)
		}
		shared.Slot("eth0", "web").Store(51)
	}
	if err == nil {
		_, err = conn.Write([]byte("up\n"))
	}
	if err == nil {
		_, err = io.ReadAll(conn)
	}
	if err != nil {
		os.Exit(1)
	}
}

// In a realtime election all threads have realtime priority, those of the Go runtime too. In any other election none has, and the
// timers have slack. The director stays as it was.
func TestSpawn(t *testing.T) {
	t.Setenv(childVar, "1")
	for _, realtime := range []bool{false, true} {
		child, err := Spawn(realtime)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(child, make([]byte, len("up\n"))); err != nil {
			t.Fatal(err)
		}
		if got := child.Spoke(message.RouterID{Interface: "eth0", Name: "web"}); got != 51 {
			t.Errorf("the router has last advertised at %d, want 51", got)
		}
		pid := child.(*process).cmd.Process.Pid
		tasks, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*")
		if err != nil || len(tasks) < 2 {
			t.Fatalf("threads %v, %v", tasks, err)
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(filepath.Base(task))
			if err != nil {
				t.Fatal(err)
			}
			a, err := unix.SchedGetAttr(tid, 0)
			if errors.Is(err, unix.ESRCH) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if isRealtime := a.Policy == unix.SCHED_RR && a.Priority == speaker.RealtimePriority; isRealtime != realtime {
				t.Errorf("realtime %v: a thread is under policy %d at priority %d", realtime, a.Policy, a.Priority)
			}
			slack, err := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/timerslack_ns")
			if err != nil {
				t.Fatal(err)
			}
			if got, want := strings.TrimSpace(string(slack)), strconv.Itoa(int(timerSlack)); !realtime && got != want {
				t.Errorf("a thread has a timer slack of %s ns, want %s", got, want)
			}
		}
		if err := child.Close(); err != nil {
			t.Error(err)
		}
		if err := child.Wait(); err != nil {
			t.Error(err)
		}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if a, err := unix.SchedGetAttr(0, 0); err != nil || a.Policy != unix.SCHED_NORMAL {
		t.Errorf("the director is left at policy %v, %v", a, err)
	}
}
