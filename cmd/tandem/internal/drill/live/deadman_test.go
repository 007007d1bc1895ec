// SPDX-License-Identifier: Apache-2.0

package live

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/lock"
)

// This test binary is the switch, and the drill that dies.
const roleVariable = "TANDEM_TEST_DRILL_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "switch":
		if err := RunSwitch(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case "drill":
		dieInTheMiddle()
	}
	os.Exit(m.Run())
}

// A victim is a process that a drill stops.
type victim struct {
	cmd     *exec.Cmd
	process drill.Process
}

func newVictim(t *testing.T) victim {
	t.Helper()
	cmd := exec.Command("sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	is, err := stat(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return victim{cmd, drill.Process{Role: drill.DirectorProcess, PID: cmd.Process.Pid, Started: is.started}}
}

// stop stops the victim.
func (v victim) stop(t *testing.T) {
	t.Helper()
	if err := act(t.Context(), drill.Action{Do: drill.Stop, Process: v.process}, "", nil); err != nil {
		t.Fatal(err)
	}
	v.await(t, true)
}

// await waits until the victim is stopped, or goes on.
func (v victim) await(t *testing.T, stopped bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if items := processItems([]drill.Process{v.process}); (items[0].Is == "stopped") == stopped {
			return
		} else if time.Now().After(end) {
			t.Fatalf("the process is %s", items[0].Is)
		}
	}
}

func freeze(v drill.Process, dir string, limit time.Duration) Orders {
	return Orders{
		Limit: limit, Undo: []drill.Action{{Do: drill.Continue, Process: v}}, StateDir: dir,
		Report: drill.Report{Kind: drill.Freeze, Director: "lb1", Did: []string{"stop the director process"}},
	}
}

// startSwitch starts a switch.
func startSwitch(t *testing.T, orders Orders) *Switch {
	t.Helper()
	t.Setenv(roleVariable, "switch")
	w, err := StartSwitch(orders, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.in.Close() })
	return w
}

// start starts a switch, and stops the victim.
func start(t *testing.T, v victim, orders Orders) *Switch {
	t.Helper()
	w := startSwitch(t, orders)
	v.stop(t)
	return w
}

// TestUndoOnOrder: the switch undoes the fault when it is told to, and keeps no report: the drill does.
func TestUndoOnOrder(t *testing.T) {
	v, dir := newVictim(t), t.TempDir()
	w := start(t, v, freeze(v.process, dir, time.Minute))
	if undone := w.Undo(); len(undone.Done) != 1 || len(undone.Failed) > 0 || !undone.Ordered {
		t.Errorf("%+v", undone)
	}
	v.await(t, false)
	w.Dismiss()
	if all, err := Reports(dir); err != nil || len(all) > 0 {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestUndoAtTheLimit: a drill that takes too long does not keep the fault.
func TestUndoAtTheLimit(t *testing.T) {
	v := newVictim(t)
	v.stop(t) // before the switch starts: its limit may be over at any time after that
	w := startSwitch(t, freeze(v.process, t.TempDir(), 50*time.Millisecond))
	v.await(t, false)
	if undone := <-w.Acted(); len(undone.Done) != 1 {
		t.Errorf("%+v", undone)
	}
	w.Dismiss()
}

// TestTheSwitchActsInTheMiddle: what the drill makes after the switch has acted is undone too.
func TestTheSwitchActsInTheMiddle(t *testing.T) {
	v := newVictim(t)
	w := start(t, v, freeze(v.process, t.TempDir(), time.Minute))
	if err := w.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	v.await(t, false)
	v.stop(t)
	if undone := w.Undo(); len(undone.Done) != 1 || len(undone.Failed) > 0 {
		t.Errorf("%+v", undone)
	}
	v.await(t, false)
	w.Dismiss()
}

// TestUndoOnSignal: what ends the session of the operator undoes the fault too.
func TestUndoOnSignal(t *testing.T) {
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGHUP} {
		v := newVictim(t)
		w := start(t, v, freeze(v.process, t.TempDir(), time.Minute))
		if err := w.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		v.await(t, false)
		w.Dismiss()
	}
}

// TestTheSwitchIsKilled: then the drill undoes the fault itself.
func TestTheSwitchIsKilled(t *testing.T) {
	v := newVictim(t)
	w := start(t, v, freeze(v.process, t.TempDir(), time.Minute))
	if err := w.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if undone := w.Undo(); len(undone.Done) != 1 {
		t.Errorf("%+v", undone)
	}
	v.await(t, false)
	w.Dismiss()
}

// dieInTheMiddle is a drill that makes its fault, and is killed. It reads its victim and its folder from its arguments.
func dieInTheMiddle() {
	var v drill.Process
	if _, err := fmt.Sscan(os.Args[2], &v.PID); err != nil {
		panic(err)
	}
	is, err := stat(v.PID)
	if err != nil {
		panic(err)
	}
	v.Started = is.started
	held, err := lock.Open(filepath.Join(os.Args[1], "lock"))
	if err == nil {
		err = lock.Take(held)
	}
	if err == nil {
		err = os.Setenv(roleVariable, "switch")
	}
	if err != nil {
		panic(err)
	}
	orders := freeze(v, os.Args[1], time.Minute)
	orders.Socket = filepath.Join(os.Args[1], "control.sock")
	if _, err := StartSwitch(orders, held); err != nil {
		panic(err)
	}
	if err := signalProcess(drill.Action{Do: drill.Stop, Process: v}); err != nil {
		panic(err)
	}
	fmt.Println("made")
	select {}
}

// TestTheDrillIsKilled: the fault is undone, no other drill begins before that, and the report says what happened.
func TestTheDrillIsKilled(t *testing.T) {
	v, dir := newVictim(t), t.TempDir()
	p := new(fakePair)
	serveAt(t, filepath.Join(dir, "control.sock"), p)
	cmd := exec.Command("/proc/self/exe", dir, fmt.Sprint(v.process.PID))
	cmd.Env = append(os.Environ(), roleVariable+"=drill")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "made\n" {
		t.Fatalf("%q, %v", line, err)
	}
	v.await(t, true)
	held, err := lock.Open(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := lock.Take(held); !errors.Is(err, lock.ErrHeld) {
		t.Errorf("another drill can begin: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	v.await(t, false)
	for end := time.Now().Add(20 * time.Second); lock.Take(held) != nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the switch does not end")
		}
	}
	all, err := Reports(dir)
	if err != nil || len(all) != 1 || !all[0].Killed || all[0].Passed || len(all[0].Did) != 2 || !strings.Contains(all[0].Did[1], "go on (SIGCONT)") {
		t.Errorf("%+v, %v", all, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.news) != 2 || p.news[0].Step != api.DrillUndone || len(p.news[0].Done) != 1 || p.news[1].Step != api.DrillEnded ||
		p.news[1].Drill.Result != "died, undone" || p.news[1].Drill.Ended.IsZero() {
		t.Errorf("the director was told %+v", p.news)
	}
}

// TestUndoTriesAgain: an action that fails does not keep the others from being done, and is tried until it works.
func TestUndoTriesAgain(t *testing.T) {
	v := newVictim(t)
	v.stop(t)
	socket := filepath.Join(t.TempDir(), "control.sock")
	done := make(chan Undone)
	go func() {
		done <- undo(t.Context(), []drill.Action{{Do: drill.Release, Routers: []string{"web"}}, {Do: drill.Continue, Process: v.process}}, socket)
	}()
	v.await(t, false)
	l, err := control.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- control.Serve(ctx, l, releasing{}) }()
	if u := <-done; len(u.Done) != 2 || len(u.Failed) != 0 || u.Done[1] != "end the standby of web" {
		t.Errorf("%+v", u)
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// A releasing director ends standbys.
type releasing struct{ control.Director }

func (releasing) Release(_ string, routers []string) (control.RoutersDone, error) {
	return control.RoutersDone{Routers: routers}, nil
}

// TestAnotherProcess: a process that has the number of one that ended is left alone.
func TestAnotherProcess(t *testing.T) {
	v := newVictim(t)
	v.process.Started++
	if err := act(t.Context(), drill.Action{Do: drill.Kill, Process: v.process}, "", nil); !errors.Is(err, unix.ESRCH) {
		t.Errorf("kill: %v", err)
	}
	if err := act(t.Context(), drill.Action{Do: drill.Continue, Process: v.process}, "", nil); err != nil {
		t.Errorf("continue: %v", err)
	}
}

// TestProcesses: the process of the director is the one that listens at its socket.
func TestProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	all, err := processes(path)
	if err != nil || len(all) != 1 || all[0].PID != os.Getpid() || all[0].Role != drill.DirectorProcess || all[0].Started == 0 {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := processes(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
