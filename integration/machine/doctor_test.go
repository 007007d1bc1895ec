// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/integration/lab/scorecard"
)

// loaded returns the loaded kernel modules whose name is name, or begins with name and "_".
func loaded(t *testing.T, name string) (all []string) {
	t.Helper()
	text, err := os.ReadFile("/proc/modules")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if module, _, _ := strings.Cut(line, " "); module == name || strings.HasPrefix(module, name+"_") {
			all = append(all, module)
		}
	}
	return all
}

// unload removes these kernel modules. It waits until the namespaces of the test before, which use them, have gone.
func unload(t *testing.T, l *lab.Lab, name string) {
	t.Helper()
	l.Eventually(20*time.Second, name+" is not in the kernel", func() error {
		var errs []error
		for _, module := range loaded(t, name) {
			if out, err := exec.Command("modprobe", "--remove", module).CombinedOutput(); err != nil {
				errs = append(errs, fmt.Errorf("%w: %s", err, out))
			}
		}
		if rest := loaded(t, name); len(rest) > 0 {
			errs = append(errs, fmt.Errorf("%v are", rest))
		}
		return errors.Join(errs...)
	})
}

// wantFindings checks that the doctor finds these and nothing else, and returns its exit code. It retries, because a stall
// of the emulated machine may disturb the election for a while.
func wantFindings(l *lab.Lab, when string, h *lab.Host, args []string, want ...string) (code int) {
	l.Eventually(30*time.Second, when, func() error {
		var all []lab.Finding
		all, code = h.Doctor(args...)
		var ids []string
		for _, f := range all {
			ids = append(ids, f.ID)
		}
		if slices.Sort(ids); !slices.Equal(ids, want) {
			return fmt.Errorf("the doctor found %v, want %v\n%+v", ids, want, all)
		}
		return nil
	})
	return code
}

const service = `
[[service]]
name = "www"
virtual = "192.0.2.100:80"
scheduler = "SCHEDULER"
method = "dr"
[[service.server]]
address = "192.0.2.11"
`

// newCard makes a scorecard on an emulated kernel, which does not carry more examinations beside each other.
func newCard(t *testing.T, d lab.Duo) *scorecard.Card {
	c := scorecard.New(t, d.Lab, d.A, d.B)
	c.Starts = []time.Duration{0, 1500 * time.Millisecond}
	c.Args[d.A.Host] = []string{"-c", d.A.File}
	return c
}

// TestScorecardOfTheKernel: a kernel without IPVS gets it by --fix, and by the command that the doctor advises. Then the file of a
// director names a scheduler that the kernel does not have, and a setting that clients of a failed server do not survive.
func TestScorecardOfTheKernel(t *testing.T) {
	d := lab.NewDuo(t, lab.DuoSettings{Tables: strings.Replace(service, "SCHEDULER", "rr", 1)})
	web := d.Host("web1", "192.0.2.11/24")
	web.RealServer(lab.VIP)
	web.HTTPServer(web.Name)
	load := loader(t)
	load(false)
	c := newCard(t, d)
	unload(t, d.Lab, "ip_vs")
	code := wantFindings(d.Lab, "after --fix", d.A.Host, append(c.Args[d.A.Host], "--fix"), "not-running")
	if n := len(loaded(t, "ip_vs")); code != 2 || n == 0 {
		t.Errorf("exit code %d, want 2; %d modules of IPVS", code, n)
	}
	c.Ignore = []string{"not-running"}
	launch := sync.OnceFunc(func() {
		load(true)
		d.Launch()
		c.Ignore = nil
	})
	served := func() error {
		launch()
		_, err := d.Client.Get("http://" + lab.VIP + "/")
		return err
	}
	right, err := os.ReadFile(d.A.File)
	if err != nil {
		t.Fatal(err)
	}
	differs := func(name, old, new, want, says string) scorecard.Breakage {
		return scorecard.Breakage{Name: name, On: d.A.Host, Want: want, Says: says, Works: served,
			Fail: func() {
				d.A.WriteFile("tandem.toml", strings.Replace(string(right), old, new, 1))
				d.A.Run(lab.Tandem.Path(), "reload", "--socket", d.A.Socket)
			},
			Heal: func() { d.A.WriteFile("tandem.toml", string(right)) }}
	}
	c.Run([]scorecard.Breakage{
		{Name: "no IPVS", On: d.A.Host, Fail: func() { unload(t, d.Lab, "ip_vs") }, Want: "ipvs-missing", Works: served},
		differs("no such scheduler", `"rr"`, `"twos"`, "scheduler-missing", "no scheduler twos"), // which Debian's kernel does not have
		differs("a setting that leaves clients in silence", "[[service]]", "[lvs.sysctl]\nexpire_nodest_conn = 0\n[[service]]", "ipvs-setting",
			"net.ipv4.vs.expire_nodest_conn is 0"),
		{Name: "timeouts that no reload has set", On: d.A.Host, Want: "ipvs-timeout", Says: "lvs.timeouts.tcp is 15m0s instead of 1h0m0s", Works: served,
			Fail: func() {
				d.A.WriteFile("tandem.toml", strings.Replace(string(right), "[[service]]", "[lvs.timeouts]\ntcp = \"1h\"\n[[service]]", 1))
			},
			Restore: func() {
				d.A.WriteFile("tandem.toml", string(right))
				d.A.Run(lab.Tandem.Path(), "reload", "--socket", d.A.Socket)
			}},
	})
}

// loader lets the kernel load a module when somebody asks for it, or forbids that, as some real machines do.
func loader(t *testing.T) (set func(on bool)) {
	t.Helper()
	const file = "/proc/sys/kernel/modprobe"
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	set = func(on bool) {
		program := []byte("/bin/false")
		if on {
			program = before
		}
		if err := os.WriteFile(file, program, 0); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { set(true) })
	return set
}

// setClock sets the machine's clock by so much.
func setClock(t *testing.T, by time.Duration) {
	t.Helper()
	now := unix.NsecToTimeval(time.Now().Add(by).UnixNano())
	if err := unix.Settimeofday(&now); err != nil {
		t.Fatal(err)
	}
}

// TestScorecardOfTheClock: somebody sets the clock under a running director, and during an examination, and nobody keeps it. The
// election goes on. Works is the VIP, because the clock is of no importance to clients.
func TestScorecardOfTheClock(t *testing.T) {
	d := lab.NewDuo(t, lab.DuoSettings{Advert: 300 * time.Millisecond})
	d.Launch()
	c := newCard(t, d)
	holds := func() error {
		if !d.A.Has(lab.VIP) {
			return errors.New("the master has lost the VIP")
		}
		return nil
	}
	c.Run([]scorecard.Breakage{{Name: "the clock was set", On: d.A.Host, Want: "clock-step-before", Says: "the clock was set by ", Works: holds,
		Fail: func() { setClock(t, time.Hour) }, Heal: func() { setClock(t, -time.Hour) }}})

	args := append([]string{"doctor"}, c.Args[d.A.Host]...)
	const step = 100 * time.Millisecond
	steps := time.Duration(0)
	looks := d.A.Start(lab.Tandem.Path(), args...)
	d.Eventually(30*time.Second, "the doctor sees the clock being set", func() error {
		setClock(t, step)
		steps++
		if looks.Running() {
			return errors.New("it is looking")
		}
		return nil
	})
	setClock(t, -steps*step)
	if code := looks.Wait(time.Second); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	looks.AwaitOutput(5*time.Second, "warning clock-step: the clock was set by ")
	wantFindings(d.Lab, "when nobody sets the clock any more", d.A.Host, c.Args[d.A.Host])
	const mend = "run chrony or systemd-timesyncd, and nothing else that sets the clock"
	if !strings.Contains(looks.Output(), "fix: "+mend) {
		t.Errorf("the doctor says %q", looks.Output())
	}
	scorecard.Row(t, "the clock is set again and again", "clock-step", d.A.Name, mend, 0)

	for _, tt := range []struct {
		status int32
		want   bool
	}{{unix.STA_UNSYNC, true}, {0, false}, {unix.STA_UNSYNC, true}} {
		if _, err := unix.Adjtimex(&unix.Timex{Modes: unix.ADJ_STATUS | unix.ADJ_MAXERROR, Status: tt.status}); err != nil {
			t.Fatal(err)
		}
		if err := d.Undisturbed(func() error {
			out, err := d.A.TryRun(lab.Tandem.Path(), args...)
			if got := strings.Contains(out, "note clock-unsynchronised: "); err != nil || got != tt.want || got && !strings.Contains(out, "fix: "+mend) {
				return fmt.Errorf("clock kept: %t, and the doctor says %q, %v", !tt.want, out, err)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	scorecard.Row(t, "nobody keeps the clock", "clock-unsynchronised", d.A.Name, mend, 0)
}
