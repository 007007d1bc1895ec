// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/kernel"
)

// poolSize is the number of real servers of each service.
const poolSize = 10

// measureTables measures what large IPVS tables cost the director's code, beside ipvsadm.
func measureTables(b *bench) {
	for _, services := range []int{1000, 10_000} {
		what := fmt.Sprintf("%d services × %d servers", services, poolSize)
		entries := manyServices(services)
		if services <= 1000 { // for more it takes minutes
			b.measure(what, "ipvsadm", func(t *lab.Attempt) {
				onHost(t, func() error { return ipvsadm(b, what, entries) })
			})
		}
		b.measure(what, tandem.name, func(t *lab.Attempt) {
			onHost(t, func() error { return tables(b, what, entries) })
		})
	}
}

// onHost runs f on a host of its own, whose IPVS table is empty.
func onHost(t *lab.Attempt, f func() error) {
	if err := lab.New(t).Host("director").Do(f); err != nil {
		t.Fatalf("%v", err)
	}
}

// ipvsadm fills a table from a file, and writes it out again.
func ipvsadm(b *bench, what string, entries []lvs.Entry) error {
	restore := exec.Command("ipvsadm", "-R")
	restore.Stdin = strings.NewReader(rules(entries))
	set := exec.Command("ipvsadm", "-e", "-t", entries[0].ServiceID.String()[len("tcp "):],
		"-r", entries[0].Servers[0].ServerID.String(), "-g", "-w", "2")
	for _, step := range []struct {
		name, note string
		cmd        *exec.Cmd
	}{
		{"from empty", "ipvsadm -R", restore},
		{"read and nothing to change", "ipvsadm -Sn", exec.Command("ipvsadm", "-Sn")},
		{"one changed weight", "ipvsadm -e, which reads nothing", set},
	} {
		began := time.Now()
		if out, err := step.cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %.200s", step.note, err, out)
		}
		b.report(what+": "+step.name, "ipvsadm", time.Since(began).Seconds(), "s", step.note)
	}
	return nil
}

// tables measures the same with package lvs, and also the operations that only package lvs has.
func tables(b *bench, what string, entries []lvs.Entry) error {
	ctx := context.Background()
	vs := kernel.New(hclog.NewNullLogger())
	defer vs.Close()
	owned, err := kernel.OpenOwnership(noStore{})
	if err != nil {
		return err
	}
	table := kernel.NewTable(vs, owned, hclog.NewNullLogger())
	reconcile := func() error { _, err := table.Reconcile(ctx, entries); return err }
	for _, step := range []struct {
		name   string
		writes int // -1: not counted
		do     func() error
	}{
		{"from empty", -1, reconcile},
		{"read and nothing to change", 0, reconcile},
		{"look for drift", 0, func() error { _, err := table.Look(ctx); return err }},
		{"statistics", 0, func() error { _, err := vs.Status(ctx); return err }},
		{"one changed weight", 1, func() error {
			e := &entries[len(entries)/2]
			e.Servers[0].Weight++
			_, err := table.Apply(ctx, lvs.Delta{Set: []lvs.Entry{*e}})
			return err
		}},
	} {
		began, before := time.Now(), vs.Writes()
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		took, writes := time.Since(began), vs.Writes()-before
		if step.writes >= 0 && writes != uint64(step.writes) {
			return fmt.Errorf("%s: %d commands that write, want %d", step.name, writes, step.writes)
		}
		b.report(what+": "+step.name, tandem.name, took.Seconds(), "s", fmt.Sprintf("%d commands that write", writes))
	}
	debug.FreeOSMemory()
	var heap runtime.MemStats
	runtime.ReadMemStats(&heap)
	b.report(what+": heap", tandem.name, float64(heap.HeapAlloc)/1e6, "MB", "of the process that has the table, at rest")
	resident, err := lab.ResidentMemory(os.Getpid())
	if err != nil {
		return err
	}
	b.report(what+": memory", tandem.name, float64(resident)/1e6, "MB", "resident, of the same")
	_, err = table.Remove(ctx)
	return err
}

// A noStore is a store that keeps nothing.
type noStore struct{}

func (noStore) Load() (kernel.Owned, error) { return kernel.Owned{}, nil }
func (noStore) Store(kernel.Owned) error    { return nil }

// manyServices are services on one port of different addresses.
func manyServices(n int) []lvs.Entry {
	entries := make([]lvs.Entry, n)
	for i := range entries {
		id := lvs.ServiceID{Protocol: lvs.TCP, Addr: nth("10.1.0.0", i), Port: 80}
		servers := make([]lvs.Server, poolSize)
		for j := range servers {
			servers[j] = lvs.Server{ServerID: lvs.ServerID{Addr: nth("10.2.0.0", i*poolSize+j), Port: 80}, Method: lvs.DR, Weight: 1}
		}
		entries[i] = lvs.Entry{Service: lvs.Service{ServiceID: id, Scheduler: "wrr"}, Servers: servers}
	}
	return entries
}

// nth returns the address n after the one given.
func nth(first string, n int) netip.Addr {
	a := netip.MustParseAddr(first).As4()
	binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])+uint32(n))
	return netip.AddrFrom4(a)
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
