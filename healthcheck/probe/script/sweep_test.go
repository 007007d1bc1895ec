// SPDX-License-Identifier: Apache-2.0

package script

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// A director that is killed itself leaves its program to the kernel, and the program's children to the next director. What
// has been detached from the output stays.
func TestNextDirectorKillsWhatIsLeft(t *testing.T) {
	for _, tt := range []struct {
		name, start string
		dies        bool
	}{
		{"a child in a session of its own with an empty environment", `setsid env -i %s & wait`, true},
		{"a daemon", `setsid %s >/dev/null 2>&1 </dev/null & wait`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			script, file := family(t, tt.start)
			director := exec.Command("/proc/self/exe")
			director.Env = []string{probeEnv + "=nobody\n" + script}
			if err := director.Start(); err != nil {
				t.Fatal(err)
			}
			child := pidIn(t, file)
			sweepStale() // its director lives
			if !alive(child) {
				t.Error("a program of another director was killed")
			}
			_ = director.Process.Kill()
			_ = director.Wait()
			sweepStale()
			if tt.dies {
				diesSoon(t, child)
				return
			}
			if !alive(child) {
				t.Error("the daemon was killed")
			}
			_ = unix.Kill(-child, unix.SIGKILL)
		})
	}
}

// A sweep kills nothing in the director's own session, such as an election that started while a program did.
func TestSweepSparesTheDirectorsSession(t *testing.T) {
	other := exec.Command("/bin/sleep", "100")
	mark := newTag()
	if _, err := withTag(mark, func() (*os.Process, error) { return other.Process, other.Start() }); err != nil {
		t.Fatal(err)
	}
	if got := tagOf(other.Process.Pid); got != mark {
		t.Fatalf("the process has tag %x, want %x", got, mark)
	}
	sweep(mark, 0)
	if !alive(other.Process.Pid) {
		t.Error("it was killed")
	}
	_ = other.Process.Kill()
	_ = other.Wait()
	if got := tagOf(os.Getpid()); got != 0 {
		t.Errorf("this process keeps tag %x", got)
	}
}

// A program that cannot be killed makes its check fail, and no second program starts beside it.
