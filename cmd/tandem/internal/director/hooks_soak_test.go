// SPDX-License-Identifier: Apache-2.0

package director

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/supervise"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// soakScript logs each of its runs, and then does what the number of the transition says; under the last director it ends
// well. It takes a lock, which its descendants hold too.
const soakScript = `#!/bin/sh
cd "$1" || exit 9
export SOAK_DIR="$1" # of what it starts
read before < "pid-$TANDEM_NAME" && grep -qs '^State:.[^ZX]' "/proc/$before/status" &&
	echo "overlap $TANDEM_HOOK $TANDEM_REASON: the hook before runs" >> log
echo $$ > "pid-$TANDEM_NAME"
exec 9>"lock-$TANDEM_NAME"
flock -n 9 || flock -w 1 9 || echo "overlap $TANDEM_HOOK $TANDEM_REASON: a descendant runs" >> log
n=${TANDEM_REASON#n=}
echo "$TANDEM_DIRECTOR $TANDEM_HOOK $TANDEM_NAME $n $TANDEM_EVENT $TANDEM_ATTEMPT" >> log
case "$TANDEM_DIRECTOR$n" in
c*) exit 0;;
?*[!0-9]*) exit 0;; # stop
*1) sleep 100;; # hangs
*2) exit 7;;
*3) sleep 100 & setsid sleep 100 & ;; # forks, and ends
*4) yes | head -c 100000;;
*5) setsid sh -c 'trap "" TERM; sleep 100' & sleep 100;; # forks, and hangs
esac
exit 0
`

// soakHooks are hooks of all virtual routers that hear of different states.
func soakHooks(dir string, timeout time.Duration) (all []configs.Hook) {
	for name, events := range map[string][]configs.HookEvent{
		"all":     {configs.HookMaster, configs.HookBackup, configs.HookFault, configs.HookStop},
		"masters": {configs.HookMaster},
		"backups": {configs.HookBackup},
	} {
		all = append(all, configs.Hook{
			Name: name, On: events, Command: []string{filepath.Join(dir, "hook"), dir}, User: strconv.Itoa(os.Geteuid()),
			Timeout: timeout, Retries: 1, RetryPause: time.Millisecond,
		})
	}
	return all
}

// TestSoakedDirector is the director of TestHooksSoak, in a process of its own. It reads "ROUTER NUMBER STATE" and answers how
// many hooks run or wait. Without its environment there is nothing to test.
func TestSoakedDirector(t *testing.T) {
	dir := os.Getenv("TANDEM_SOAK_DIR")
	if dir == "" {
		return
	}
	timeout, err := time.ParseDuration(os.Getenv("TANDEM_SOAK_TIMEOUT"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := &configs.Config{
		Name: os.Getenv("TANDEM_SOAK_NAME"), Log: configs.Log{Level: "info"}, State: configs.State{Dir: dir},
		Control: configs.Control{Socket: filepath.Join(dir, "s")}, Hooks: soakHooks(dir, timeout),
	}
	for _, name := range []string{"in", "out"} {
		cfg.Routers = append(cfg.Routers, configs.Router{Config: vrrp.Config{Name: name, Interface: "eth0", VRID: 51, Version: 3, AdvertInterval: time.Second}})
	}
	orders := make(chan message.Order, 100)
	d := New(Options{
		Config: cfg, Log: hclog.New(&hclog.LoggerOptions{Output: os.Stderr}),
		Spawn: func() (supervise.Child, error) {
			l := listen(orders)
			go func() {
				for _, err := io.WriteString(l.end, message.SignOfLife); err == nil; time.Sleep(message.MaxBeatInterval) {
					_, err = io.WriteString(l.end, message.SignOfLife)
				}
			}()
			return l, nil
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	states := map[string]vrrp.State{"master": vrrp.Master, "backup": vrrp.Backup, "fault": vrrp.Fault}
	routers := make(map[string]vrrp.Status)
	<-orders // it is running
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		word := strings.Fields(in.Text())
		if len(word) == 3 {
			is := routers[word[0]]
			is.Name, is.Interface, is.State, is.Reason = word[0], "eth0", states[word[2]], "n="+word[1]
			if is.State == vrrp.Master {
				is.Counters.BecameMaster++
			}
			routers[word[0]] = is
			var r message.Report
			for _, is := range routers {
				r.Routers = append(r.Routers, is)
			}
			d.seeReport(r)
		}
		var busy, ended, superseded uint64
		for _, is := range d.snapshot().Hooks {
			busy += uint64(is.Running + is.Waiting)
			ended += is.Succeeded + is.Failed
			superseded += is.Superseded
		}
		fmt.Println("busy", busy, "ended", ended, "superseded", superseded)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A soaked is a director process.
type soaked struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	log  lockedBuffer
	sent map[string]bool // "ROUTER NUMBER STATE"

	ended, superseded int // how many runs, and events, by its last answer
}

func soak(t *testing.T, dir, name, timeout string) *soaked {
	t.Helper()
	s := &soaked{t: t, cmd: exec.Command(os.Args[0], "-test.run", "^TestSoakedDirector$"), sent: make(map[string]bool)}
	s.cmd.Env = append(os.Environ(), "TANDEM_SOAK_DIR="+dir, "TANDEM_SOAK_NAME="+name, "TANDEM_SOAK_TIMEOUT="+timeout)
	s.cmd.Stderr = &s.log
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		s.in, err = s.cmd.StdinPipe()
	}
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	s.out = bufio.NewScanner(out)
	return s
}

// say sends a transition, or a question, and returns how many hooks run or wait.
func (s *soaked) say(line string) (busy int) {
	s.t.Helper()
	if _, err := fmt.Fprintln(s.in, line); err != nil {
		s.t.Fatal(err, s.log.String())
	}
	if !s.out.Scan() {
		s.t.Fatalf("%s: the director has died: %s", line, s.log.String())
	}
	if _, err := fmt.Sscanf(s.out.Text(), "busy %d ended %d superseded %d", &busy, &s.ended, &s.superseded); err != nil {
		s.t.Fatalf("%s: it answers %q", line, s.out.Text())
	}
	return busy
}

// told counts the events that hooks were told, however they ended, and those that were replaced by newer ones.
func (s *soaked) told() (told, replaced int) {
	log := s.log.String()
	return strings.Count(log, " attempt=1 "), strings.Count(log, "hook is not told")
}

// settle waits until no hook runs or waits, and the log has all of them: it comes by another pipe.
func (s *soaked) settle() {
	s.t.Helper()
	if !within(time.Minute, func() bool {
		busy, log := s.say("?"), s.log.String()
		return busy == 0 && strings.Count(log, " attempt=") >= s.ended && strings.Count(log, "hook is not told") >= s.superseded
	}) {
		s.t.Fatal("hooks do not end:", s.log.String())
	}
}

// TestHooksSoak forces 500 transitions while hooks hang, fail, fork and print. Once the director is killed while hooks run, and
// once it is stopped. Each hook is told each state once, or a newer one instead; in order; never two at a time for a virtual
// router; and the last state in the end. A hook that was killed with its director is told again.
func TestHooksSoak(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hook"), []byte(soakScript), 0o755); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	last := map[string]string{"in": "backup", "out": "backup"}
	number := map[string]int{}
	n := 0
	force := func(s *soaked, steps int) {
		for range steps {
			router := []string{"in", "out"}[random.IntN(2)]
			var others []string
			for _, state := range []string{"master", "backup", "fault"} {
				if state != last[router] {
					others = append(others, state)
				}
			}
			n++
			last[router], number[router] = others[random.IntN(2)], n
			line := fmt.Sprintf("%s %d %s", router, n, last[router])
			s.sent[line] = true
			s.say(line)
			switch {
			case n%20 == 0:
				s.settle()
			case n%3 == 0:
				time.Sleep(time.Duration(random.IntN(10)) * time.Millisecond)
			}
		}
	}
	present := func(s *soaked) {
		for _, router := range []string{"in", "out"} {
			s.say(fmt.Sprintf("%s %d %s", router, number[router], last[router]))
		}
		s.settle()
	}

	a := soak(t, dir, "a", "200ms")
	present(a)
	force(a, 197)
	for a.say("?") == 0 { // a hook runs when it is killed
		force(a, 1)
	}
	if err := a.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = a.cmd.Wait()

	b := soak(t, dir, "b", "200ms")
	present(b)
	before, replacedBefore := b.told()
	force(b, 280)
	b.settle()
	told, replaced := b.told()
	told, replaced = told-before, replaced-replacedBefore
	_ = b.in.Close()
	if err := b.cmd.Wait(); err != nil {
		t.Fatal(err, b.log.String())
	}

	c := soak(t, dir, "c", "20s")
	present(c)
	force(c, 500-n)
	c.settle()
	_ = c.in.Close()
	_ = c.cmd.Wait()
	heard := 0
	for line := range b.sent {
		heard++ // by all
		if !strings.HasSuffix(line, "fault") {
			heard++ // by masters or backups
		}
	}
	if told+replaced != heard {
		t.Errorf("of %d events %d were told and %d replaced", heard, told, replaced)
	}
	t.Logf("of the %d events of one director %d were told and %d replaced", heard, told, replaced)
	checkSoak(t, dir, number, last)
}

// checkSoak reads the log of the hooks.
func checkSoak(t *testing.T, dir string, number map[string]int, last map[string]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	seen, latest := make(map[string]bool), make(map[string]int)
	told := make(map[string]string) // the last of a director and router
	for line := range strings.Lines(string(text)) {
		word := strings.Fields(line)
		if word[0] == "overlap" || seen[line] {
			t.Errorf("%s", line)
			continue
		}
		seen[line] = true
		director, hook, router, event := word[0], word[1], word[2], word[len(word)-2]
		if hook == "all" {
			told[director+" "+router] = event
		}
		of, err := strconv.Atoi(word[3])
		if err != nil {
			continue // stop
		}
		if of < latest[router] {
			t.Errorf("out of order, after %d: %s", latest[router], line)
		}
		latest[router] = of
	}
	for _, router := range []string{"in", "out"} {
		if told["b "+router] != "stop" || told["c "+router] != "stop" {
			t.Errorf("%s was told %q and %q at last, want stop", router, told["b "+router], told["c "+router])
		}
		if latest[router] != number[router] {
			t.Errorf("%s was told transition %d at last, want %d (%s)", router, latest[router], number[router], last[router])
		}
	}
	t.Logf("%d runs", len(seen))
	for _, line := range processesOf(dir) {
		t.Errorf("a process is left behind: %q", line)
	}
}

// processesOf returns the command lines of the processes that have the directory in their command line, as a hook has it, or in their
// environment, as what a hook starts has it. The hooks of other tests on this machine have other directories.
func processesOf(dir string) (all []string) {
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range procs {
		line, _ := os.ReadFile(proc + "/cmdline") // nothing if it has ended
		environ, _ := os.ReadFile(proc + "/environ")
		if strings.Contains(string(line)+string(environ), dir) {
			all = append(all, string(line))
		}
	}
	return all
}
