// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestDrift: tandem repairs what another program changes in our services. It does so within 2 s if the cheap look shows the
// change, and otherwise within 30 s. It does not change the other program's own service.
func TestDrift(t *testing.T) {
	t.Parallel()
	p := newLinedPair(t, "scheduler = \"wrr\"\npersistence = { timeout = \"5m\" }")
	const (
		lines   = vip + ":" + linesPort
		foreign = "192.0.2.200:80"
	)
	want := p.A.Table()
	p.A.Run("ipvsadm", "-A", "-t", foreign, "-s", "rr")
	p.A.Run("ipvsadm", "-a", "-t", foreign, "-r", "192.0.2.11", "-g")
	for _, tt := range []struct {
		what  string
		do    []string
		limit time.Duration
	}{
		{"a changed weight", []string{"-e", "-t", lines, "-r", "192.0.2.11", "-g", "-w", "9"}, 2 * time.Second},
		{"a deleted server", []string{"-d", "-t", lines, "-r", "192.0.2.11"}, 2 * time.Second},
		{"a server too many", []string{"-a", "-t", lines, "-r", "192.0.2.13", "-g"}, 2 * time.Second},
		{"another scheduler", []string{"-E", "-t", lines, "-s", "rr", "-p", "300"}, 2 * time.Second},
		{"a deleted service", []string{"-D", "-t", lines}, 2 * time.Second},
		{"another timeout, which only a full read shows", []string{"-E", "-t", lines, "-s", "wrr", "-p", "600"}, 30 * time.Second},
	} {
		p.A.Run("ipvsadm", tt.do...)
		watch, done := p.WatchStalls(), time.Now()
		p.Eventually(tt.limit+5*time.Second, tt.what+" is repaired", func() error {
			if got := ours(p.A.Table()); got != want {
				return errors.New(got)
			}
			return nil
		})
		took, stall := time.Since(done), watch.Stop()
		p.Logf("%s: repaired after %s", tt.what, took.Round(time.Millisecond))
		if took > tt.limit+stall {
			t.Errorf("%s: repaired after %s, want at most %s; the machine itself stalled for %s", tt.what, took, tt.limit, stall)
		}
	}
	if got := p.A.Table(); !strings.Contains(got, "TCP "+foreign+" rr\n  -> 192.0.2.11:80 Route 1\n") {
		t.Errorf("the foreign service is not as it was:\n%s", got)
	}
}

// ours returns a table without the foreign service.
func ours(table string) string {
	return strings.Replace(table, "TCP 192.0.2.200:80 rr\n  -> 192.0.2.11:80 Route 1\n", "", 1)
}
