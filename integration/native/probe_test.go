// SPDX-License-Identifier: Apache-2.0

package native

import (
	"encoding/json"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestProbe: tandem probe on the client sees the outage that the lab's own prober sees when the master's cable is cut.
func TestProbe(t *testing.T) {
	t.Parallel()
	d := lab.NewDuo(t, lab.DuoSettings{})
	d.Launch()
	watch := d.WatchStalls()
	probe := d.Steady()
	theirs := d.Client.Start(lab.Tandem.Path(), "probe", vip+":7", "--udp", "--send", `web1\n`, "--named-by", "body", "--every", "5ms",
		"--timeout", "1s", "--json", "--page", "report.html")
	d.Throughout(300*time.Millisecond, "it asks", func() error {
		if !theirs.Running() {
			t.Fatalf("tandem probe has ended: %s", theirs.Output())
		}
		return nil
	})
	d.A.Cut()
	d.B.AwaitState(5*time.Second, "master")
	d.Answers(probe)
	theirs.Signal(syscall.SIGINT)
	if code := theirs.Wait(10 * time.Second); code != 2 {
		t.Errorf("tandem probe ended with code %d, want 2", code)
	}
	want, stall := probe.Stop(), watch.Stop()
	var got struct {
		Asked    int
		Answered int
		Longest  float64 `json:"longest_outage_seconds"`
		Servers  []struct {
			Name    string
			Answers int
		}
		Prober struct {
			Late   float64 `json:"late_most_seconds"`
			Pauses []struct {
				Length float64 `json:"length_seconds"`
			}
		}
	}
	if err := json.Unmarshal([]byte(theirs.Output()), &got); err != nil {
		t.Fatalf("its report: %v: %s", err, theirs.Output())
	}
	own := got.Prober.Late
	for _, p := range got.Prober.Pauses {
		own = max(own, p.Length)
	}
	longest := time.Duration(got.Longest * float64(time.Second))
	// Each of them can miss the beginning by its own pauses, and the last one that they send before the first answer.
	tolerance := 20*time.Millisecond + 2*stall + want.Gap + time.Duration(own*float64(time.Second))
	d.Logf("tandem probe: %s; the lab's prober: %s; tolerance %s", longest, want, tolerance)
	if diff := longest - want.Longest; diff.Abs() > tolerance {
		t.Errorf("tandem probe saw an outage of %s, the lab's prober %s; want a difference of at most %s", longest, want, tolerance)
	}
	if len(got.Servers) != 1 || got.Servers[0].Name != "web1" || got.Servers[0].Answers != got.Answered || got.Asked <= got.Answered {
		t.Errorf("asked %d, answered %d, by %v", got.Asked, got.Answered, got.Servers)
	}
	if page := d.Client.ReadFiles(d.Client.Dir() + "/report.html"); len(page) != 1 {
		t.Errorf("pages: %d, want 1", len(page))
	}
}
