// SPDX-License-Identifier: Apache-2.0

package report

import (
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// TestNotReady: each row breaks one thing of a director that is ready.
func TestNotReady(t *testing.T) {
	routers := []configs.Router{{Config: vrrp.Config{Name: "web", Interface: "eth0"}}}
	in := func(s vrrp.State) message.Report {
		return message.Report{Routers: []vrrp.Status{{Name: "web", Interface: "eth0", State: s, Reason: "eth0 has no carrier"}}}
	}
	for name, tt := range map[string]struct {
		breaks func(*core.Snapshot, *Readiness)
		want   string // the beginning of the only sentence; empty: it is ready
	}{
		"backup":     {func(*core.Snapshot, *Readiness) {}, ""},
		"master":     {func(s *core.Snapshot, _ *Readiness) { s.Report = in(vrrp.Master) }, ""},
		"fault":      {func(s *core.Snapshot, _ *Readiness) { s.Report = in(vrrp.Fault) }, "the virtual router web is in state fault: eth0 has no carrier"},
		"not said":   {func(s *core.Snapshot, _ *Readiness) { s.Report = message.Report{} }, "the virtual router web is in state initialize: "},
		"starting":   {func(s *core.Snapshot, _ *Readiness) { s.Config = nil }, "this director is starting"},
		"cut off":    {func(s *core.Snapshot, _ *Readiness) { s.CutOff = true }, "no real server answers this director"},
		"all down":   {func(s *core.Snapshot, _ *Readiness) { s.AllDown = true }, "every real server that is checked fails"},
		"no results": {func(s *core.Snapshot, _ *Readiness) { s.Unready = true }, "the first results of the checks since it started"},
		"no table":   {func(_ *core.Snapshot, r *Readiness) { r.TableWritten = false }, "the IPVS table has not been written"},
		"refused":    {func(s *core.Snapshot, _ *Readiness) { s.Trouble = "no such module" }, "the kernel's IPVS table is not in line: no such module"},
		"election":   {func(_ *core.Snapshot, r *Readiness) { r.ElectionRunning = false }, "the election process does not run"},
		"alone": {func(s *core.Snapshot, r *Readiness) {
			s.Config, s.Report, r.ElectionRunning = &configs.Config{}, message.Report{}, false
		}, ""},
		"alone, no results": {func(s *core.Snapshot, _ *Readiness) { s.Config, s.Unready = &configs.Config{}, true }, "the first results of the checks are not"},
	} {
		t.Run(name, func(t *testing.T) {
			shot, is := &core.Snapshot{Config: &configs.Config{Routers: routers}, Report: in(vrrp.Backup)}, Readiness{true, true}
			tt.breaks(shot, &is)
			got := NotReady(shot, is)
			if (tt.want == "") != (len(got) == 0) || len(got) > 1 || len(got) == 1 && !strings.HasPrefix(got[0], tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
