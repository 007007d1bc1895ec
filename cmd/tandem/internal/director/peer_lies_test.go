// SPDX-License-Identifier: Apache-2.0

package director

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
)

// A liar has the key of the channel of a director, and asks it whatever it likes.
type liar struct {
	t  *testing.T
	to *workshop
}

// lied returns a director with a channel, and who has its key.
func lied(t *testing.T, tail string) (*workshop, liar) {
	w := namedWorkshop(t, "lb2", peerTable(freeAddress(t), freeAddress(t))+tail)
	w.start()
	return w, liar{t, w}
}

// asks asks, and returns the answer as it goes over the channel.
func (l liar) asks(to message.Ability, body any) (answer string, err error) {
	text, isText := body.(string)
	if !isText {
		octets, err := json.Marshal(body)
		if err != nil {
			l.t.Fatal(err)
		}
		text = string(octets)
	}
	octets, err := l.to.answerPeer(l.t.Context(), peer.Question{To: to, By: "root\x1b[2J\nroot", From: "lb1", Body: []byte(text)})
	return string(octets), err
}

// plans asks for a plan.
func (l liar) plans(r control.PlanRequest) (p control.Plan, err error) {
	text, err := l.asks(message.AskPlan, r)
	if err == nil {
		err = json.Unmarshal([]byte(text), &p)
	}
	return p, err
}

// refused asks, and wants that answer.
func (l liar) refused(why string, to message.Ability, body any, want string) {
	l.t.Helper()
	if answer, err := l.asks(to, body); err == nil || !strings.Contains(err.Error(), want) {
		l.t.Errorf("%s: %v %s, want %q", why, err, answer, want)
	}
}

// refusals returns what was recorded about configurations that the other director has sent, and that were refused.
func (w *workshop) refusals() (all []control.Event) {
	w.t.Helper()
	events, err := w.History(control.HistoryQuery{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, ev := range events {
		if strings.HasPrefix(ev.What, "refused the configuration ") && strings.Contains(ev.What, " of 127.0.0.1") {
			all = append(all, ev)
		}
	}
	return all
}

// TestLyingPeer: who has the key and no leave to send a configuration brings none into force: neither one that it sends in whatever member,
// nor one that an operator here has only looked at.
func TestLyingPeer(t *testing.T) {
	w, l := lied(t, "")
	evil := w.text(200)
	const no = "it takes no configuration from the other director: set peer.accept_config = true in "
	for why, r := range map[string]control.PlanRequest{
		"a configuration":                 {File: "/tmp/x.toml", Text: evil},
		"one that is not read":            {File: "/tmp/x.toml", Text: "garbage = ["},
		"one with the name of the own":    {File: w.file, Text: evil},
		"without a name":                  {Text: evil},
		"a name alone":                    {File: "/etc/passwd"},
		"an included file":                {Included: map[string]string{filepath.Join(w.dir, "part.inc"): evil}},
		"the matches of an include":       {Matches: map[string][]string{"*.inc": {"/etc/passwd"}}},
		"as another director":             {Name: "lb1"},
		"with the own file":               {Own: true, File: "/tmp/x.toml", Text: evil},
		"with a revision":                 {Revision: 1, Text: evil},
		"with the files that are the own": {File: "/tmp/x.toml", Text: w.text(100)},
	} {
		l.refused(why, message.AskPlan, r, no)
	}
	// An operator here looks at a configuration. The ID of a plan is no secret: it follows from files and revisions.
	looked, err := w.Plan(w.request(w.text(201)))
	if err != nil {
		t.Fatal(err)
	}
	l.refused("what an operator looked at", message.AskApply, control.ApplyRequest{Plan: looked.ID, ConfirmSeconds: 60}, "this director has no plan "+looked.ID)
	l.refused("for ever", message.AskApply, control.ApplyRequest{Plan: looked.ID}, "without a time for the confirmation")
	l.refused("for long", message.AskApply, control.ApplyRequest{Plan: looked.ID, ConfirmSeconds: 1e9}, "out of range")
	l.refused("for less than nothing", message.AskApply, control.ApplyRequest{Plan: looked.ID, ConfirmSeconds: -60}, "without a time for the confirmation")
	l.refused("not a number", message.AskApply, `{"plan": "x", "confirm_seconds": 1e999}`, "does not understand all of the question")
	l.refused("a revision that does not wait", message.AskConfirm, control.WaitingRevision{Revision: 1}, "revision 1 does not wait for confirmation")
	l.refused("no revision", message.AskRollback, control.WaitingRevision{Revision: -1}, "revision 1 is in force, not revision -1")
	l.refused("garbage", message.AskRollback, "\x00\xff", "does not understand all of the question")
	l.refused("two questions in one", message.AskRollback, `{"revision": 1}{"revision": 1}`, "does not understand all of the question")
	l.refused("nothing", message.AskPlan, "", "does not understand all of the question")
	l.refused("a question of tomorrow", "reboot", struct{}{}, `does not know the question "reboot"`)
	l.refused("a revision that is not kept", message.AskPlan, control.PlanRequest{Revision: 99}, "there is no revision 99")
	l.refused("files that are not kept", message.AskPlan, control.PlanRequest{Former: "abc"}, "no revision that is kept has these files")
	w.has("after all", 100, 100)
	// The operator still applies what was looked at.
	if done, err := w.Apply("", control.ApplyRequest{Plan: looked.ID}); err != nil || done.Revision != 2 {
		t.Errorf("%+v, %v", done, err)
	}
	// One line says all of it: a flood does not drive the rest out of the history.
	if all := w.refusals(); len(all) != 1 || all[0].Cause != "peer.accept_config is false" {
		t.Errorf("%+v", all)
	}
	if said := w.log.String(); strings.Count(said, "refused a configuration that the other director has sent") != 1 || strings.ContainsAny(said, "\x1b\x00") {
		t.Error(said)
	}
}

// TestPeerGoesBack: without leave to send a configuration, the other director may have a former one of this director applied, for as long as
// nobody confirms it.
func TestPeerGoesBack(t *testing.T) {
	w, l := lied(t, "")
	w.edit(110)
	if _, err := w.Reload(""); err != nil {
		t.Fatal(err)
	}
	first, err := w.ConfigLog()
	if err != nil || len(first.Revisions) != 2 {
		t.Fatalf("%+v, %v", first, err)
	}
	byNumber, err := l.plans(control.PlanRequest{Revision: 1})
	if err != nil || len(byNumber.Lines) != 1 || byNumber.Lines[0].Change != "priority 110 → 100" {
		t.Fatalf("%+v, %v", byNumber, err)
	}
	byFiles, err := l.plans(control.PlanRequest{Former: first.Revisions[0].SHA256})
	if err != nil || byFiles.ID != byNumber.ID {
		t.Fatalf("%+v, %v", byFiles, err)
	}
	// An operator here looks at the same: that does not take the other director's leave away.
	if same, err := w.Plan(control.PlanRequest{Revision: 1}); err != nil || same.ID != byFiles.ID {
		t.Errorf("%+v, %v", same, err)
	}
	if _, err := l.asks(message.AskApply, control.ApplyRequest{Plan: byFiles.ID, ConfirmSeconds: 60}); err != nil {
		t.Fatal(err)
	}
	log, err := w.ConfigLog()
	if err != nil || len(log.Revisions) != 3 || log.Waits == nil {
		t.Fatalf("%+v, %v", log, err)
	}
	if r := log.Revisions[2]; r.How != "rollback" || r.Of != 1 {
		t.Errorf("%+v", r)
	}
	if _, err := l.asks(message.AskRollback, control.WaitingRevision{Revision: 3}); err != nil {
		t.Error(err)
	}
	if s := w.Status(); s.Config.Revision != 4 || s.VRRP[0].Priority != 110 {
		t.Errorf("%+v", s.Config)
	}
	for _, r := range []control.PlanRequest{{Revision: 1, Own: true}, {Revision: 1, Former: "x"}} {
		if _, err := w.Plan(r); err == nil || err.Error() != "a plan is of a file or of one revision, not of both" {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// TestSentConfiguration: with leave, a configuration that is sent reads no files of this machine by include, shows no secrets of it, and
// cannot move the director away from its state or its socket. It is logged and recorded by who sent it.
func TestSentConfiguration(t *testing.T) {
	w, l := lied(t, "accept_config = true\n")
	const inside = "hunter2-hunter2-hunter2"
	secret := filepath.Join(t.TempDir(), "secret.inc")
	write(t, secret, "[[vrrp]]\nname = \"stolen\"\ninterface = \"eth0\"\nvrid = 9\nvips = [\"192.0.2.9/24\"] # "+inside+"\n")
	if err := os.Chmod(secret, 0o600); err != nil {
		t.Fatal(err)
	}
	leaks := func(why string, p control.Plan, err error) {
		t.Helper()
		text, _ := json.Marshal(p)
		for _, all := range []string{string(text), fmt.Sprint(err), w.log.String()} {
			if strings.Contains(all, inside) || strings.Contains(all, "stolen") {
				t.Errorf("%s: %s", why, all)
			}
		}
	}
	plain := strings.Replace(w.text(90), "include = [\"*.inc\"]\n", "", 1)
	including := "include = [" + fmt.Sprintf("%q", secret) + "]\n" + plain
	p, err := l.plans(control.PlanRequest{File: "/x/new.toml", Text: including})
	if leaks("an include", p, err); err == nil || !strings.Contains(err.Error(), "the request does not have it") {
		t.Errorf("an include of a file here: %v", err)
	}
	p, err = l.plans(control.PlanRequest{File: "/x/new.toml", Text: including, Matches: map[string][]string{secret: {secret}}})
	if leaks("a match", p, err); err == nil || !strings.Contains(err.Error(), "the request does not have it") {
		t.Errorf("the name of a file here: %v", err)
	}
	password := strings.Replace(plain, "vrid = 51\n", fmt.Sprintf("vrid = 51\nversion = 2\nauth_pass = { file = %q }\n", secret), 1)
	if p, err = l.plans(control.PlanRequest{File: "/x/new.toml", Text: password}); err == nil || !strings.Contains(err.Error(), "is not valid here") {
		t.Errorf("a file here as a password: %v", err)
	}
	leaks("a password", p, err)
	moved := strings.Replace(strings.Replace(plain, w.state, w.state+"x", 1), filepath.Join(w.dir, "s"), filepath.Join(w.dir, "t"), 1)
	if p, err = l.plans(control.PlanRequest{File: "/x/new.toml", Text: moved}); err != nil || len(p.Refused) != 2 {
		t.Fatalf("another state directory and socket: %+v, %v", p.Refused, err)
	}
	l.refused("another state directory", message.AskApply, control.ApplyRequest{Plan: p.ID, ConfirmSeconds: 60}, "cannot change")
	w.has("after all", 100, 100)

	p, err = l.plans(control.PlanRequest{File: "/x/ne\x1b[2Jw.toml", Text: plain})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.asks(message.AskApply, control.ApplyRequest{Plan: p.ID, ConfirmSeconds: 60}); err != nil {
		t.Fatal(err)
	}
	if s := w.Status(); s.VRRP[0].Priority != 90 || s.Config.Waits == nil {
		t.Errorf("%+v", s.Config)
	}
	events, err := w.History(control.HistoryQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"refused the configuration /x/new.toml of 127.0.0.1", "was sent the configuration /x/new.toml of 127.0.0.1"} {
		found := 0
		for _, ev := range events {
			if ev.What == want && strings.HasSuffix(ev.By, " on lb1") && !strings.ContainsAny(ev.By+ev.What+ev.Cause, "\x1b\n") {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%q is there %d times: %+v", want, found, events)
		}
	}
	if said := w.log.String(); !strings.Contains(said, "planned a configuration that the other director has sent: whoever sends one can run programs here") {
		t.Error(said)
	}
}
