// SPDX-License-Identifier: Apache-2.0

//go:build ipvs

package kernel

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/lvs"
)

// TestBenchTable prints what tables of 1,000 and 10,000 services with 10 servers each cost, beside ipvsadm on the same
// kernel in the same minute, and holds the two goals: from empty in a quarter of ipvsadm -R's time, and a pass that
// changes nothing in that of ipvsadm -Sn, without a write.
func TestBenchTable(t *testing.T) {
	var out bytes.Buffer
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	heads := []string{"services", "servers", "ipvsadm -R", "from empty", "ipvsadm -Sn", "unchanged", "look", "one weight",
		"statistics", "remove", "heap", "resident"}
	fmt.Fprintln(table, strings.Join(heads, "\t")+"\t")
	for _, services := range []int{1000, 10000} {
		inNamespace(t, func(k *IPVS) { benchTable(t, k, table, services) })
	}
	if err := table.Flush(); err != nil {
		t.Error(err)
	}
	t.Log("\n" + out.String())
}

func benchTable(t *testing.T, k *IPVS, out *tabwriter.Writer, services int) {
	k.answer = time.Minute
	own, err := OpenOwnership(filepath.Join(t.TempDir(), "ownership.json"))
	if err != nil {
		t.Error(err)
		return
	}
	table, want := NewTable(k, own, hclog.NewNullLogger()), bigTable(services, 10)
	timed := func(what string, f func() error) time.Duration {
		start := time.Now()
		if err := f(); err != nil {
			t.Errorf("%d services: %s: %v", services, what, err)
		}
		took := time.Since(start).Round(time.Millisecond)
		t.Logf("%d services: %s: %s", services, what, took)
		return took
	}
	reconcile := func() error { _, err := table.Reconcile(t.Context(), want); return err }

	// Short times are the better of two: other work on the machine disturbs them more than long ones.
	restore, saved, rounds := time.Duration(0), "not run", 1
	if services <= 1000 { // it takes minutes for more
		rounds = 2
		restore = timed("ipvsadm -R", func() error {
			command := exec.Command("ipvsadm", "-R")
			command.Stdin = strings.NewReader(rules(want))
			return command.Run()
		})
		saved = restore.String()
	}
	fill := time.Hour
	for range rounds {
		_ = timed("ipvsadm -C", exec.Command("ipvsadm", "-C").Run)
		fill = min(fill, timed("from empty", reconcile))
	}
	save, unchanged := time.Hour, time.Hour
	writes := k.Writes()
	for range rounds {
		save = min(save, timed("ipvsadm -Sn", exec.Command("ipvsadm", "-Sn").Run))
		unchanged = min(unchanged, timed("unchanged", reconcile))
	}
	if k.Writes() != writes {
		t.Errorf("%d services: %d writes in a pass that changes nothing", services, k.Writes()-writes)
	}
	look := timed("look", func() error { _, err := table.Drifted(t.Context(), want); return err })
	want[services/2].Servers[0].Weight = 2
	one := timed("one weight", reconcile)
	if k.Writes() != writes+1 {
		t.Errorf("%d services: %d writes for one weight", services, k.Writes()-writes)
	}
	statistics := timed("statistics", func() error { _, err := k.Status(t.Context()); return err })
	heap, resident := memory()
	remove := timed("remove", func() error { _, err := table.Remove(t.Context()); return err })
	fmt.Fprintln(out, services, "\t", 10*services, "\t", saved, "\t", fill, "\t", save, "\t", unchanged, "\t", look, "\t",
		one, "\t", statistics, "\t", remove, "\t", heap, "\t", resident, "\t")
	if restore > 0 && fill > restore/4 {
		t.Errorf("%d services from empty in %s, want a quarter of %s", services, fill, restore)
	}
	if unchanged > save {
		t.Errorf("%d services unchanged in %s, want at most %s", services, unchanged, save)
	}
}

// rules are entries as ipvsadm -R reads them.
func rules(entries []lvs.Entry) string {
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&b, "-A -t %s:%d -s %s\n", e.Addr, e.Port, e.Scheduler)
		for _, s := range e.Servers {
			fmt.Fprintf(&b, "-a -t %s:%d -r %s -g -w %d\n", e.Addr, e.Port, s.ServerID, s.Weight)
		}
	}
	return b.String()
}

// memory is the process's, once what it has done with is given back.
func memory() (heap, resident string) {
	debug.FreeOSMemory()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	heap = fmt.Sprintf("%.1f MB", float64(stats.HeapAlloc)/1e6)
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return heap, err.Error()
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	line, _, _ := strings.Cut(rest, "\n")
	return heap, strings.TrimSpace(line)
}
