// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
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
		wantRights(t, pid, realtime)
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

// wantRights checks that an election of root has its own capabilities only, and can get no others.
func wantRights(t *testing.T, pid int, realtime bool) {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	var want uint64
	for _, c := range capabilitiesOf(realtime, true) {
		want |= 1 << c
	}
	for _, line := range []string{
		fmt.Sprintf("CapPrm:\t%016x\n", want), fmt.Sprintf("CapBnd:\t%016x\n", want), "CapAmb:\t0000000000000000\n", "NoNewPrivs:\t1\n",
	} {
		if !strings.Contains(string(text), "\n"+line) {
			t.Errorf("realtime %t: want %q in\n%s", realtime, line, text)
		}
	}
}

// A director that is not root gives its election the ambient capabilities that it needs, and no other, and keeps its own.
func TestAmbientCapabilities(t *testing.T) {
	if os.Getenv(ambientVar) == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestAmbientCapabilities$", "-test.v")
		cmd.Env = append(os.Environ(), ambientVar+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Credential:  &syscall.Credential{Uid: 65534, Gid: 65534},
			AmbientCaps: []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_SYS_NICE, unix.CAP_KILL},
		}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS: TestAmbientCapabilities") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	var status []byte
	err := withCapabilities(capabilitiesOf(false, false), func() (err error) {
		status, err = exec.Command("cat", "/proc/self/status").Output()
		return err
	})
	if want := "CapEff:\t0000000000003000\n"; err != nil || !strings.Contains(string(status), want) {
		t.Errorf("%v, want %q in\n%s", err, want, status)
	}
	status, err = exec.Command("cat", "/proc/self/status").Output()
	if want := "CapEff:\t0000000000803020\n"; err != nil || !strings.Contains(string(status), want) {
		t.Errorf("what is started later: %v, want %q in\n%s", err, want, status)
	}
}

// ambientVar makes TestAmbientCapabilities the director.
const ambientVar = "TANDEM_TEST_AMBIENT"
