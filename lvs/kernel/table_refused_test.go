// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"maps"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// If the kernel refuses one service, all others are written, the refusal is logged once, and deleted services are no longer
// ours.
func TestARefusedServiceStopsNoOther(t *testing.T) {
	b := newBench(t)
	good := entry(www, "rr", server("192.0.2.11:80", lvs.DR, 1))
	b.pass(t, []lvs.Entry{good, entry(dns, "rr")}, 3, 0)
	b.log.Reset()

	bad := entry(other, "mh", server("192.0.2.11:80", lvs.DR, 1))
	b.fake.fail["new-service"] = unix.ENOENT
	report, err := b.Reconcile(t.Context(), []lvs.Entry{good, bad})
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 1 || !strings.Contains(err.Error(), "mh") {
		t.Errorf("the error is %q, want one line that names the scheduler", err)
	}
	if got, ok := report.Refused[id(other)]; !ok || len(report.Refused) != 1 || len(got.Has) != 0 || got.Why == nil {
		t.Errorf("refused %+v", report.Refused)
	}
	if got, want := mustOpen(t, b.store).Set(), ids(www, other); !maps.Equal(got, want) {
		t.Errorf("own %v, want %v: what was deleted is disowned at once", got, want)
	}
	b.drifted(t, false) // that it is missing is known

	b.log.Reset()
	good.Servers[0].Weight = 7
	report, err = b.Apply(t.Context(), lvs.Delta{Set: []lvs.Entry{good}})
	if err != nil || report.Done != 1 || len(report.Refused) != 1 {
		t.Errorf("a change of another service: %+v, %v", report, err)
	}
	if report, err = b.Apply(t.Context(), lvs.Delta{}); err == nil || len(report.Refused) != 1 {
		t.Errorf("tried again: %+v, %v", report, err)
	}
	if got := strings.Count(b.log.String(), "\n"); got != 1 {
		t.Errorf("%d lines, want that of the weight:\n%s", got, b.log)
	}
	b.fake.services = nil // ipvsadm -C
	b.drifted(t, true)
	clear(b.fake.fail)
	if report, err = b.Reconcile(t.Context(), []lvs.Entry{good, bad}); err != nil || len(report.Refused) != 0 || report.Done != 4 {
		t.Errorf("in the end: %+v, %v", report, err)
	}
}

// If a change of a service is refused, the service stays as it was. This is no drift, and the report shows the service.
func TestARefusedChangeLeavesTheService(t *testing.T) {
	b := newBench(t)
	b.pass(t, []lvs.Entry{entry(www, "rr", server("192.0.2.11:80", lvs.DR, 1))}, 2, 0)
	b.fake.fail["set-service"] = unix.ENOENT
	report, err := b.Apply(t.Context(), lvs.Delta{Set: []lvs.Entry{entry(www, "mh", server("192.0.2.11:80", lvs.DR, 1))}})
	if has := report.Refused[id(www)].Has; err == nil || len(has) != 1 || has[0].Weight != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	b.drifted(t, false)
}
