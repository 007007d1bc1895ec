// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestTerminated: SIGTERM ends the daemon cleanly. It removes the VIP and informs its peer by an advertisement of priority 0.
// Only requests in flight fail, and the kernel's table stays as configured.
func TestTerminated(t *testing.T) {
	for _, tt := range []struct {
		onStop string
		empty  bool
	}{{"keep", false}, {"remove", true}} {
		t.Run(tt.onStop, func(t *testing.T) {
			p := lab.NewPair(t, lab.PairSettings{})
			p.A.Configure(lab.PairSettings{}.Config(p.A.Name, lab.PriorityA) + fmt.Sprintf("\n[lvs]\non_stop = %q\n", tt.onStop))
			p.Launch()
			before := p.A.Table()
			heard := p.B.Capture("eth0", func(f lab.Frame) bool { return f.IsVRRP() && f.VRRPPriority() == 0 })
			load := p.Client.Load(vipURL, 50*time.Millisecond)
			probe := p.Client.Probe(echoVIP)
			awaitServed(p.Lab, load, time.Now())

			watch, asked := p.WatchStalls(), time.Now()
			p.A.Process().Signal(syscall.SIGTERM)
			if code := p.A.Process().Wait(10 * time.Second); code != 0 {
				t.Errorf("tandem run ended with code %d, want 0", code)
			}
			left, stall := time.Now(), watch.Stop()
			if p.A.Has(vip) {
				t.Error("the VIP was left behind")
			}
			if pids := p.A.Pids(); len(pids) > 0 {
				t.Errorf("processes %v were left behind", pids)
			}
			p.AwaitMaster(p.B)
			awaitServed(p.Lab, load, time.Now())
			p.Logf("SIGTERM: gone after %s; the client saw %s", left.Sub(asked).Round(time.Millisecond), probe.Stop())
			if goodbye, ok := first(heard.Frames(), func(f lab.Frame) bool { return f.Source().String() == p.A.MAC() }); !ok {
				t.Error("director-a sent no advertisement of priority 0")
			} else if after := goodbye.When.Sub(asked); after > 500*time.Millisecond+stall {
				t.Errorf("director-a sent priority 0 %s after SIGTERM, want at most 500ms; the machine itself stalled for %s", after, stall)
			}
			wantServed(t, p, load.Stop(), span{asked, left})
			switch after := p.A.Table(); {
			case tt.empty && after != "":
				t.Errorf("the kernel's table has still\n%s", after)
			case !tt.empty && after != before:
				t.Errorf("the kernel's table was\n%sand is\n%s", before, after)
			}
			// The removal of the package runs this command.
			p.A.Run(p.A.Program(), "cleanup", "-c", p.A.File)
			if after := p.A.Table(); after != "" {
				t.Errorf("after tandem cleanup the kernel's table has still\n%s", after)
			}
		})
	}
}

// TestReload: an unchanged file causes no netlink request that writes. A changed weight causes one for each server that has
// it. A broken file is reported, and the old configuration stays.
func TestReload(t *testing.T) {
	p := lab.NewPair(t, patient)
	p.Launch()
	tap := p.A.TapNetlink()

	t.Run("unchanged", func(t *testing.T) {
		before := len(tap.Writes())
		reload(t, p)
		wantWrites(p, tap, before)
	})
	t.Run("changed weight", func(t *testing.T) {
		before := len(tap.Writes())
		p.A.Configure(weighted(3))
		reload(t, p)
		p.Eventually(5*time.Second, "web1 has weight 3", func() error {
			if w := p.A.Weights(); w["tcp 192.0.2.11"] != 3 || w["udp 192.0.2.11"] != 3 || w["tcp 192.0.2.12"] != 1 {
				return fmt.Errorf("%v", w)
			}
			return nil
		})
		// Both services have the server: two times "set server".
		wantWrites(p, tap, before, "IPVS command 6", "IPVS command 6")
	})
	t.Run("a service of another program", func(t *testing.T) { takesOver(t, p, tap) })
	t.Run("broken", func(t *testing.T) { reloadBroken(t, p, tap) })
	t.Run("planned", func(t *testing.T) { planned(t, p) })
	if !p.A.Process().Running() || !p.A.Has(vip) {
		t.Error("director-a did not live through it as master")
	}
	t.Run("planned move", func(t *testing.T) { plannedMove(t, p) })
}

// reloadBroken gives director-a, which has web1 at weight 3, a file with a mistake.
func reloadBroken(t *testing.T, p *lab.Pair, tap *lab.Tap) {
	before := len(tap.Writes())
	old, err := p.A.Status()
	if err != nil {
		t.Fatal(err)
	}
	good, rest, _ := strings.Cut(weighted(7), "priority =")
	p.A.Configure(good + "prioritty =" + rest)
	place := fmt.Sprintf("tandem.toml:%d: ", 1+strings.Count(good, "\n"))

	p.A.Process().Signal(syscall.SIGHUP)
	p.A.Process().AwaitOutput(5*time.Second, place)
	out, err := p.A.TryRun(lab.Tandem.Path(), "reload", "--socket", p.A.Socket)
	if err == nil || !strings.Contains(out, place) || !strings.Contains(out, "`priority`") {
		t.Errorf("tandem reload: %v, %q, want a failure that names the place and the nearest key", err, out)
	}
	now, err := p.A.Status()
	if err != nil {
		t.Fatal(err)
	}
	if now.Config.SHA256 != old.Config.SHA256 || now.VRRP[0].State != "master" || p.A.Weights()["tcp 192.0.2.11"] != 3 {
		t.Errorf("after a broken file: %+v, weights %v", now, p.A.Weights())
	}
	wantWrites(p, tap, before)
}

// weighted is director-a's configuration with a weight for web1.
func weighted(weight int) string {
	return patient.Config("director-a", lab.PriorityA, weight)
}

// wantWrites waits for the netlink writes after the first ones, and checks that no other follows until the table has been
// read again.
func wantWrites(p *lab.Pair, tap *lab.Tap, before int, want ...string) {
	check := func() error {
		if got := tap.Writes()[before:]; !slices.Equal(got, want) {
			return fmt.Errorf("%v, want %v", got, want)
		}
		return nil
	}
	p.Eventually(5*time.Second, "the netlink writes", check)
	p.Throughout(1500*time.Millisecond, "the netlink writes", check)
}

// reload sends SIGHUP to A and waits until the file is loaded.
func reload(t *testing.T, p *lab.Pair) {
	t.Helper()
	old, err := p.A.Status()
	if err != nil {
		t.Fatal(err)
	}
	p.A.Process().Signal(syscall.SIGHUP)
	p.Eventually(5*time.Second, "the file is loaded again", func() error {
		now, err := p.A.Status()
		if err == nil && !now.Config.LoadedAt.After(old.Config.LoadedAt) {
			err = fmt.Errorf("loaded at %s", now.Config.LoadedAt)
		}
		return err
	})
}
