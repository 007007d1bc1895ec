// SPDX-License-Identifier: Apache-2.0

package native

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestDrill: drills of the master pass with their outages, leave all as it was, and are refused without the peer. A drill that is
// killed in the middle is undone.
func TestDrill(t *testing.T) {
	t.Parallel()
	const key = "hex:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	with := func(other string) lab.DuoSettings {
		return lab.DuoSettings{Advert: 300 * time.Millisecond, Tables: fmt.Sprintf("[peer]\naddress = \"%s:8474\"\nkey = \"%s\"", other, key)}
	}
	d := lab.NewDuo(t, with("192.0.2.3"))
	drilled := func(args ...string) (string, error) {
		d.AwaitMaster(d.A) // a machine that stalls moves it
		d.B.AwaitState(10*time.Second, "backup")
		return d.A.TryRun(lab.Tandem.Path(), append([]string{"drill", "-c", d.A.File}, args...)...)
	}
	d.B.Configure(with("192.0.2.2").Config(d.B.Name, lab.PriorityB))
	for _, set := range []string{"fe80::25/64", "2001:db8::25/64"} { // by hand: the kernel does not bring them back
		d.A.Run("ip", "-6", "addr", "add", set, "dev", "eth0", "nodad")
	}
	d.Launch()
	d.Eventually(15*time.Second, "the directors know each other, and their clocks", func() error {
		out, err := d.A.TryRun(lab.Tandem.Path(), "status", "--pair", "--socket", d.A.Socket)
		if err != nil || !strings.Contains(out, "clock of director-b") {
			return fmt.Errorf("%s: %w", out, errors.Join(err, errNotYet))
		}
		return nil
	})

	probe := d.Steady()
	out, err := drilled("failover", "--budget", "10ms")
	if err != nil || !strings.Contains(out, "web: director-b took over (priority 0 heard from 192.0.2.2): ") || !strings.Contains(out, "all as before") {
		t.Errorf("failover: %v\n%s", err, out)
	}
	wantUnnoticed(t, d, "a drilled failover", probe)
	d.Logf("%s", out)

	for _, c := range []struct{ args, want string }{
		{"freeze --hold 2s --budget 3s", "director-b took over (no advertisement for "},
		{"cable --hold 2s --budget 3s", "director-b took over (no advertisement for "},
		{"silence --hold 2s", "both were master for "},
		{"flap --hold 1s --flaps 2 --budget 3s", "flap: passed"},
		{"crash --process election --budget 3s", "crash: passed"},
	} {
		out, err := drilled(strings.Fields(c.args)...)
		if err != nil || !strings.Contains(out, c.want) || !strings.Contains(out, "all as before") {
			t.Errorf("%s: %v, want %q\n%s", c.args, err, c.want, out)
		}
		d.Logf("%s", out)
	}

	d.AwaitMaster(d.A)
	killed := d.A.Start(lab.Tandem.Path(), "drill", "freeze", "--hold", "40s", "-c", d.A.File)
	killed.AwaitOutput(10*time.Second, "wait 40s")
	d.B.AwaitState(10*time.Second, "master")
	killed.Signal(syscall.SIGKILL)
	killed.Wait(10 * time.Second)
	d.AwaitMaster(d.A)
	d.Eventually(10*time.Second, "the report of the killed drill is kept", func() error {
		if out, err := d.A.TryRun(lab.Tandem.Path(), "drill", "history", "-c", d.A.File); err != nil || strings.Count(out, " passed ") != 6 || !strings.Contains(out, "died, undone") {
			return fmt.Errorf("%s: %w", out, errors.Join(err, errNotYet))
		}
		return nil
	})

	// The director was told of all of them, also while it was stopped.
	status := d.A.Run(lab.Tandem.Path(), "status", "--socket", d.A.Socket)
	told := d.A.Run(lab.Tandem.Path(), "history", "--socket", d.A.Socket)
	if !strings.Contains(status, "died, undone") || !strings.Contains(status, "LAST PASSED") || strings.Contains(status, "a drill is under way") ||
		strings.Count(told, "drill freeze began") != 2 || strings.Count(told, "drill freeze undone") != 2 || !strings.Contains(told, "drill flap ended") {
		t.Errorf("the director was not told of the drills:\n%s\n%s", status, told)
	}

	d.B.Process().Signal(syscall.SIGKILL)
	if out, err := d.A.TryRun(lab.Tandem.Path(), "drill", "-c", d.A.File, "failover"); err == nil || !strings.Contains(out, "refused: the other director cannot be asked: ") {
		t.Errorf("without the peer: %v\n%s", err, out)
	}
}
