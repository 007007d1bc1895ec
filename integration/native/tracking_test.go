// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestTracking: something that director-a tracks fails, so director-a hands over. When it works again, director-a becomes
// master again. The hand-over has no gap, except where director-a loses the VIP's own cable.
func TestTracking(t *testing.T) {
	t.Parallel()
	web, proxies := make(map[*lab.Director]*lab.Process), make(map[*lab.Director]*lab.Process)
	for _, tt := range []struct {
		name       string
		track      string // with the host's directory for DIR and its name for NAME
		fail, mend func(t *testing.T, d lab.Duo)
	}{
		{
			"check", `track = [{ check = { type = "http", port = 8080, interval = "500ms", timeout = "500ms", fall = 2, rise = 1, fast_interval = "50ms" } }]`,
			func(_ *testing.T, d lab.Duo) { web[d.A].Stop() },
			func(_ *testing.T, d lab.Duo) { web[d.A] = serve(d.A) },
		},
		{
			"process", `track = [{ process = "busybox-NAME" }]`,
			func(_ *testing.T, d lab.Duo) { proxies[d.A].Signal(syscall.SIGKILL) },
			func(t *testing.T, d lab.Duo) { proxies[d.A] = proxy(t, d.A) },
		},
		{
			"interface", `track = [{ interface = "eth1", weight = -60 }]`,
			func(_ *testing.T, d lab.Duo) { d.A.CutAt("wan") },
			func(_ *testing.T, d lab.Duo) { d.A.PlugAt("wan") },
		},
		{
			"interface without weight", `track = [{ interface = "eth1" }]`,
			func(_ *testing.T, d lab.Duo) { d.A.CutAt("wan") },
			func(_ *testing.T, d lab.Duo) { d.A.PlugAt("wan") },
		},
		{
			"script", `track = [{ script = ["/usr/bin/busybox", "test", "-e", "DIR/uplink"], interval = "500ms", timeout = "500ms", weight = -60 }]`,
			func(t *testing.T, d lab.Duo) { remove(t, filepath.Join(d.A.Dir(), "uplink")) },
			func(_ *testing.T, d lab.Duo) { d.A.WriteFile("uplink", "") },
		},
		{
			"file", `track = [{ file = "DIR/step-back", weight = -1 }]`,
			func(_ *testing.T, d lab.Duo) { d.A.WriteFile("step-back", "60\n") },
			func(t *testing.T, d lab.Duo) { remove(t, filepath.Join(d.A.Dir(), "step-back")) },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := lab.NewDuo(t, lab.DuoSettings{})
			for x, priority := range map[*lab.Director]int{d.A: lab.PriorityA, d.B: lab.PriorityB} {
				x.Join("wan")
				x.WriteFile("uplink", "")
				switch tt.name {
				case "check":
					web[x] = serve(x)
				case "process":
					proxies[x] = proxy(t, x)
				}
				keys := strings.NewReplacer("DIR", x.Dir(), "NAME", x.Name).Replace(tt.track)
				x.Configure(lab.DuoSettings{Keys: keys}.Config(x.Name, priority))
			}
			openToAll(t, d.A.Dir(), d.B.Dir())
			d.Launch()

			probe := d.Steady()
			tt.fail(t, d)
			failed := time.Now()
			d.AwaitMaster(d.B)
			d.Answers(probe)
			d.Logf("%s fails: director-b is master after %s; %s", tt.name, time.Since(failed).Round(time.Millisecond), probe.Stop())
			if missed := probe.Missed(); missed > 10 {
				t.Errorf("the client missed %d answers in a row", missed)
			}
			tt.mend(t, d)
			d.AwaitMaster(d.A)
		})
	}
}

// serve starts a web server that only its own machine reaches.
func serve(d *lab.Director) *lab.Process {
	return d.Start("busybox", "httpd", "-f", "-p", "127.0.0.1:8080", "-h", filepath.Dir(d.WriteFile("web/index.html", "")))
}

// proxy starts a program that is named after its machine: all machines of a lab see the same processes.
func proxy(t *testing.T, d *lab.Director) *lab.Process {
	t.Helper()
	file := filepath.Join(d.Dir(), "busybox-"+d.Name)
	install(t, "/usr/bin/busybox", file)
	return d.Start(file, "sleep", "1000")
}

// TestSyncGroup: two virtual routers on two interfaces belong together. One loses its cable, and both move. When the cable is
// back, both return. The same happens when a cable is silent although its carrier stays.
func TestSyncGroup(t *testing.T) {
	t.Parallel()
	const inner = "198.51.100.100"
	d := lab.NewDuo(t, lab.DuoSettings{})
	for i, x := range []*lab.Director{d.A, d.B} {
		x.Join("wan", fmt.Sprintf("198.51.100.%d/24", 2+i))
		priority := []int{lab.PriorityA, lab.PriorityB}[i]
		x.Configure(lab.DuoSettings{
			Keys: `sync_group = "both"`,
			Tables: fmt.Sprintf(`
[[vrrp]]
name = "inner"
interface = "eth1"
vrid = 52
priority = %d
advert_interval = "100ms"
vips = ["%s/24"]
sync_group = "both"
`, priority, inner),
		}.Config(x.Name, priority))
	}
	d.Launch()
	awaitBoth := func(master, other *lab.Director) {
		t.Helper()
		began := time.Now()
		for _, addr := range []string{vip, inner} {
			awaitHas(d.Lab, 5*time.Second, master.Host, addr, true)
			awaitHas(d.Lab, 5*time.Second, other.Host, addr, false)
		}
		d.Logf("%s has both VIPs after %s", master.Name, time.Since(began).Round(time.Millisecond))
	}
	awaitBoth(d.A, d.B)
	for _, cut := range []struct{ sw string }{{lab.MainSwitch}, {"wan"}} {
		d.A.CutAt(cut.sw)
		awaitBoth(d.B, d.A)
		// If the group changed state again and again, this would show now.
		d.Throughout(500*time.Millisecond, "director-b keeps both", func() error {
			if !d.B.Has(vip) || !d.B.Has(inner) || d.A.Has(vip) || d.A.Has(inner) {
				return fmt.Errorf("it has not")
			}
			return nil
		})
		d.A.PlugAt(cut.sw)
		awaitBoth(d.A, d.B)
	}
	probe := d.Steady()
	d.A.Isolate()
	d.Eventually(15*time.Second, "director-b takes over from a director with a silent cable", func() error {
		if !d.B.Has(vip) || !d.B.Has(inner) || d.A.Has(inner) {
			return errNotYet
		}
		return nil
	})
	if s, err := d.A.Status(); err != nil || !strings.Contains(strings.Join(s.Warnings, "\n"), "eth0: no other machine answers there") {
		t.Errorf("director-a does not warn of its silent cable: %q, %v", s.Warnings, err)
	}
	d.Answers(probe)
	d.Logf("director-a has a silent cable: %s", probe.Stop())
	d.A.Rejoin()
	d.Eventually(15*time.Second, "director-a is master again", func() error {
		if !d.A.Has(vip) || !d.A.Has(inner) || d.B.Has(vip) {
			return errNotYet
		}
		return nil
	})
}

// TestScriptFailsOnBoth: a script without weight fails on both directors. The one that fails last stays master, or becomes master
// again, and says so. When the script works again on the other one, this one takes over.
func TestScriptFailsOnBoth(t *testing.T) {
	t.Parallel()
	d := lab.NewDuo(t, lab.DuoSettings{})
	for x, priority := range map[*lab.Director]int{d.A: lab.PriorityA, d.B: lab.PriorityB} {
		x.WriteFile("uplink", "")
		x.Configure(lab.DuoSettings{Keys: fmt.Sprintf(
			`track = [{ script = ["/usr/bin/busybox", "test", "-e", "%s/uplink"], interval = "500ms", timeout = "500ms" }]`, x.Dir())}.Config(x.Name, priority))
	}
	openToAll(t, d.A.Dir(), d.B.Dir())
	d.Launch()
	probe := d.Steady()
	for _, x := range []*lab.Director{d.A, d.B} {
		remove(t, filepath.Join(x.Dir(), "uplink"))
	}
	d.Eventually(10*time.Second, "a director is master in spite of its script", func() error {
		for _, x := range []*lab.Director{d.A, d.B} {
			s, err := x.Status()
			if err != nil || s.VRRP[0].State == "master" && strings.Contains(strings.Join(s.Warnings, "\n"), "all directors fail") {
				return err
			}
		}
		return errNotYet
	})
	d.Answers(probe)
	d.Logf("the script fails on both: %s", probe.Stop())
	if missed := probe.Missed(); missed > 10 {
		t.Errorf("the client missed %d answers in a row", missed)
	}
	d.A.WriteFile("uplink", "")
	d.AwaitMaster(d.A)
}

func remove(t *testing.T, file string) {
	t.Helper()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}

// openToAll lets a script that runs as nobody see what is in the directories.
func openToAll(t *testing.T, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		for ; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
}
