// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// whyPair are the settings of the pair of TestWhy. Their interval bridges a stall of the machine, which would be a cause too.
var whyPair = lab.DuoSettings{Advert: 300 * time.Millisecond}

// whyTracks is what the directors of TestWhy track. The script has a second, which a stall does not last twice in a row.
const whyTracks = `track = [
	{ script = ["/usr/bin/busybox", "test", "-e", "DIR/uplink"], interval = "1s", timeout = "1s", fall = 2, weight = -60 },
	{ process = "busybox-NAME", weight = -60 }, { file = "DIR/step-back", weight = -1 }, { interface = "eth1", weight = -60 },
]`

// TestWhy: after each of twenty failovers, tandem why names the true cause on both directors. The history survives restarts.
func TestWhy(t *testing.T) {
	t.Parallel()
	d := lab.NewDuo(t, whyPair)
	configure := func(x *lab.Director, priority int) {
		keys := strings.NewReplacer("DIR", x.Dir(), "NAME", x.Name).Replace(whyTracks)
		x.Configure(lab.DuoSettings{Advert: whyPair.Advert, Keys: keys}.Config(x.Name, priority))
	}
	var worker *lab.Process // of director-a
	for _, x := range []*lab.Director{d.B, d.A} {
		x.Join("wan")
		x.WriteFile("uplink", "")
		worker = proxy(t, x)
	}
	configure(d.A, lab.PriorityA)
	configure(d.B, lab.PriorityB)
	openToAll(t, d.A.Dir(), d.B.Dir())
	d.Launch()
	wantWhy(t, d.B, "director-b became backup")
	script := "script /usr/bin/busybox test -e " + d.A.Dir() + "/uplink"
	for _, c := range []struct {
		provoked   string
		fail, mend func()
		a, b       []string // what why says on each
	}{
		{
			"a script fails", func() { remove(t, filepath.Join(d.A.Dir(), "uplink")) }, func() { d.A.WriteFile("uplink", "") },
			[]string{"director-a became backup", "heard from 192.0.2.3", "director-a had priority 90 instead of 150, because " + script + " failed ", "exit code 1"},
			[]string{"director-b became master", "own priority 100 is higher than 90 of 192.0.2.2"},
		},
		{
			"a cable is cut", d.A.Cut, d.A.Plug,
			[]string{"director-a became fault", "interface eth0 has no carrier"},
			[]string{"director-b became master", "no advertisement for ", " from 192.0.2.2"},
		},
		{
			"the interface is set down", func() { d.A.Run("ip", "link", "set", "eth0", "down") }, func() { d.A.Run("ip", "link", "set", "eth0", "up") },
			[]string{"director-a became fault", "interface eth0 is down"},
			[]string{"director-b became master", "no advertisement for ", " from 192.0.2.2"},
		},
		{
			"the cable of another interface is cut", func() { d.A.CutAt("wan") }, func() { d.A.PlugAt("wan") },
			[]string{"director-a became backup", "director-a had priority 90 instead of 150, because interface eth1 has no carrier"},
			[]string{"director-b became master", "own priority 100 is higher than 90 of 192.0.2.2"},
		},
		{
			"a program is killed", func() { worker.Signal(syscall.SIGKILL) }, func() { worker = proxy(t, d.A) },
			[]string{"director-a became backup", "director-a had priority 90 instead of 150, because process busybox-director-a"},
			[]string{"director-b became master", "own priority 100 is higher than 90 of 192.0.2.2"},
		},
		{
			"a file has a number", func() { d.A.WriteFile("step-back", "70\n") }, func() { remove(t, filepath.Join(d.A.Dir(), "step-back")) },
			[]string{"director-a became backup", "director-a had priority 80 instead of 150, because file " + d.A.Dir() + "/step-back has the number 70"},
			[]string{"director-b became master", "own priority 100 is higher than 80 of 192.0.2.2"},
		},
		{
			"a lower priority is configured",
			func() { configure(d.A, 90); reload(d.Lab, d.A) }, func() { configure(d.A, lab.PriorityA); reload(d.Lab, d.A) },
			[]string{"director-a became backup", "the configured priority is 90 instead of 150"},
			[]string{"director-b became master", "own priority 100 is higher than 90 of 192.0.2.2"},
		},
		{
			"an operator orders a failover",
			func() { wantRun(t, d.A, "failover") }, func() { wantRun(t, d.A, "release") },
			[]string{"director-a became backup", "192.0.2.3 took over; director-a had ", ", because an operator ordered a failover", "standby since "},
			[]string{"director-b became master", "priority 0 heard from 192.0.2.2"},
		},
		{
			"the director is stopped", func() { d.A.Process().Signal(syscall.SIGTERM); d.A.Process().Wait(15 * time.Second) }, func() { d.A.Launch() },
			[]string{"No director runs", "web stopped: the director was stopped; "},
			[]string{"director-b became master", "priority 0 heard from 192.0.2.2"},
		},
		{
			"the director is killed", func() { d.A.Process().Signal(syscall.SIGKILL) }, func() { d.A.Launch() },
			[]string{"No director runs", "web became master"},
			[]string{"director-b became master", "priority 0 heard from 192.0.2.2"},
		},
	} {
		c.fail()
		d.AwaitMaster(d.B)
		wantWhy(t, d.A, c.a...)
		wantWhy(t, d.B, c.b...)
		c.mend()
		d.AwaitMaster(d.A)
		wantWhy(t, d.A, "director-a became master", "own priority 150 is higher than 100 of 192.0.2.3")
		wantWhy(t, d.B, "director-b became backup", "higher priority 150 heard from 192.0.2.2")
		d.Logf("%s: told on both", c.provoked)
	}

	d.A.Run("ip", "addr", "del", vip+"/24", "dev", "eth0")
	d.Eventually(5*time.Second, "the history has the removed VIP", func() error {
		if out, err := tandem(d.A, "history", "--since", "1m", "--router", "web"); err != nil || !strings.Contains(out, "has "+vip+"/24 again: somebody removed") {
			return fmt.Errorf("%s, %w", out, err)
		}
		return nil
	})
	// Interrupted after a second, it has printed what has happened.
	out, err := d.A.TryRun("/usr/bin/busybox", "timeout", "-s", "INT", "1", lab.Tandem.Path(), "history", "--follow", "--json", "--socket", d.A.Socket)
	if !strings.Contains(out, `"kind":"repair"`) || !strings.Contains(out, `"what":"became master"`) {
		t.Errorf("tandem history --follow printed %s, %v", out, err)
	}
	// What the first process of director-a has recorded, and what the last one has.
	out, err = tandem(d.A, "history", "--since", "1h")
	if err != nil {
		t.Error(err)
	}
	at := 0
	for _, want := range []string{
		"director-a started", "web became backup: startup", "web became master: ", "has priority 90 instead of 150: script ",
		"web has priority 150: over: script", "became fault: interface eth0 has no carrier", "web must hand over: root",
		"web offers its place", "takes part in the election again", "director-a stopped", "director-a started",
		"follows a director that did not stop", "became master",
	} {
		i := strings.Index(out[at:], want)
		if i < 0 {
			t.Errorf("the history lacks %q, or has it earlier:\n%s", want, out)
			break
		}
		at += i
	}
}

// wantWhy waits until tandem why has all of these words.
func wantWhy(t *testing.T, d *lab.Director, want ...string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		out, err := d.TryRun(lab.Tandem.Path(), "why", "web", "--socket", d.Socket, "-c", d.File)
		lacks := err != nil
		for _, w := range want {
			lacks = lacks || !strings.Contains(out, w)
		}
		if !lacks {
			return
		}
		if time.Now().After(end) {
			t.Errorf("%s: %s, %v; want %q", d.Name, out, err, want)
			return
		}
	}
}

func wantRun(t *testing.T, d *lab.Director, command string) {
	t.Helper()
	if out, err := tandem(d, command); err != nil {
		t.Errorf("tandem %s: %s, %v", command, out, err)
	}
}
