// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// execTarget is a check by a program that is run as nobody and may take a long time: the machine may stall.
func execTarget(command ...string) Target {
	c := DefaultConfig(Exec)
	c.Interval, c.Timeout, c.Command = 30*time.Second, 30*time.Second, command
	return Target{ID: "script", Config: c}
}

// shell is a check by a script of one line.
func shell(script string) Target { return execTarget("/bin/sh", "-c", script) }

func TestPrograms(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	as := func(user string, target Target) Target {
		target.Config.User = user
		return target
	}
	plain, orphan, bytes := file("plain", "hello\n", 0o644), file("orphan", "#!/no/such/sh\n", 0o755), file("bytes", "hello\n", 0o755)
	tests := []struct {
		name   string
		target Target
		want   result
	}{
		{"succeeds", execTarget("/bin/true"), pass("exit code 0")},
		{"succeeds with words", shell("echo all is well"), pass("exit code 0")},
		{"fails", execTarget("/bin/false"), fail("exit code 1")},
		{"fails with words", shell("echo pool is empty; echo more; exit 2"), fail("exit code 2: pool is empty")},
		{"fails with words on standard error", shell("echo no route >&2; exit 3"), fail("exit code 3: no route")},
		{"fails with an empty line first", shell(`printf '\n \n\tat last\n'; exit 1`), fail("exit code 1: at last")},
		{"fails with a line without end", shell("printf half; exit 1"), fail("exit code 1: half")},
		{"fails with colours and garbage", shell(`printf '\033[31mred\033[0m\a \303\050\n'; exit 1`), fail("exit code 1: [31mred [0m (")},
		{"fails with a long line", shell("printf '%0150d' 0; exit 1"), fail("exit code 1: " + strings.Repeat("0", 100) + "…")},
		{"is killed by somebody", shell("kill -TERM $$"), fail("ended by a signal: terminated")},
		{"prints without end", execTarget("/usr/bin/yes"), fail("more than 1 MiB of output")},
		{"gets its arguments as they are", execTarget("/bin/sh", "-c", `echo "$#,$1,$2"; exit 1`, "sh", "a b", "$HOME"),
			fail("exit code 1: 2,a b,$HOME")},
		{"is missing", execTarget("/no/such/program"), fail("cannot run /no/such/program: no such file")},
		{"has no interpreter", as("root", execTarget(orphan)),
			fail("cannot run " + orphan + ": it exists, but the interpreter that its first line names does not")},
		{"is not executable", as("root", execTarget(plain)), fail("cannot run " + plain + ": user root is not permitted to")},
		{"is a folder", execTarget("/etc"), fail("cannot run /etc: user nobody is not permitted to")},
		{"is no program", as("root", execTarget(bytes)),
			fail("cannot run " + bytes + ": it is neither a program for this machine nor does it begin with #!")},
		{"has an unknown user", as("no-such-user", execTarget("/bin/true")), fail("cannot run /bin/true: no such user: no-such-user")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			noLeftovers(t)
			if got, _ := probeOnce(tt.target); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			noChildren(t)
		})
	}
}

// What a program finds itself to be. Each says one line and fails, so that the line can be read in the reason.
func TestWhatAProgramIsGiven(t *testing.T) {
	status := func(key string) string { return `sed -n "s/^` + key + `:[[:space:]]*//p" /proc/self/status` }
	tests := []struct{ name, user, script, want string }{
		{"nobody, alone", "nobody", "id", "uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)"},
		{"a user by number", "65534", "id", "uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)"},
		{"a number that is nobody's", "4200001", "id", "uid=4200001 gid=4200001 groups=4200001"},
		{"root, where asked for", "root", "id", "uid=0(root) gid=0(root) groups=0(root)"},
		{"no capabilities", "nobody", status("CapEff"), "0000000000000000"},
		{"none to be had", "nobody", status("CapPrm"), "0000000000000000"},
		{"no privileges by set-user-ID programs", "nobody", status("NoNewPrivs"), "1"},
		{"nor for root", "root", status("NoNewPrivs"), "1"},
		{"a session of its own", "nobody", `test "$(cut -d" " -f6 /proc/$$/stat)" = $$ && echo yes`, "yes"},
		{"the root directory", "nobody", "pwd", "/"},
		{"empty input", "nobody", "wc -c", "0"},
		{"a short environment", "nobody", `tr '\0' '\n' </proc/$$/environ | grep -v CHECK= | sort | cut -c1-30 | tr '\n' ' '`,
			"PATH=/usr/local/sbin:/usr/loca TANDEM_ADDRESS=192.0.2.1 TANDEM_PORT=80 TANDEM_TARGET=script"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := shell(tt.script + "; exit 1")
			target.Addr, target.Config.User = netip.MustParseAddrPort("192.0.2.1:80"), tt.user
			if got, _ := probeOnce(target); got != fail("exit code 1: "+tt.want) {
				t.Errorf("%+v, want %q", got, tt.want)
			}
		})
	}
	target := shell(`echo "${TANDEM_ADDRESS-none}"; exit 1`)
	if got, _ := probeOnce(target); got != fail("exit code 1: none") {
		t.Errorf("a target without an address: %+v", got)
	}
}

// probeEnv makes the test binary run a script as a user, both of them in it, print the reason, and end.
const probeEnv = "HEALTHCHECK_PROBE"

func probeForParent(userAndScript string) {
	user, script, _ := strings.Cut(userAndScript, "\n")
	target := shell(script)
	target.Config.User = user
	res, _ := probeOnce(target)
	fmt.Println(res.reason)
}

// A director that is not root, but has what systemd gives it with AmbientCapabilities=, keeps that to itself.
func TestDirectorWithAmbientCapabilities(t *testing.T) {
	tests := []struct{ name, user, script, want string }{
		{"as the director's own user", "nobody", "id -u", "exit code 1: 65534"},
		{"without its ambient capabilities", "nobody", `sed -n "s/^CapAmb:[[:space:]]*//p" /proc/self/status`, "exit code 1: 0000000000000000"},
		{"without any", "nobody", `sed -n "s/^CapEff:[[:space:]]*//p" /proc/self/status`, "exit code 1: 0000000000000000"},
		{"as another user", "root", "id -u", "cannot run /bin/sh: the director is not permitted to run programs as user root: " +
			"run it as root, or name its own user"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			director := exec.Command("/proc/self/exe")
			director.Env = []string{probeEnv + "=" + tt.user + "\n" + tt.script + "; exit 1"}
			director.SysProcAttr = &syscall.SysProcAttr{
				Credential:  &syscall.Credential{Uid: 65534, Gid: 65534},
				AmbientCaps: []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW},
			}
			out, err := director.Output()
			if got := strings.TrimSpace(string(out)); err != nil || got != tt.want {
				t.Errorf("%q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

// family is a script that starts a child by a command, prints the child's process number into a file, and waits.
func family(t *testing.T, start string) (script, pidFile string) {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir(); d = filepath.Dir(d) { // nobody is to write there
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	pidFile = filepath.Join(dir, "pid")
	child := fmt.Sprintf(`trap "" TERM HUP INT; echo $$ >%[1]s.new; mv %[1]s.new %[1]s; while :; do sleep 100; done`, pidFile)
	return fmt.Sprintf(start, "/bin/sh -c '"+child+"'"), pidFile
}

// pidIn waits for the process number in a file.
func pidIn(t *testing.T, file string) int {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if text, err := os.ReadFile(file); err == nil {
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatal("the child has not started")
	return 0
}

// diesSoon fails the test unless a process ends; one whose parent has yet to wait for it has ended.
func diesSoon(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); alive(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			_ = unix.Kill(-pid, unix.SIGKILL)
			_ = unix.Kill(pid, unix.SIGKILL)
			t.Fatalf("process %d is alive", pid)
		}
	}
}

func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// noChildren fails the test if this process has a child, or one that it has not waited for.
func noChildren(t *testing.T) {
	t.Helper()
	var status unix.WaitStatus
	if pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("child %d is left: %v", pid, err)
	}
}

// However a program's children dodge, they are gone with it: at its timeout, when its check is removed, and, unless
// they let go of its output too, when it ends.
func TestChildrenDieWithTheirProgram(t *testing.T) {
	tests := []struct{ name, start string }{
		{"a grandchild that ignores SIGTERM", `(%s & wait) & wait`},
		{"one in a process group of its own", `set -m; %s & wait`},
		{"one in a session of its own", `setsid %s & wait`},
		{"one that was detached like a daemon", `(setsid %s >/dev/null 2>&1 </dev/null &); sleep 100`},
	}
	for _, tt := range tests {
		for _, how := range []string{"timeout", "removal"} {
			t.Run(tt.name+" by "+how, func(t *testing.T) {
				noLeftovers(t)
				script, file := family(t, tt.start)
				target := shell(script)
				ctx, cancel := context.WithCancel(t.Context())
				if how == "timeout" {
					// The deadline is moved to the moment at which the child is there.
					ctx, cancel = lateDeadline(t.Context())
				}
				got := make(chan result, 1)
				go func() { got <- newPrograms().run(ctx, target) }()
				child := pidIn(t, file)
				if !alive(child) {
					t.Fatal("the child has not lived")
				}
				cancel()
				want := result{outcome: abandoned}
				if how == "timeout" {
					want = fail("timeout after 30s while the program ran")
				}
				if res := <-got; res != want {
					t.Errorf("%+v, want %+v", res, want)
				}
				diesSoon(t, child)
				noChildren(t)
			})
		}
	}
}

// lateDeadline is a context whose deadline passes when the function is called.
func lateDeadline(parent context.Context) (context.Context, context.CancelFunc) {
	ctx := &expiring{Context: parent, done: make(chan struct{})}
	return ctx, func() { close(ctx.done) }
}

type expiring struct {
	context.Context
	done chan struct{}
}

func (e *expiring) Done() <-chan struct{} { return e.done }
func (e *expiring) Err() error            { return context.DeadlineExceeded }

func TestWhatEndsWithAProgramThatEndsInTime(t *testing.T) {
	wait := func(file string) string { return "\nwhile ! test -e " + file + "; do sleep 0.01; done" }
	tests := []struct {
		name, start string
		dies        bool
	}{
		{"a child in the background", `%s &`, true},
		{"a child in the background that is silent", `%s >/dev/null 2>&1 &`, true},
		{"a session that holds the output", `setsid %s &`, true},
		{"a daemon stays", `setsid %s >/dev/null 2>&1 </dev/null &`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			noLeftovers(t)
			script, file := family(t, tt.start)
			if got, took := probeOnce(shell(script + wait(file))); got != pass("exit code 0") {
				t.Errorf("%+v after %s", got, took)
			}
			child := pidIn(t, file)
			if tt.dies {
				diesSoon(t, child)
				return
			}
			if !alive(child) {
				t.Error("the daemon was killed")
			}
			_ = unix.Kill(-child, unix.SIGKILL) // setsid made it the leader of a group, its sleep included
		})
	}
}

// A program that cannot be killed makes its check fail, and no other is started beside it.
func TestProgramsNeverPileUp(t *testing.T) {
	noLeftovers(t)
	ps := newPrograms()
	target := execTarget("/bin/true")
	stuck := newProgram(target)
	ps.remember(target.ID, stuck)
	if got := ps.run(t.Context(), target); got != fail(stillThere) {
		t.Errorf("beside one that lingers: %+v", got)
	}
	ps.forget(target.ID, stuck)
	if got := ps.run(t.Context(), target); got != pass("exit code 0") {
		t.Errorf("after its death: %+v", got)
	}
	ps.remember(target.ID, stuck)
	if ps.lingers(target.ID) {
		t.Error("one that died just before it was to be remembered counts for ever")
	}
}

// The output that is kept does not grow with what is printed.
func TestOutputIsBounded(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, _ := probeOnce(shell("head -c 1000000 /dev/zero; exit 1"))
	runtime.ReadMemStats(&after)
	if got != fail("exit code 1") {
		t.Errorf("%+v", got)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 128<<10 {
		t.Errorf("the probe allocated %d bytes", allocated)
	}
}

// A runner with many programs that hang and end and are replaced leaves nothing behind.
func TestRunnerOfPrograms(t *testing.T) {
	noLeftovers(t)
	verdicts := make(chan Verdict, 1000)
	r := NewRunner(Options{Notify: func(v Verdict) { verdicts <- v }})
	var targets []Target
	scripts := map[string]string{"works": "exit 0", "fails": "exit 4", "hangs": "sleep 100"}
	for id, script := range scripts {
		target := shell(script)
		target.ID = id
		target.Config.Interval, target.Config.Timeout, target.Config.Fall = 250*time.Millisecond, 200*time.Millisecond, 1
		if id != "hangs" {
			target.Config.Interval, target.Config.Timeout = 20*time.Second, 20*time.Second
		}
		targets = append(targets, target)
	}
	r.Set(targets)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	got := make(map[string]string)
	for limit := time.After(20 * time.Second); len(got) < len(scripts); {
		select {
		case v := <-verdicts:
			got[v.ID] = v.Health.String() + ": " + v.Reason
		case <-limit:
			t.Fatalf("verdicts so far: %v", got)
		}
	}
	for id, want := range map[string]string{
		"works": "healthy: exit code 0", "fails": "unhealthy: exit code 4",
		"hangs": "unhealthy: timeout after 200ms while the program ran",
	} {
		if got[id] != want {
			t.Errorf("%s: %q, want %q", id, got[id], want)
		}
	}
	r.Set(targets[:1])
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	noChildren(t)
}
