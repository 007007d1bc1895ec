// SPDX-License-Identifier: Apache-2.0

package native

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// secondVIP is added by the configuration that is applied.
const secondVIP = "192.0.2.101"

// TestConfirmOverAKill: a configuration with a second VIP is applied and must be confirmed. The director is killed and started
// again meanwhile. Nobody confirms it: the VIP goes. It does not come back with SIGHUP or with another restart, although the file
// still has it. Another file is applied and confirmed: it stays over a restart.
func TestConfirmOverAKill(t *testing.T) {
	t.Parallel()
	d := lab.NewDuo(t, lab.DuoSettings{})
	first := lab.DuoSettings{}.Config(d.A.Name, lab.PriorityA)
	d.A.Launch()
	d.A.AwaitState(10*time.Second, "master")
	d.A.Configure(strings.Replace(first, `vips = ["`, `vips = ["`+secondVIP+`/24", "`, 1))
	edited := d.A.File

	const wait = 12 * time.Second
	began := time.Now()
	if out, err := tandem(d.A, "apply", "--confirm", wait.String()); err != nil || !strings.Contains(out, "+ "+secondVIP+"/24") || !strings.Contains(out, "otherwise revision 1 follows") {
		t.Fatalf("tandem apply: %v\n%s", err, out)
	}
	awaitHas(d.Lab, 5*time.Second, d.A.Host, secondVIP, true)
	if out, err := tandem(d.A, "apply", edited); err != nil || !strings.Contains(out, "a reload changes nothing") {
		t.Errorf("the same again: %v\n%s", err, out)
	}
	d.A.KillDirector()
	d.A.Launch()
	d.A.AwaitState(10*time.Second, "master")
	if s, err := d.A.Status(); err != nil || s.Config.Waits == nil {
		t.Errorf("after a restart: %+v, %v", s.Config, err)
	}
	awaitHas(d.Lab, 5*time.Second, d.A.Host, secondVIP, true)
	d.Eventually(wait+10*time.Second, "the director has rolled back", func() error {
		if s, err := d.A.Status(); err != nil || s.Config.Waits != nil {
			return fmt.Errorf("%+v, %w", s.Config, errors.Join(err, errNotYet))
		}
		return nil
	})
	if took := time.Since(began); took < wait-time.Second {
		t.Errorf("the director rolled back after %s, want %s", took, wait)
	}
	awaitHas(d.Lab, 5*time.Second, d.A.Host, secondVIP, false)
	planIsEmpty(t, d.A)
	reload(d.Lab, d.A)
	planIsEmpty(t, d.A)
	d.A.KillDirector()
	d.A.Launch()
	d.A.AwaitState(10*time.Second, "master")
	planIsEmpty(t, d.A)
	awaitHas(d.Lab, 5*time.Second, d.A.Host, vip, true)
	awaitHas(d.Lab, 5*time.Second, d.A.Host, secondVIP, false)
	if text, err := os.ReadFile(edited); err != nil || !strings.Contains(string(text), secondVIP) {
		t.Errorf("the director's own file was changed: %v\n%s", err, text)
	}

	// Another file, which is confirmed.
	text, err := os.ReadFile(edited)
	if err != nil {
		t.Fatal(err)
	}
	other := d.A.WriteFile("other.toml", "# another\n"+string(text))
	if out, err := tandem(d.A, "apply", other, "--confirm", "1m"); err != nil {
		t.Fatalf("tandem apply: %v\n%s", err, out)
	}
	wantRun(t, d.A, "confirm")
	// The history is written beside the command: the next process may not know the last event of one that is killed at once.
	if out, err := tandem(d.A, "history", "--since", "1h"); err != nil || !strings.Contains(out, "confirmed revision 4") {
		t.Errorf("tandem history: %v\n%s", err, out)
	}
	d.A.KillDirector()
	d.A.Launch()
	d.A.AwaitState(10*time.Second, "master")
	awaitHas(d.Lab, 5*time.Second, d.A.Host, secondVIP, true)
	planIsEmpty(t, d.A)
	if out, err := tandem(d.A, "config", "log"); err != nil || strings.Count(out, "\n") != 5 || !strings.Contains(out, "automatic rollback to 1") {
		t.Errorf("tandem config log: %v\n%s", err, out)
	}
	if out, err := tandem(d.A, "history", "--since", "1h"); err != nil || !strings.Contains(out, "rolled back from revision 2 to revision 1") {
		t.Errorf("tandem history: %v\n%s", err, out)
	}
	// Back.
	if out, err := tandem(d.A, "rollback"); err != nil || !strings.Contains(out, "- "+secondVIP+"/24") {
		t.Errorf("tandem rollback: %v\n%s", err, out)
	}
	awaitHas(d.Lab, 5*time.Second, d.A.Host, secondVIP, false)
	planIsEmpty(t, d.A)
}

// planIsEmpty checks that a plan has no changes.
func planIsEmpty(t *testing.T, d *lab.Director) {
	t.Helper()
	if out, err := tandem(d, "plan"); err != nil || !strings.Contains(out, "a reload changes nothing") {
		t.Error(fmt.Errorf("tandem plan: %w\n%s", err, out))
	}
}
