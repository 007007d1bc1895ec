// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/revision"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/supervise"
	"github.com/tandem-lvs/tandem/configs/load"
)

// A workshop has the files of a director lb1. Its configuration differs by the priority of its virtual router.
type workshop struct {
	t     *testing.T
	dir   string
	file  string
	state string
	name  string // of the director
	tail  string // of its configuration
	*directed
	stop func()
}

func newWorkshop(t *testing.T) *workshop {
	return namedWorkshop(t, "lb1", "")
}

func namedWorkshop(t *testing.T, name, tail string) *workshop {
	dir := t.TempDir()
	w := &workshop{t: t, name: name, tail: tail, dir: dir, file: filepath.Join(dir, "tandem.toml"), state: filepath.Join(dir, "state"), stop: func() {}}
	t.Cleanup(func() { w.stop() })
	write(t, w.file, w.text(100))
	write(t, filepath.Join(dir, "part.inc"), "# nothing yet\n")
	return w
}

// text returns a configuration.
func (w *workshop) text(priority int) string {
	return fmt.Sprintf("include = [\"*.inc\"]\nname = %q\ncontrol = { socket = %q }\nstate = { dir = %q }\n[[vrrp]]\nname = \"web\"\n"+
		"interface = \"eth0\"\nvrid = 51\npriority = %d\nvips = [\"192.0.2.100/24\"]\n%s", w.name, filepath.Join(w.dir, "s"), w.state, priority, w.tail)
}

// start runs a director, as tandem run does.
func (w *workshop) start() {
	w.t.Helper()
	w.stop()
	b, err := Begin(load.As(""), w.file)
	if err != nil {
		w.t.Fatal(err)
	}
	d := &directed{orders: make(chan message.Order, 100), log: &lockedBuffer{}}
	d.Director = New(Options{
		Begin: b, Log: hclog.New(&hclog.LoggerOptions{Output: d.log}),
		Spawn: func() (supervise.Child, error) { return listen(d.orders), nil },
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	w.directed = d
	w.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
		w.stop = func() {}
	}
	select { // the table has been read
	case <-d.orders:
	case <-time.After(20 * time.Second):
		w.t.Fatalf("the director does not start:\n%s", d.log)
	}
}

// kill ends the director as SIGKILL does: what it wrote before is there, and nothing else.
func (w *workshop) kill() {
	w.t.Helper()
	saved := filepath.Join(w.dir, "saved")
	if err := os.CopyFS(saved, os.DirFS(w.state)); err != nil {
		w.t.Fatal(err)
	}
	w.stop()
	if err := os.RemoveAll(w.state); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(saved, w.state); err != nil {
		w.t.Fatal(err)
	}
}

// request asks for a plan of another file.
func (w *workshop) request(text string) control.PlanRequest {
	name := filepath.Join(w.dir, "new.toml")
	included := load.Gather(name, []byte(text))
	return control.PlanRequest{File: name, Text: text, Matches: included.Matches, Included: included.Texts}
}

// apply plans another file with a priority, and applies it.
func (w *workshop) apply(priority int, confirm time.Duration) control.Applied {
	w.t.Helper()
	return w.applyPlan(w.request(w.text(priority)), confirm)
}

// applyOwn applies the director's own file.
func (w *workshop) applyOwn(confirm time.Duration) {
	w.t.Helper()
	w.applyPlan(control.PlanRequest{}, confirm)
}

// applyPlan asks for a plan and applies it.
func (w *workshop) applyPlan(r control.PlanRequest, confirm time.Duration) control.Applied {
	w.t.Helper()
	p, err := w.Plan(r)
	if err != nil {
		w.t.Fatal(err)
	}
	done, err := w.Apply("", control.ApplyRequest{Plan: p.ID, ConfirmSeconds: confirm.Seconds()})
	if err != nil {
		w.t.Fatal(err)
	}
	return done
}

// edit changes the director's own file.
func (w *workshop) edit(priority int) {
	w.t.Helper()
	write(w.t, w.file, w.text(priority))
}

// has checks the priority in force, and that a plan is empty: nothing is about to change. It also checks the director's own file.
func (w *workshop) has(when string, priority, own int) {
	w.t.Helper()
	s := w.Status()
	if len(s.VRRP) != 1 || int(s.VRRP[0].Priority) != priority {
		w.t.Fatalf("%s: the priority is %+v, want %d; log:\n%s", when, s.VRRP, priority, w.log)
	}
	if p, err := w.Plan(control.PlanRequest{}); err != nil || len(p.Lines) != 0 {
		w.t.Errorf("%s: a plan has %+v, %v", when, p.Lines, err)
	}
	if text, err := os.ReadFile(w.file); err != nil || string(text) != w.text(own) {
		w.t.Errorf("%s: the director's own file was changed: %s, %v", when, text, err)
	}
}

// TestApply: what is applied is in force, over a reload and a restart, until the director's own file changes. That file is never
// written.
func TestApply(t *testing.T) {
	w := newWorkshop(t)
	w.start()
	w.has("at the start", 100, 100)
	if done := w.apply(110, 0); done.Revision != 2 || !done.Apart || done.Waits != nil || len(done.Lines) != 1 || len(done.Warnings) != 1 {
		t.Errorf("applied %+v", done)
	}
	w.has("after the apply", 110, 100)
	if done, err := w.Reload(""); err != nil || len(done.Lines) != 0 || done.Revision != 2 {
		t.Errorf("reloaded %+v, %v", done, err)
	}
	w.has("after a reload", 110, 100)
	w.kill()
	w.start()
	w.has("after a restart", 110, 100)
	if s := w.Status(); s.Config.Revision != 2 || !s.Config.Apart || !strings.Contains(strings.Join(s.Warnings, "\n"), "and not the director's own file") {
		t.Errorf("status %+v, %q", s.Config, s.Warnings)
	}
	w.edit(120)
	if done, err := w.Reload(""); err != nil || len(done.Lines) != 1 || done.Revision != 3 || done.Apart {
		t.Errorf("reloaded an edited file: %+v, %v", done, err)
	}
	w.has("after an edit and a reload", 120, 120)
	w.edit(130)
	w.kill()
	w.start()
	w.has("after an edit and a restart", 130, 130)
	if done, err := w.Rollback("", control.RollbackRequest{}); err != nil || done.Revision != 5 || len(done.Lines) != 1 {
		t.Errorf("rolled back: %+v, %v", done, err)
	}
	w.has("after a rollback", 120, 130)
	w.kill()
	w.start()
	w.has("after a rollback and a restart", 120, 130)
	if done, err := w.Rollback("", control.RollbackRequest{Revision: 2}); err != nil || done.Revision != 6 {
		t.Errorf("rolled back to 2: %+v, %v", done, err)
	}
	w.has("after a rollback to 2", 110, 130)

	// The own file, which did not change, counts when it is applied.
	p, err := w.Plan(control.PlanRequest{Own: true})
	if err != nil || len(p.Lines) != 1 {
		t.Fatalf("planned the own file: %+v, %v", p, err)
	}
	if done, err := w.Apply("", control.ApplyRequest{Plan: p.ID}); err != nil || done.Apart || done.Revision != 7 {
		t.Errorf("applied the own file: %+v, %v", done, err)
	}
	w.has("after an apply of the own file", 130, 130)
	log, err := w.ConfigLog()
	hows := ""
	for _, r := range log.Revisions {
		hows += fmt.Sprintf("%d %s %d, ", r.Number, r.How, r.Changes)
	}
	if want := "1 start 0, 2 apply 1, 3 reload 1, 4 start 0, 5 rollback 1, 6 rollback 1, 7 apply 1, "; err != nil || hows != want {
		t.Errorf("the log has %s, %v, want %s", hows, err, want)
	}
	is, err := w.ConfigFiles(control.ConfigSelection{Revision: 2})
	if err != nil || len(is.Files) != 2 || is.Files[0].Text != w.text(110) {
		t.Errorf("the files of revision 2: %+v, %v", is, err)
	}
	if said := w.log.String(); !strings.Contains(said, `configuration changes: change="~ virtual router web: priority 110 → 130"`) {
		t.Errorf("log:\n%s", said)
	}
}

// TestStalePlans: a plan is refused if another configuration came into force, if the own file was edited, or if it is not known.
func TestStalePlans(t *testing.T) {
	w := newWorkshop(t)
	w.start()
	w.edit(110)
	p, err := w.Plan(control.PlanRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := w.Plan(control.PlanRequest{}); err != nil || again.ID != p.ID || len(p.ID) != 12 {
		t.Errorf("the same plan has the ID %q and then %q, %v", p.ID, again.ID, err)
	}
	refused := func(why, id, want string) {
		t.Helper()
		if _, err := w.Apply("", control.ApplyRequest{Plan: id}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", why, err, want)
		}
	}
	w.edit(111)
	refused("an edited file", p.ID, "tandem.toml has changed since the plan")
	w.edit(110)
	w.apply(150, 0)
	refused("another base", p.ID, "since then came revision 2 (apply of "+filepath.Join(w.dir, "new.toml"))
	refused("another base, with the change", p.ID, "~ virtual router web: priority 100 → 150; run tandem plan again")
	refused("unknown", "0123456789ab", "run tandem plan again")
	if other, err := w.Plan(control.PlanRequest{Own: true}); err != nil || other.ID == p.ID {
		t.Errorf("for another configuration in force, the ID is the same: %v", err)
	}
	moved := strings.Replace(w.text(100), w.state, w.state+"x", 1)
	q, err := w.Plan(w.request(moved))
	if err != nil || len(q.Refused) != 1 {
		t.Fatalf("%+v, %v", q, err)
	}
	refused("a setting that cannot change", q.ID, "state.dir cannot change")
	w.has("after all", 150, 110)
	for _, seconds := range []float64{-1, 0.5, 100000} {
		if _, err := w.Apply("", control.ApplyRequest{Plan: q.ID, ConfirmSeconds: seconds}); err == nil || !strings.Contains(err.Error(), "out of range") {
			t.Errorf("%f seconds: %v", seconds, err)
		}
	}
}

// TestKept: the last 20 are kept, with what they include, for nobody else to read. A secret in a file of its own is not copied.
func TestKept(t *testing.T) {
	w := newWorkshop(t)
	const secret = "Geheimnis-Geheimnis-Geheimnis-Geheimnis"
	key := filepath.Join(w.dir, "1.key")
	write(t, key, secret)
	write(t, filepath.Join(w.dir, "part.inc"), fmt.Sprintf("[director.lb1]\nvrrp.web.hmac.key = [{ id = 1, file = %q }]\nvrrp.web.hmac.active_key = 1\n", key))
	w.start()
	for i := range revision.Keep + 5 {
		w.edit(101 + i)
		if _, err := w.Reload(""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Rollback("", control.RollbackRequest{Revision: 10}); err != nil {
		t.Fatal(err)
	}
	w.has("after a rollback", 109, 125)
	log, err := loaded[revision.State](filepath.Join(w.state, "revisions.json"))
	if n := len(log.Value.Revisions); err != nil || n != revision.Keep || log.Value.Current().Number != 27 {
		t.Errorf("%d are kept up to %d, %v", n, log.Value.Current().Number, err)
	}
	files, included := 0, 0
	err = filepath.WalkDir(w.state, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s, %v", path, info.Mode(), err)
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), secret) {
			t.Errorf("%s has the key", path)
		}
		if strings.Contains(path, "/revisions/") {
			files++
			if strings.Contains(string(text), "director.lb1") {
				included++
			}
		}
		return err
	})
	if err != nil || files != revision.Keep-1 || included != files { // the rollback shares the files of revision 10
		t.Errorf("%d files, %d with what they include, %v", files, included, err)
	}
	w.kill()
	w.start()
	w.has("after a restart", 109, 125)
}

// TestApplyWithoutAStateDir: what must be confirmed is refused. Anything else is applied, and the answer says that it is not
// remembered.
func TestApplyWithoutAStateDir(t *testing.T) {
	w := newWorkshop(t)
	write(t, filepath.Join(w.dir, "file"), "")
	w.state = filepath.Join(w.dir, "file", "state") // no folder can be there, not even for root
	w.edit(100)
	w.start()
	p, err := w.Plan(w.request(w.text(110)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Apply("", control.ApplyRequest{Plan: p.ID, ConfirmSeconds: 60}); err == nil || !strings.Contains(err.Error(), "or apply without --confirm") {
		t.Errorf("to be confirmed: %v", err)
	}
	w.has("after it was refused", 100, 100)
	if done, err := w.Apply("", control.ApplyRequest{Plan: p.ID}); err != nil || !strings.Contains(done.NotRemembered, "not a directory") {
		t.Errorf("applied %+v, %v", done, err)
	}
	w.has("after it was applied", 110, 100)
	if said := strings.Join(w.Status().Warnings, "\n"); !strings.Contains(said, "which configuration is in force, and which ones were, is not remembered") {
		t.Errorf("warnings %q", said)
	}
	if done, err := w.Rollback("", control.RollbackRequest{}); err != nil || done.NotRemembered == "" {
		t.Errorf("rolled back: %+v, %v", done, err) // from memory
	}
	w.has("after a rollback", 100, 100)
}

// TestUnreadableRevisions: a director starts with its own file if a copy is damaged, and says so.
func TestUnreadableRevisions(t *testing.T) {
	w := newWorkshop(t)
	w.start()
	w.apply(110, 0)
	w.kill()
	copies, err := filepath.Glob(filepath.Join(w.state, "revisions", "*.json"))
	if err != nil || len(copies) != 2 {
		t.Fatalf("%q, %v", copies, err)
	}
	for _, c := range copies {
		write(t, c, "x")
	}
	w.start()
	w.has("after a copy was damaged", 100, 100)
	if said := strings.Join(w.Status().Warnings, "\n"); !strings.Contains(said, "failed to read the copy of revision 2") {
		t.Errorf("warnings %q", said)
	}
	w.apply(110, time.Hour)
	w.kill()
	write(t, filepath.Join(w.state, "revisions.json"), "{")
	w.start()
	w.has("after the list was damaged", 100, 100)
	if said := strings.Join(w.Status().Warnings, "\n"); !strings.Contains(said, "what an earlier run kept is not known") {
		t.Errorf("warnings %q", said)
	}
}
