// SPDX-License-Identifier: Apache-2.0

package live

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
	statefile "github.com/tandem-lvs/tandem/cmd/tandem/internal/state"
)

// Orders are what the dead-man's switch is told before the fault is made.
type Orders struct {
	Limit    time.Duration  `json:"limit"`
	Undo     []drill.Action `json:"undo"`
	Socket   string         `json:"socket"`
	StateDir string         `json:"state_dir"`
	Report   drill.Report   `json:"report"` // that is kept if the drill dies
}

// What the drill says to the switch, and the switch to the drill.
const (
	sayUndo  = "undo"
	sayBye   = "bye" // the drill has kept the report
	sayReady = "ready"
)

// RunSwitch is the process of the dead-man's switch: it reads the orders from in, undoes the fault when it is time, and tells out.
func RunSwitch(in io.Reader, out io.Writer) error {
	signal.Ignore(syscall.SIGPIPE) // the drill may be dead
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	// When memory is short, this process is the last to be killed.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0) // without the right to do so, it goes on
	lines := bufio.NewReader(in)
	var orders Orders
	text, err := lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(text, &orders)
	}
	if err != nil {
		return fmt.Errorf("failed to read what is to be undone: %w", err)
	}
	limit := time.NewTimer(orders.Limit)
	defer limit.Stop()
	if _, err := fmt.Fprintln(out, sayReady); err != nil {
		return err // no fault is made then
	}
	told, bye, dead := make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(dead)
		for {
			switch line, err := lines.ReadString('\n'); {
			case err != nil:
				return
			case line == sayUndo+"\n":
				told <- struct{}{}
			case line == sayBye+"\n":
				bye <- struct{}{}
			}
		}
	}()
	ordered := false
	select {
	case <-told:
		ordered = true
	case <-bye: // nothing was done
		return nil
	case <-dead:
	case <-signals:
	case <-limit.C:
	}
	undone := undo(context.Background(), orders.Undo, orders.Socket)
	undone.Ordered = ordered
	_ = json.NewEncoder(out).Encode(undone) // the drill may be dead
	<-dead
	select {
	case <-bye:
		return nil
	default:
	}
	now := time.Now()
	r := orders.Report
	r.Undone(now, undone.Done, undone.Failed)
	err = Keep(orders.StateDir, r)
	if orders.Socket != "" {
		news := newHerald(orders.Socket, now, 0, 0)
		_ = news.tell(context.Background(), api.DrillUndone, now, &orders.Report, slices.Concat(undone.Done, undone.Failed)) // else with the end
		news.insist(context.Background(), api.DrillEnded, now, &r, nil)
	}
	return err
}

// Keep adds a report to those of the state directory.
func Keep(dir string, r drill.Report) error {
	all, err := Reports(dir)
	if err != nil && !errors.Is(err, statefile.ErrDamaged) {
		return err
	}
	return reports(dir).Store(drill.Kept(all, r))
}

// Reports returns the reports of the state directory, the oldest first.
func Reports(dir string) ([]drill.Report, error) { return reports(dir).Load() }

func reports(dir string) *statefile.File[[]drill.Report] {
	return statefile.New[[]drill.Report](filepath.Join(dir, drill.ReportsFile), statefile.Options{})
}

// A Switch is the drill's end of a dead-man's switch.
type Switch struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	orders Orders
	result chan Undone   // what was undone
	failed chan struct{} // closed when the switch has died
}

// readyTime is how long the switch may take to start.
const readyTime = 10 * time.Second

// StartSwitch starts the dead-man's switch, as this program with args. It holds lock as long as it runs. When StartSwitch returns,
// the fault can be made.
func StartSwitch(orders Orders, lock *os.File, args ...string) (*Switch, error) {
	text, err := json.Marshal(orders)
	if err != nil {
		return nil, err
	}
	// Not os.Executable: after an upgrade that path holds another version, whose orders may differ.
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0], cmd.Dir, cmd.Stderr = os.Args[0], "/", os.Stderr
	// Its own session: neither the end of the terminal nor Ctrl-C reaches it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if lock != nil {
		cmd.ExtraFiles = []*os.File{lock}
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("failed to start the dead-man's switch: %w", err)
	}
	w := &Switch{cmd: cmd, in: in, out: bufio.NewReader(out), orders: orders, result: make(chan Undone, 1), failed: make(chan struct{})}
	ready := make(chan error, 1)
	go func() {
		_, err := in.Write(append(text, '\n'))
		line, readErr := w.out.ReadString('\n')
		if err = errors.Join(err, readErr); err == nil && line != sayReady+"\n" {
			err = fmt.Errorf("it says %q", line)
		}
		if ready <- err; err == nil {
			w.listen()
		}
	}()
	select {
	case err = <-ready:
	case <-time.After(readyTime):
		err = errors.New("it is not ready")
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, fmt.Errorf("failed to start the dead-man's switch: %w", err)
	}
	return w, nil
}

// listen waits for what was undone.
func (w *Switch) listen() {
	var undone Undone
	if json.NewDecoder(w.out).Decode(&undone) != nil {
		close(w.failed)
		return
	}
	w.result <- undone
}

// Acted has what was undone if the switch acts before it is told to.
func (w *Switch) Acted() <-chan Undone { return w.result }

// Undo tells the switch to undo the fault, and waits. If the switch is dead, Undo does it itself. It does so too if the switch has
// acted before it was told to: a part of the fault may have been made after that.
func (w *Switch) Undo() Undone {
	var undone Undone
	if _, err := fmt.Fprintln(w.in, sayUndo); err == nil {
		select {
		case undone = <-w.result:
		case <-w.failed:
		}
	}
	select {
	case undone = <-w.result: // it had acted, and ended
	default:
	}
	if undone.Ordered {
		return undone
	}
	again := undo(context.Background(), w.orders.Undo, w.orders.Socket)
	for _, what := range again.Done {
		if !slices.Contains(undone.Done, what) {
			undone.Done = append(undone.Done, what)
		}
	}
	if undone.InForce == nil {
		undone.InForce = again.InForce
	}
	undone.Failed = again.Failed
	return undone
}

// Dismiss ends the switch: the report is kept.
func (w *Switch) Dismiss() {
	_, _ = fmt.Fprintln(w.in, sayBye) // it may be dead
	_ = w.in.Close()
	_ = w.cmd.Wait() // what it could not do was told already
}
