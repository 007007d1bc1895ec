// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/integration/lab"
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

// TestDoctorOfTheKernel: a kernel without IPVS gets it by --fix; one without a scheduler does not.
func TestDoctorOfTheKernel(t *testing.T) {
	d := lab.NewDuo(t, lab.DuoSettings{Tables: strings.Replace(service, "SCHEDULER", "rr", 1)})
	web := d.Host("web1", "192.0.2.11/24")
	web.RealServer(lab.VIP)
	web.HTTPServer(web.Name)
	unload(t, d.Lab, "ip_vs")
	// The kernel would load the module when somebody asks for it. This machine forbids that, as some real ones do.
	const loader = "/proc/sys/kernel/modprobe"
	before, err := os.ReadFile(loader)
	if err == nil {
		err = os.WriteFile(loader, []byte("/bin/false"), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(loader, before, 0); err != nil {
			t.Error(err)
		}
	})
	args := []string{"-c", d.A.File}
	if code := wantFindings(d.Lab, "without IPVS", d.A.Host, args, "ipvs-missing", "not-running"); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	if code := wantFindings(d.Lab, "after --fix", d.A.Host, append(args, "--fix"), "not-running"); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	if err := os.WriteFile(loader, before, 0); err != nil {
		t.Fatal(err)
	}
	d.Launch()
	if code := wantFindings(d.Lab, "when it runs", d.A.Host, args); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	text, err := os.ReadFile(d.A.File)
	if err != nil {
		t.Fatal(err)
	}
	other := d.A.WriteFile("twos.toml", strings.Replace(string(text), `"rr"`, `"twos"`, 1)) // which Debian's kernel does not have
	wantFindings(d.Lab, "with a scheduler that is not there", d.A.Host, []string{"-c", other}, "scheduler-missing")
}

// setClock sets the machine's clock by so much.
func setClock(t *testing.T, by time.Duration) {
	t.Helper()
	now := unix.NsecToTimeval(time.Now().Add(by).UnixNano())
	if err := unix.Settimeofday(&now); err != nil {
		t.Fatal(err)
	}
}

// TestDoctorOfTheClock: somebody sets the clock under a running director, and nobody keeps it.
func TestDoctorOfTheClock(t *testing.T) {
	d := lab.NewDuo(t, lab.DuoSettings{Advert: 300 * time.Millisecond})
	d.Launch()
	args := []string{"-c", d.A.File}
	wantFindings(d.Lab, "at first", d.A.Host, args)

	setClock(t, time.Hour)
	wantFindings(d.Lab, "after the clock was set", d.A.Host, args, "clock-step-before")
	setClock(t, -time.Hour)
	wantFindings(d.Lab, "after it was set right", d.A.Host, args)

	looks := d.A.Start(lab.Tandem.Path(), append([]string{"doctor"}, args...)...)
	d.Eventually(10*time.Second, "the doctor sees the clock being set", func() error {
		setClock(t, 100*time.Millisecond)
		if looks.Running() {
			return errors.New("it is looking")
		}
		return nil
	})
	if code := looks.Wait(time.Second); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	looks.AwaitOutput(5*time.Second, "warning clock-step: the clock was set by ")

	for _, tt := range []struct {
		status int32
		want   bool
	}{{unix.STA_UNSYNC, true}, {0, false}, {unix.STA_UNSYNC, true}} {
		if _, err := unix.Adjtimex(&unix.Timex{Modes: unix.ADJ_STATUS | unix.ADJ_MAXERROR, Status: tt.status}); err != nil {
			t.Fatal(err)
		}
		out, err := d.A.TryRun(lab.Tandem.Path(), append([]string{"doctor"}, args...)...)
		if got := strings.Contains(out, "note clock-unsynchronised: "); err != nil || got != tt.want {
			t.Errorf("clock kept: %t, and the doctor says %q, %v", !tt.want, out, err)
		}
	}
}
