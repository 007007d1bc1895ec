// SPDX-License-Identifier: Apache-2.0

package script

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

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// probeOnce probes as the runner does.
func probeOnce(t healthcheck.Target) (healthcheck.Result, time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), t.Config.Timeout)
	defer cancel()
	start := time.Now()
	res := New().Run(ctx, &t)
	return probetest.Words(res), time.Since(start)
}

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
	as := func(user string, target healthcheck.Target) healthcheck.Target {
		target.Config.User = user
		return target
	}
	within := func(timeout time.Duration, target healthcheck.Target) healthcheck.Target {
		target.Config.Timeout = timeout
		return target
	}
	weighed := func(target healthcheck.Target) healthcheck.Target {
		target.Config.ExitWeight = true
		return target
	}
	weight := func(code, weight int) healthcheck.Result {
		res := healthcheck.Pass(fmt.Sprintf("exit code %d: weight %d", code, weight))
		res.Advice = healthcheck.Weigh(weight)
		return res
	}
	plain, orphan, bytes := file("plain", "hello\n", 0o644), file("orphan", "#!/no/such/sh\n", 0o755), file("bytes", "hello\n", 0o755)
	tests := []struct {
		name   string
		target healthcheck.Target
		want   healthcheck.Result
	}{
		{"succeeds", probetest.ExecTarget("/bin/true"), healthcheck.Pass("exit code 0")},
		{"succeeds with words", probetest.Shell("echo all is well"), healthcheck.Pass("exit code 0")},
		{"own weight", weighed(probetest.Shell("exit 0")), healthcheck.Pass("exit code 0")},
		{"no weight", weighed(probetest.Shell("echo no; exit 1")), probetest.Fail("exit code 1: no")},
		{"weight 0", weighed(probetest.Shell("exit 2")), weight(2, 0)},
		{"weight 18", weighed(probetest.Shell("exit 20")), weight(20, 18)},
		{"weight 253", weighed(probetest.Shell("exit 255")), weight(255, 253)},
		{"a weight that is none", weighed(probetest.Shell("/no/such/program 2>&-")), probetest.Fail("exit code 127")},
		{"a weight that is not asked for", probetest.Shell("exit 20"), probetest.Fail("exit code 20")},
		{"fails", probetest.ExecTarget("/bin/false"), probetest.Fail("exit code 1")},
		{"fails with words", probetest.Shell("echo pool is empty; echo more; exit 2"), probetest.Fail("exit code 2: pool is empty")},
		{"fails with words on standard error", probetest.Shell("echo no route >&2; exit 3"), probetest.Fail("exit code 3: no route")},
		{"fails with an empty line first", probetest.Shell(`printf '\n \n\tat last\n'; exit 1`), probetest.Fail("exit code 1: at last")},
		{"fails with a line without end", probetest.Shell("printf half; exit 1"), probetest.Fail("exit code 1: half")},
		{"fails with colours and garbage", probetest.Shell(`printf '\033[31mred\033[0m\a \303\050\n'; exit 1`), probetest.Fail("exit code 1: [31mred [0m (")},
		{"fails with a long line", probetest.Shell("printf '%0150d' 0; exit 1"), probetest.Fail("exit code 1: " + strings.Repeat("0", 100) + "…")},
		{"is killed by somebody", probetest.Shell("kill -TERM $$"), probetest.Fail("ended by a signal: terminated")},
		{"is killed, as where memory is short", probetest.Shell("kill -KILL $$"), notRun(killedReason)},
		{"prints without end", within(time.Second, probetest.ExecTarget("/usr/bin/yes")),
			probetest.Fail("timeout after 1s while the program printed more than 1 MiB")},
		{"prints 3 MB and succeeds", probetest.Shell("head -c 3000000 /dev/zero"), healthcheck.Pass("exit code 0")},
		{"prints 3 MB and fails", probetest.Shell("echo no route; head -c 3000000 /dev/zero; exit 1"), probetest.Fail("exit code 1: no route")},
		{"gets its arguments as they are", probetest.ExecTarget("/bin/sh", "-c", `echo "$#,$1,$2"; exit 1`, "sh", "a b", "$HOME"),
			probetest.Fail("exit code 1: 2,a b,$HOME")},
		{"is missing", probetest.ExecTarget("/no/such/program"), notRun("failed to run /no/such/program: no such file")},
		{"has no interpreter", as("root", probetest.ExecTarget(orphan)),
			notRun("failed to run " + orphan + ": it exists, but the interpreter that its first line names does not")},
		{"is not executable", as("root", probetest.ExecTarget(plain)), notRun("failed to run " + plain + ": it is not executable (chmod +x)")},
		{"is a folder", probetest.ExecTarget("/etc"), notRun("failed to run /etc: it is a directory")},
		{"is somebody else's", probetest.ExecTarget(file("private", "#!/bin/sh\n", 0o700)),
			notRun("failed to run " + dir + "/private: user nobody is not permitted to")},
		{"is no program", as("root", probetest.ExecTarget(bytes)),
			notRun("failed to run " + bytes + ": it is neither a program for this machine nor does it begin with #!")},
		{"has an unknown user", as("no-such-user", probetest.ExecTarget("/bin/true")), notRun("failed to run /bin/true: no such user: no-such-user")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			probetest.NoLeftovers(t)
			if got, _ := probeOnce(tt.target); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			probetest.NoChildren(t)
		})
	}
}

// The environment of a program. Each script prints one line and fails, so that the reason holds the line.
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
		{"the kernel kills it before the director where memory is short", "nobody",
			`until [ "$(cat /proc/self/oom_score_adj)" = 1000 ]; do sleep 0.01; done; echo yes`, "yes"},
		{"a session of its own", "nobody", `test "$(cut -d" " -f6 /proc/$$/stat)" = $$ && echo yes`, "yes"},
		{"the root directory", "nobody", "pwd", "/"},
		{"empty input", "nobody", "wc -c", "0"},
		{"a short environment", "nobody", `tr '\0' '\n' </proc/$$/environ | sort | cut -c1-30 | tr '\n' ' '`,
			"PATH=/usr/local/sbin:/usr/loca TANDEM_ADDRESS=192.0.2.1 TANDEM_PORT=80 TANDEM_TARGET=script"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := probetest.Shell(tt.script + "; exit 1")
			target.Addr, target.Config.User = netip.MustParseAddrPort("192.0.2.1:80"), tt.user
			if got, _ := probeOnce(target); got != probetest.Fail("exit code 1: "+tt.want) {
				t.Errorf("%+v, want %q", got, tt.want)
			}
		})
	}
	target := probetest.Shell(`echo "${TANDEM_ADDRESS-none}"; exit 1`)
	if got, _ := probeOnce(target); got != probetest.Fail("exit code 1: none") {
		t.Errorf("a target without an address: %+v", got)
	}
}

// TestMain makes the test binary a director that runs one script instead.
func TestMain(m *testing.M) {
	if target := os.Getenv(probeEnv); target != "" {
		probeForParent(target)
		return
	}
	os.Exit(m.Run())
}

// probeEnv holds a user and a script. With it the test binary runs the script as the user, prints the reason, and ends.
const probeEnv = "HEALTHCHECK_PROBE"

func probeForParent(userAndScript string) {
	user, script, _ := strings.Cut(userAndScript, "\n")
	target := probetest.Shell(script)
	target.Config.User = user
	res, _ := probeOnce(target)
	fmt.Println(res.Reason)
}

// A director that is not root, but has capabilities by systemd's AmbientCapabilities=, does not pass them on.
func TestDirectorWithAmbientCapabilities(t *testing.T) {
	tests := []struct{ name, user, script, want string }{
		{"as the director's own user", "nobody", "id -u", "exit code 1: 65534"},
		{"without its ambient capabilities", "nobody", `sed -n "s/^CapAmb:[[:space:]]*//p" /proc/self/status`, "exit code 1: 0000000000000000"},
		{"without any", "nobody", `sed -n "s/^CapEff:[[:space:]]*//p" /proc/self/status`, "exit code 1: 0000000000000000"},
		{"as another user", "root", "id -u", "failed to run /bin/sh: the director is not permitted to run programs as user root: " +
			"copy /usr/share/tandem/other-users.conf to /etc/systemd/system/tandem.service.d, run systemctl daemon-reload and tandem upgrade, " +
			"or name the director's own user"},
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

// family is a script that starts a child by a command, writes the child's process number to a file, and waits.
func family(t *testing.T, start string) (script, pidFile string) {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir(); d = filepath.Dir(d) { // the user nobody writes there
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	pidFile = filepath.Join(dir, "pid")
	child := fmt.Sprintf(`trap "" TERM HUP INT; echo $$ >%[1]s.new; mv %[1]s.new %[1]s; while :; do sleep 100; done`, pidFile)
	return fmt.Sprintf(start, "/bin/sh -c '"+child+"'"), pidFile
}

// pidIn waits for the process number in a file.
func pidIn(t *testing.T, file string) (pid int) {
	t.Helper()
	if !probetest.Eventually(20*time.Second, func() bool {
		text, err := os.ReadFile(file)
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return err == nil
	}) {
		t.Fatal("the child has not started")
	}
	return pid
}

// diesSoon fails the test unless a process ends. A zombie has ended.
func diesSoon(t *testing.T, pid int) {
	t.Helper()
	if !probetest.Eventually(5*time.Second, func() bool { return !alive(pid) }) {
		_ = unix.Kill(-pid, unix.SIGKILL)
		_ = unix.Kill(pid, unix.SIGKILL)
		t.Fatalf("process %d is alive", pid)
	}
}

func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// However a program's children detach themselves, they die with it: at its timeout, and when its check is removed. When
// it ends in time, those that still hold its output die.
func TestChildrenDieWithTheirProgram(t *testing.T) {
	tests := []struct{ name, start string }{
		{"a grandchild that ignores SIGTERM", `(%s & wait) & wait`},
		{"one in a process group of its own", `set -m; %s & wait`},
		{"one in a session of its own", `setsid %s & wait`},
		{"one that was detached like a daemon", `(setsid %s >/dev/null 2>&1 </dev/null &); sleep 100`},
		{"one in a session of its own with an empty environment", `setsid env -i %s & wait`},
		{"one that was detached with an empty environment", `(setsid env -i %s >/dev/null 2>&1 </dev/null &); sleep 100`},
		{"an orphan with an empty environment whose parents are gone", `(setsid env -i /bin/sh -c 'exec setsid "$@" &' sh %s &); sleep 100`},
	}
	for _, tt := range tests {
		for _, how := range []string{"timeout", "removal"} {
			t.Run(tt.name+" by "+how, func(t *testing.T) {
				probetest.NoLeftovers(t)
				script, file := family(t, tt.start)
				target := probetest.Shell(script)
				ctx, cancel := context.WithCancel(t.Context())
				if how == "timeout" {
					// The deadline passes as soon as the child has started.
					ctx, cancel = lateDeadline(t.Context())
				}
				got := make(chan healthcheck.Result, 1)
				go func() { got <- probetest.Words(New().Run(ctx, &target)) }()
				child := pidIn(t, file)
				if !alive(child) {
					t.Fatal("the child has not lived")
				}
				cancel()
				want := healthcheck.Result{Outcome: healthcheck.Abandoned}
				if how == "timeout" {
					want = probetest.Fail("timeout after 30s while the program ran")
				}
				if res := <-got; res != want {
					t.Errorf("%+v, want %+v", res, want)
				}
				diesSoon(t, child)
				probetest.NoChildren(t)
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

func (e *expiring) Err() error { return context.DeadlineExceeded }

func TestWhatEndsWithAProgramThatEndsInTime(t *testing.T) {
	wait := func(file string) string { return "\nwhile ! test -e " + file + "; do sleep 0.01; done" }
	tests := []struct {
		name, start string
		dies        bool
	}{
		{"a child in the background", `%s &`, true},
		{"a child in the background that is silent", `%s >/dev/null 2>&1 &`, true},
		{"a session that holds the output", `setsid %s &`, true},
		{"a session with an empty environment that holds the output", `setsid env -i %s &`, true},
		{"a daemon stays", `setsid %s >/dev/null 2>&1 </dev/null &`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			probetest.NoLeftovers(t)
			script, file := family(t, tt.start)
			if got, took := probeOnce(probetest.Shell(script + wait(file))); got != healthcheck.Pass("exit code 0") {
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

func TestProgramsNeverPileUp(t *testing.T) {
	probetest.NoLeftovers(t)
	ps := New()
	target := probetest.ExecTarget("/bin/true")
	stuck := newProgram(commandOf(&target))
	ps.markStuck(target.ID, stuck)
	if got := probetest.Words(ps.Run(t.Context(), &target)); got != probetest.Fail(stillThere) {
		t.Errorf("beside one that lingers: %+v", got)
	}
	ps.died(target.ID, stuck)
	if got := probetest.Words(ps.Run(t.Context(), &target)); got != healthcheck.Pass("exit code 0") {
		t.Errorf("after its death: %+v", got)
	}
	ps.markStuck(target.ID, stuck)
	if ps.isStuck(target.ID) {
		t.Error("one that died just before it was to be remembered counts for ever")
	}
}

// The kept output does not grow with the printed output.
func TestOutputIsBounded(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, _ := probeOnce(probetest.Shell("head -c 1000000 /dev/zero; exit 1"))
	runtime.ReadMemStats(&after)
	if got != probetest.Fail("exit code 1") {
		t.Errorf("%+v", got)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 128<<10 {
		t.Errorf("the probe allocated %d bytes", allocated)
	}
}

// notRun is the result of a program that could not be started, or was killed: it says nothing about the server.
func notRun(reason string) healthcheck.Result {
	return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: reason}
}
