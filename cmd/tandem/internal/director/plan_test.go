// SPDX-License-Identifier: Apache-2.0

package director

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/plan"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/porttest"
	"github.com/tandem-lvs/tandem/configs/load"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/vrrp"
)

// TestPlanOfARunningDirector: a plan tells the changes, and is empty after the reload that makes them. It leaves everything
// as it is, and names each mistake.
func TestPlanOfARunningDirector(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "t.toml")
	text := func(priority int) string {
		return fmt.Sprintf(`
name = "lb1"
control = { socket = %q }
state = { dir = %q }
[[vrrp]]
name = "web"
interface = "eth0"
vrid = 51
priority = %d
vips = ["192.0.2.100/24"]
track = [{ file = %q, weight = -10 }]
`, filepath.Join(dir, "s"), dir, priority, filepath.Join(dir, "load"))
	}
	write(t, file, text(150))
	write(t, filepath.Join(dir, "load"), "2\n")
	cfg, err := load.As("").File(file)
	if err != nil {
		t.Fatal(err)
	}
	d := directConfig(t, cfg)
	d.await(t, vrrp.Tracking{Delta: -20})
	lines := func(r control.PlanRequest, want ...string) {
		t.Helper()
		p, err := d.Plan(r)
		var got []string
		for _, l := range p.Lines {
			got = append(got, l.Object+": "+l.Change)
		}
		if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("planned %q, %v, want %q", got, err, want)
		}
	}
	lines(control.PlanRequest{})
	lines(control.PlanRequest{File: "other.toml", Text: text(90)}, "virtual router web: priority 150 → 90; with tracks 130 → 70")
	write(t, file, text(90))
	lines(control.PlanRequest{}, "virtual router web: priority 150 → 90; with tracks 130 → 70")
	if _, err := d.Reload(""); err != nil {
		t.Fatal(err)
	}
	lines(control.PlanRequest{})

	write(t, file, strings.Replace(strings.Replace(text(90), "vrid = 51", "vrid = 0", 1), "priority", "prioritty", 1))
	if _, err := d.Plan(control.PlanRequest{}); err == nil || !strings.Contains(err.Error(), "vrid") || !strings.Contains(err.Error(), "prioritty") {
		t.Errorf("a file with two mistakes: %v", err)
	}
	if s := d.Status(); s.Config.SHA256 == cfg.SHA256 || s.VRRP[0].Priority != 90 {
		t.Errorf("in force: %+v", s.Config)
	}
}

// TestReloadReadsEveryFile: a director that was started with --name reads its own values and the included files again, and a plan
// of another file takes what the request carries, not what is on the disk.
func TestReloadReadsEveryFile(t *testing.T) {
	dir := t.TempDir()
	file, part := filepath.Join(dir, "t.toml"), filepath.Join(dir, "part.inc")
	text := fmt.Sprintf(`
include = ["*.inc"]
control = { socket = %q }
state = { dir = %q }
[[vrrp]]
name = "web"
interface = "eth0"
vrid = 51
vips = ["192.0.2.100/24"]
track = [{ file = %q, weight = -10 }]
`, filepath.Join(dir, "s"), dir, filepath.Join(dir, "load"))
	values := func(priority int) string { return fmt.Sprintf("[director.lb7]\nvrrp.web.priority = %d\n", priority) }
	write(t, file, text)
	write(t, part, values(150))
	write(t, filepath.Join(dir, "load"), "2\n")
	cfg, err := load.As("lb7").File(file)
	if err != nil {
		t.Fatal(err)
	}
	d := directConfig(t, cfg)
	d.await(t, vrrp.Tracking{Delta: -20})
	planned := func(r control.PlanRequest) string {
		t.Helper()
		p, err := d.Plan(r)
		if err != nil || len(p.Lines) > 1 {
			t.Fatalf("%+v, %v", p.Lines, err)
		}
		for _, l := range p.Lines {
			return l.Change
		}
		return ""
	}
	carried := control.PlanRequest{
		File: file, Text: text, Matches: map[string][]string{filepath.Join(dir, "*.inc"): {part}}, Included: map[string]string{part: values(70)},
	}
	if own, other := planned(control.PlanRequest{}), planned(carried); own != "" || other != "priority 150 → 70; with tracks 130 → 50" {
		t.Errorf("planned %q and %q", own, other)
	}
	write(t, part, values(90))
	if own := planned(control.PlanRequest{}); own != "priority 150 → 90; with tracks 130 → 70" {
		t.Errorf("planned %q", own)
	}
	if _, err := d.Reload(""); err != nil || d.Status().VRRP[0].Priority != 90 || d.Status().Name != "lb7" {
		t.Errorf("reloaded: %v, %+v", err, d.Status())
	}
	write(t, part, values(300))
	if _, err := d.Reload(""); err == nil || !strings.HasPrefix(err.Error(), part+":2: director.lb7.vrrp.web.priority: 300 is out of range") {
		t.Errorf("a mistake in an included file: %v", err)
	}
	carried.Name = "lb8"
	if _, err := d.Plan(carried); err == nil || !strings.Contains(err.Error(), "did you mean `lb7`?") {
		t.Errorf("for another director: %v", err)
	}
}

// TestProbesOfAPlan: the checks run at the same time, each once.
func TestProbesOfAPlan(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	good := netip.MustParseAddrPort(l.Addr().String())
	bad := porttest.Reserve(t)
	var all []plan.Target
	add := func(addr netip.AddrPort, change func(*healthcheck.Config)) {
		check := healthcheck.DefaultConfig(healthcheck.TCP)
		change(&check)
		all = append(all, plan.Target{
			ID: plan.CheckID{Server: fmt.Sprint(len(all))}, Target: healthcheck.Target{ID: fmt.Sprint(len(all)), Addr: addr, Config: check},
		})
	}
	none := func(*healthcheck.Config) {}
	add(good, none)
	add(bad, none)
	for range 3 * probesAtOnce { // it connects and then says nothing
		add(good, func(c *healthcheck.Config) { c.Expect, c.Timeout = "hello", 100*time.Millisecond })
	}
	add(good, none)
	all[len(all)-1].NotRun = "not wanted"
	began := time.Now()
	results := probeOnce(all)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("%d checks took %s", len(all), took)
	}
	for id, want := range map[string]healthcheck.Outcome{"0": healthcheck.Passed, "1": healthcheck.Failed, "2": healthcheck.Failed, "193": healthcheck.Failed, "194": 0} {
		if is := results[plan.CheckID{Server: id}]; is.Outcome != want || (is.NotRun != "") != (want == 0) {
			t.Errorf("check %s: %+v, want %s", id, is, want)
		}
	}
	if len(results) != len(all) {
		t.Errorf("%d results of %d", len(results), len(all))
	}
}
